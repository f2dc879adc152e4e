import types
from types import MappingProxyType, MethodType, ModuleType, SimpleNamespace

ns = SimpleNamespace(a=1, b=[2])
ns.c = 3
print(ns, ns == SimpleNamespace(a=1, b=[2], c=3))
module = ModuleType("made", "doc")
exec("def f(): return __name__", module.__dict__)
print(module.f(), MappingProxyType({"a": 1}), MethodType(lambda self: self.a, ns)())
Made = types.new_class("Made", (), {}, lambda body: body.update(x=1))
print(Made.x, Made.__module__, type("T", (Made,), {})().x)
