import json

data = {"b": [1, 2.5, None, True], "a": {"ü": "\u2028\n"}, "n": float("inf")}
print(json.dumps(data, sort_keys=True), json.dumps(data["a"], ensure_ascii=False, indent=2))
print(json.loads("[1e3, -0, \"\\ud83d\\ude00\"]"), json.loads("{}", object_pairs_hook=list))


class Encoder(json.JSONEncoder):
    def default(self, o):
        return sorted(o) if isinstance(o, set) else super().default(o)


print(json.dumps({"s": {3, 1}}, cls=Encoder))
for bad in ("{", "[1,]", "nul", '"\t"'):
    try:
        json.loads(bad)
    except json.JSONDecodeError as exc:
        print(exc)
try:
    json.dumps({1j: 1})
except TypeError as exc:
    print(exc)
