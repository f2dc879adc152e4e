# args: ["--count", "3", "-v", "file.txt", "other"]
import argparse
import sys

parser = argparse.ArgumentParser(prog="tool", description="A tool.")
parser.add_argument("--count", type=int, default=1)
parser.add_argument("-v", "--verbose", action="store_true")
parser.add_argument("files", nargs="+")
print(parser.parse_args())
print(sys.argv)
