x = 1
for i in range(3):
    pass
return x
