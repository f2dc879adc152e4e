# stdin: "Ada\n36\nlast without newline"
name = input("name? ")
age = int(input())
print(f"{name} is {age}")
print(input("prompt: "))
try:
    input()
except EOFError as exc:
    print("EOF:", exc)
