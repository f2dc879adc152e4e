import base64
import binascii
import hashlib
import hmac
import secrets
import uuid

for name in ("md5", "sha1", "sha256", "sha3_256", "blake2b"):
    print(name, hashlib.new(name, b"abc").hexdigest()[:32])
print(hmac.new(b"key", b"message", "sha256").hexdigest(), hmac.compare_digest("a", "a"))
print(base64.b64encode(b"\xff\xfe"), base64.urlsafe_b64decode("__4="), base64.b32encode(b"hi"), binascii.hexlify(b"\x01"))
print(len(secrets.token_hex(8)), secrets.choice([7]), uuid.uuid5(uuid.NAMESPACE_DNS, "example.org"), uuid.uuid4().version)
print(uuid.UUID(int=5), len({uuid.uuid4() for _ in range(100)}), hashlib.pbkdf2_hmac("sha256", b"p", b"s", 10).hex()[:16])
