import codeop
import runpy

with open("program.py", "w") as file:
    file.write("import sys\nx = 1\nif __name__ == '__main__':\n    print('as main', x)\n")
print(sorted(n for n in runpy.run_path("program.py", run_name="__main__") if n[0] != "_"))
print(codeop.compile_command("if 1:"), codeop.compile_command("1") is not None)
