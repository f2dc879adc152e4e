# args: ["--count", "many"]
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--count", type=int, required=True, help="how many")
parser.parse_args()
