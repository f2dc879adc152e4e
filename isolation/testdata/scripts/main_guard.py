import __main__
import sys


def main():
    print("main ran as", __name__)


print(__main__ is sys.modules["__main__"], __main__.main is main, __name__, __doc__, __package__, __spec__)
if __name__ == "__main__":
    main()
