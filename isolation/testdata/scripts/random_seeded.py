import random

random.seed(12345)
print([random.randint(1, 100) for _ in range(5)], random.choice("abcdef"), random.uniform(0, 1))
items = list(range(8))
random.shuffle(items)
print(items)
