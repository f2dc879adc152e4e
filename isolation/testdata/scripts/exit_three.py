import sys


def main():
    print("leaving with 3")
    return 3


if __name__ == "__main__":
    sys.exit(main())
