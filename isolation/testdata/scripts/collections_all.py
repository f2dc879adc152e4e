from collections import ChainMap, Counter, OrderedDict, defaultdict, deque, namedtuple, UserDict

print(Counter("mississippi").most_common(2), Counter("aab") - Counter("ab"))
d = defaultdict(list)
for key, value in [("a", 1), ("b", 2), ("a", 3)]:
    d[key].append(value)
print(d, dict(ChainMap({"a": 1}, {"a": 2, "b": 3})))
q = deque(range(5), maxlen=3)
q.appendleft(9)
q.rotate(1)
print(q)
P = namedtuple("P", "x y", defaults=[0])
print(P(1), P(1, 2)._replace(x=5), P._fields, P(1).__class__.__module__)
o = OrderedDict(a=1, b=2)
o.move_to_end("a")
print(o, list(reversed(o)))


class Lower(UserDict):
    def __setitem__(self, key, value):
        super().__setitem__(key.lower(), value)


print(Lower(A=1))
