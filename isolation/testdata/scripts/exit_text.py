import sys

print("on stdout")
sys.exit("usage: script ARG — with ünicode")
