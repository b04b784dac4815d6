"""What a configuration file holds, each piece with its place: texts, maps and lists.

A scalar stays the text that stands in the file. What it means, only the option's kind decides; so
``NO``, ``12:30:00`` and ``010`` are never turned into something the technician did not mean.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class Place(NamedTuple):
    """A position in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def moved(self, columns: int) -> "Place":
        """A place further on in the same line."""
        return self._replace(column=self.column + columns)


@dataclass(slots=True)
class Scalar:
    """One text. ``inset`` is how far its first character lies behind its place, -1 if unknown."""

    place: Place
    text: str
    plain: bool = True
    inset: int = 0

    def spot(self, column: int) -> Place:
        """Where a column (from 1) of the text stands, as well as can be told."""
        return self.place.moved(self.inset + column - 1) if self.inset >= 0 else self.place

    @property
    def is_null(self) -> bool:
        """Whether nothing is written there."""
        return self.plain and self.text in NULLS


@dataclass(slots=True)
class Mapping:
    """Keys and their values, in the order of the file."""

    place: Place
    entries: dict[str, "Node"] = field(default_factory=dict)
    keys: dict[str, Place] = field(default_factory=dict)


@dataclass(slots=True)
class Sequence:
    """A list."""

    place: Place
    items: list["Node"] = field(default_factory=list)


@dataclass(slots=True)
class Broken:
    """Something already complained about: nobody complains again."""

    place: Place


Node: TypeAlias = Scalar | Mapping | Sequence | Broken
