import io
import tarfile
import zipfile

with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("dir/one.txt", "content " * 20)
    z.writestr("two.txt", b"2")
with zipfile.ZipFile("a.zip") as z:
    print(z.namelist(), z.read("two.txt"), z.testzip(), z.getinfo("dir/one.txt").file_size)
with tarfile.open("a.tar.gz", "w:gz") as t:
    info = tarfile.TarInfo("x/y.txt")
    info.size = 3
    t.addfile(info, io.BytesIO(b"abc"))
with tarfile.open("a.tar.gz") as t:
    print(t.getnames(), t.extractfile("x/y.txt").read())
try:
    zipfile.ZipFile("a.tar.gz")
except zipfile.BadZipFile as exc:
    print(exc)
