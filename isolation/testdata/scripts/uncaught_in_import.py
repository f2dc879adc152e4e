with open("broken_helper.py", "w") as file:
    file.write("def f():\n    return 1 / 0\n\n\nf()\n")
import broken_helper
