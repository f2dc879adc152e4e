import bz2
import gzip
import io
import lzma
import zlib

data = b"the same words " * 100
for module in (zlib, gzip, bz2, lzma):
    packed = module.compress(data)
    print(module.__name__, len(packed) < len(data) / 4, module.decompress(packed) == data)
with gzip.open("file.gz", "wt", encoding="utf-8") as file:
    file.write("zeile ü\n")
print(gzip.open("file.gz").read(), zlib.crc32(b"abc"), zlib.adler32(b"abc"))
d = zlib.decompressobj()
print(d.decompress(zlib.compress(b"x" * 10))[:3], d.eof)
try:
    zlib.decompress(b"garbage")
except zlib.error as exc:
    print(exc)
