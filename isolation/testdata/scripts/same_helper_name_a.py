with open("shared_name.py", "w") as file:
    file.write("WHO = 'a'\n")
import shared_name

print(shared_name.WHO)
