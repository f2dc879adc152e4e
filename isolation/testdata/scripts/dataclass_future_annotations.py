from __future__ import annotations

import typing
from dataclasses import dataclass


@dataclass
class Node:
    value: int
    next: Node | None = None


print(Node(1, Node(2)))
print(typing.get_type_hints(Node) if hasattr(typing, "get_type_hints") else None)
print(Node.__annotations__)
