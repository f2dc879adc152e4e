import os

with open("a.txt", "w") as file:
    file.write("one\ntwo\nthree\n")
with open("a.txt") as file:
    print(file.readline(), list(file), file)
with open("a.txt", "r+b") as file:
    file.seek(-6, os.SEEK_END)
    print(file.read(), file.tell())
print(os.stat("a.txt").st_size, os.path.isfile("a.txt"), open("a.txt").read().split())
os.rename("a.txt", "b.txt")
try:
    open("a.txt")
except OSError as exc:
    print(exc.errno, exc)
os.mkdir("d")
os.makedirs("d/e/f")
print(sorted(os.listdir("d")), [(len(d), f) for _, d, f in os.walk("d")])
