import os
import tempfile

with tempfile.TemporaryDirectory(dir=".") as name:
    print(os.path.isdir(name))
print(os.path.exists(name))
with tempfile.NamedTemporaryFile("w+", suffix=".txt", dir=".") as file:
    file.write("x")
    file.seek(0)
    print(file.read(), file.name.endswith(".txt"))
with tempfile.SpooledTemporaryFile(10) as file:
    file.write(b"0123456789abc")
    file.seek(0)
    print(file.read())
fd, path = tempfile.mkstemp(dir=".")
os.close(fd)
os.remove(path)
print(tempfile.gettempdir())
