import codecs
import io
import mmap

text = io.TextIOWrapper(io.BytesIO("ä\r\nb".encode()), encoding="utf-8", newline=None)
print(text.read().encode(), io.StringIO("x\ny").readlines())
buffered = io.BufferedReader(io.BytesIO(b"0123456789"))
print(buffered.peek(2)[:2], buffered.read(3), buffered.seek(0, 2), io.DEFAULT_BUFFER_SIZE > 0)
with open("m.bin", "wb") as file:
    file.write(b"hello mmap")
with open("m.bin", "r+b") as file, mmap.mmap(file.fileno(), 0) as m:
    m[0:5] = b"HELLO"
    print(m[:], m.find(b"mmap"))
print(codecs.encode("abc", "rot13"), codecs.decode(b"+AOk-", "utf-7"), "x".encode("utf-16"))
