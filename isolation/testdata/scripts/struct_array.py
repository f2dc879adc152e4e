import array
import struct

packed = struct.pack("<hIq?3s", -2, 7, 1 << 40, True, b"abc")
print(packed, struct.unpack("<hIq?3s", packed), struct.calcsize("@ci"))
a = array.array("d", [1.5, 2.5])
a.append(3)
print(a, a.tobytes()[:8], memoryview(a).shape, memoryview(b"abcdef")[1:4].tobytes())
try:
    struct.unpack("<I", b"abc")
except struct.error as exc:
    print(exc)
print(int.from_bytes(b"\x01\x02", "little"), (1000).to_bytes(4, "big"), bytearray(b"ab") * 2)
