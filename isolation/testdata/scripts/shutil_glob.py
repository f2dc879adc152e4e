import fnmatch
import glob
import os
import shutil

os.makedirs("s/t")
for name in "abc":
    with open(f"s/t/{name}.txt", "w") as file:
        file.write(name * 3)
shutil.copytree("s", "copy")
print(sorted(glob.glob("copy/**/*.txt", recursive=True)), fnmatch.filter(["a.py", "b.c"], "*.py"))
shutil.make_archive("packed", "zip", "s")
shutil.rmtree("s")
print(os.path.exists("s"), shutil.which("sh") is not None, os.path.getsize("packed.zip") > 50)
