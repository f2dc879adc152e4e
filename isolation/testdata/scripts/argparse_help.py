# args: ["--help"]
import argparse

parser = argparse.ArgumentParser(epilog="The end.")
group = parser.add_mutually_exclusive_group()
group.add_argument("-a", action="count", default=0, help="more")
group.add_argument("-b", choices=["x", "y"])
commands = parser.add_subparsers(dest="command")
commands.add_parser("run", help="runs")
parser.parse_args()
