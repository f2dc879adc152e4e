import cmath
import math
import random

print(math.gcd(12, 18), math.isclose(0.1 + 0.2, 0.3), math.factorial(20), math.comb(5, 2), math.hypot(3, 4))
print(cmath.sqrt(-1), complex("1+2j") * 1j, round(2.5), round(-1.567, 2), divmod(-7, 2), 7 // -2, -7 % 3)
print(0.1 + 0.2, 1e308 * 10, float("nan") != float("nan"), (255).bit_length(), 0b101, 0o17, int("ff", 16))
generator = random.Random(42)
print(generator.random(), generator.sample(range(100), 3), generator.choices("ab", [1, 3], k=4), generator.gauss(0, 1))
print(2 ** 200, 10 ** 30 // 7, pow(3, -1, 7), hash(10 ** 20), float.hex(0.1))
try:
    math.sqrt(-1)
except ValueError as exc:
    print(exc)
