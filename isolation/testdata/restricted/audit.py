"""Walk through all that a restricted job can reach by reading attributes and making
instances, and report what it must not meet. Appended to the policy by the tests."""

import builtins
import collections
import json
import types

DANGEROUS = [getattr(builtins, name) for name in (
    "exec", "eval", "compile", "open", "__import__", "getattr", "setattr", "delattr", "globals",
    "locals", "vars", "breakpoint", "type", "memoryview", "dir")]
MUTABLE = (list, dict, set, bytearray, collections.deque)
LIMIT = 200_000
SCALARS = {int, float, complex, str, bytes, bool, type(None)}
METHODS_OF_OBJECTS = {types.MethodType, types.BuiltinFunctionType, type("".__str__)}


class Walk:
    def __init__(self):
        self.seen, self.queue, self.violations = {}, collections.deque(), []
        self.reached = 0

    def meet(self, ob, path, fresh):
        """Judge an object, and look at it later unless its like was looked at."""
        if id(ob) in self.seen or type(ob) in SCALARS:
            return
        self.judge(ob, path, fresh)
        key = self.key(ob, fresh)
        if key not in self.seen:
            self.seen[key] = ob
            self.queue.append((ob, path, fresh))

    def key(self, ob, fresh):
        if type(ob) in METHODS_OF_OBJECTS:
            return type(ob), type(ob.__self__), ob.__name__
        if is_class(ob) or type(ob) is FunctionType or not fresh:
            return id(ob)
        return type(ob)

    def judge(self, ob, path, fresh):
        bad = None
        if type(ob) in UNSEEN:
            bad = "reached"
        elif any(ob is d for d in DANGEROUS):
            bad = "reached"
        elif not fresh and isinstance(ob, MUTABLE) and not is_class(ob):
            bad = "can be changed"
        elif is_class(ob) and issubclass(ob, type) and ob is not guarded_type:
            bad = "a metaclass reached"
        if bad:
            self.violations.append(f"{path}: {bad}: {type(ob).__name__} {ob!r:.80}")

    def run(self):
        while self.queue and self.reached < LIMIT:
            ob, path, fresh = self.queue.popleft()
            self.reached += 1
            self.meet(class_of(ob), path + ".__class__", fresh and isinstance(ob, View))
            for name in self.names(ob):
                try:
                    value = attribute_getter(name)(ob, name)
                except Exception:
                    continue
                if name not in vars(object):
                    self.meet(value, f"{path}.{name}", fresh)
                if name in NATIVE and type(value) is not type(getattr(ob, name)):
                    self.violations.append(f"{path}.{name}: differs as written")
            for name in self.natively(ob):
                self.meet(getattr(ob, name), f"{path}.{name} as written", fresh)
            if isinstance(ob, (list, tuple, set, frozenset)) and len(ob) < 1000:
                for i, item in enumerate(ob):
                    self.meet(item, f"{path}[{i}]", fresh)
            if isinstance(ob, dict):
                for key, item in list(ob.items())[:1000]:
                    self.meet(item, f"{path}[{key!r}]", fresh)
            if is_class(ob) and ob not in (guarded_type, super):
                self.instance(ob, path)

    def natively(self, ob):
        """What patterns and `view.name +=` read as it is written."""
        if not isinstance(ob, View):
            return ()
        return [n for n in dir(ob) if n[0] != "_" and n not in HIDDEN and n not in OWN_ONLY]

    def names(self, ob):
        try:
            names = set(object.__dir__(ob)) | set(dir(ob))
        except Exception:
            return ()
        if is_class(ob):
            for base in type_mro(ob):
                names.update(type_table(base))
        return [n for n in names if type(n) is str]

    def instance(self, cls, path):
        for args in ((), (1,), ("a",), (lambda *a: 1,), ([],), (object,), ("a", ("b",))):
            try:
                made = cls(*args)
            except BaseException:
                continue
            self.meet(made, f"{path}{args if len(repr(args)) < 20 else '(…)'}", True)
            if issubclass(cls, BaseException):
                return


def execute(job, done):
    main = restricted_main(job)
    walk = Walk()
    for name, value in job_builtins.items():
        if name[0] != "<" and name != "input":
            walk.meet(value, name, False)
    for name in list(views):
        walk.meet(guarded_import(name, fromlist=("Iterable",) if name == "collections.abc" else ()), name, name in OF_A_JOB)
    for ob in (lambda: 1, (i for i in ()), [], {}, {}.items(), (), {1}, 1.5, iter([]), "a", b"a",
               list[int], property(), staticmethod(len), ValueError("x"), slice(1), range(2), print,
               int.from_bytes, "".join, str.join, object().__str__, super(int, 1), ..., NotImplemented):
        walk.meet(ob, repr(ob), True)
    walk.run()
    done.value = json.dumps([walk.reached, walk.violations[:60]])
    done.repr = ""
    return main
