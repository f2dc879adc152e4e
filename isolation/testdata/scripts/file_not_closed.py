file = open("left.txt", "w")
file.write("buffered")
print(file.name, file.closed, open("left.txt").read() == "")
