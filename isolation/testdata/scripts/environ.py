import os

os.environ["MOLT_SCRIPT"] = "set"
print(os.getenv("MOLT_SCRIPT"), os.popen("echo $MOLT_SCRIPT").read().strip(), os.environ.get("NOT_THERE"))
del os.environ["MOLT_SCRIPT"]
print("MOLT_SCRIPT" in os.environ, os.path.expandvars("$MOLT_SCRIPT"), sorted(n for n in os.environ if n != "PATH"))
