größe = "π ≈ 3"
print(größe)
raise ValueError("ungültig: " + größe, {"schlüssel": 1})
