import sys

with open("helper_module.py", "w") as file:
    file.write('"""Helper."""\nVALUE = 5\n\n\ndef name():\n    return __name__\n')
import helper_module
from helper_module import VALUE

print(VALUE, helper_module.name(), helper_module.__doc__, "helper_module" in sys.modules)
import importlib

with open("helper_module.py", "a") as file:
    file.write("EXTRA = 'longer now'\n")
importlib.invalidate_caches()
print(importlib.reload(helper_module).EXTRA)
import os

os.makedirs("package_x/sub")
for path, text in (("package_x/__init__.py", "from .sub import thing"), ("package_x/sub/__init__.py", "thing = 'found'")):
    with open(path, "w") as file:
        file.write(text)
import package_x.sub

print(package_x.thing, package_x.sub.__package__)
