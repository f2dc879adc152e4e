# args: ["one", "two words"]
import os
import sys

print(sys.argv, os.path.basename(sys.argv[0]), os.path.basename(__file__), sys.path[0] == os.getcwd())
print(sys.byteorder, sys.maxsize, sys.getrecursionlimit(), sys.platform, sys.flags.optimize, sys.float_info.dig)
print(sys.version_info[:2] >= (3, 10), sys.implementation.name, sys.getdefaultencoding(), __debug__)
print(sys.stdin.name, sys.stdout.name, sys.stderr.name, sys.stdout.mode, sys.stdout.line_buffering, sys.stderr.line_buffering)
print(sys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.isatty(), sys.__stdout__ is sys.stdout, type(sys.stdout))
print(sys.excepthook is sys.__excepthook__, sys.gettrace(), sys.exc_info(), sys.getswitchinterval())
