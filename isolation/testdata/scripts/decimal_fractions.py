# changes: the decimal context
import decimal
import fractions
import statistics
from decimal import Decimal, getcontext, localcontext

print(Decimal("0.1") + Decimal("0.2"), Decimal(1) / 3, Decimal("1.25").quantize(Decimal("0.1"), decimal.ROUND_HALF_UP))
with localcontext() as context:
    context.prec = 5
    print(Decimal(2).sqrt())
getcontext().prec = 10
print(Decimal(1) / 7)
try:
    Decimal(1) / 0
except decimal.DivisionByZero as exc:
    print(type(exc).__name__)
print(fractions.Fraction(3, 6) + fractions.Fraction("0.25"), fractions.Fraction(3.14159).limit_denominator(100))
print(statistics.mean([1, 2, 3, 4]), statistics.median([5, 1, 3]), statistics.pstdev([1, 5]), statistics.mode("aab"))
