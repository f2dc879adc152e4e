import subprocess
import sys

done = subprocess.run(["echo", "to a pipe"], capture_output=True, text=True, check=True)
print(done)
print("before", flush=True)
subprocess.run("echo straight to stdout; echo and stderr >&2", shell=True)
try:
    subprocess.run([sys.executable, "-c", "raise SystemExit(7)"], check=True)
except subprocess.CalledProcessError as exc:
    print(exc.returncode)
try:
    subprocess.run(["sleep", "100"], timeout=0.05)
except subprocess.TimeoutExpired as exc:
    print(exc.cmd, exc.output)
print(subprocess.check_output(["cat"], input=b"piped"), subprocess.getstatusoutput("exit 4"))
try:
    subprocess.run(["/no/such/program"])
except FileNotFoundError as exc:
    print(exc)
