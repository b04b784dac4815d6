"""One node of a server's tree, as people are shown it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Branch:
    """``kind``: object, variable or method; the rest is of variables.

    ``type`` is a built-in type, with ``[]`` for an array; ``value`` what it held, None if it could
    not be read, and then ``trouble`` says why. ``states`` names the values of an enumeration.
    """

    path: tuple[str, ...]
    at: str
    kind: str
    type: str = ""
    value: object = None
    trouble: str = ""
    access: str = ""
    unit: str = ""
    span: tuple[float, float] | None = None
    states: Mapping[int, str] = field(default_factory=dict)
    children: list["Branch"] = field(default_factory=list)

    def walk(self) -> Iterator["Branch"]:
        """This node and all below it, as a person reads the tree."""
        yield self
        for child in self.children:
            yield from child.walk()
