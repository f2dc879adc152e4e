with open("shared_name.py", "w") as file:
    file.write("WHO = 'b'\n")
import shared_name

print(shared_name.WHO)
