import io
import sys

real, sys.stdout = sys.stdout, io.StringIO()
print("captured")
text, sys.stdout = sys.stdout.getvalue(), real
print("got", repr(text))
sys.stdout.reconfigure(line_buffering=True)
print("reconfigured", sys.stdout.line_buffering)
print("via __stdout__", file=sys.__stdout__)
sys.stderr = sys.stdout
print("stderr to stdout", file=sys.stderr)
