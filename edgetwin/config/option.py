"""How the schema is written down: options, the sections they stand in, the shapes of their values.

A section is a frozen dataclass; each of its fields is one option, made by ``option``. The walker
fills it in, the renderer writes the reference from it. Nothing else knows what options there are.
"""

from collections.abc import Iterator
from collections.abc import Mapping as Table
from dataclasses import dataclass, field, fields
from keyword import iskeyword
from typing import Any, ClassVar, TypeAlias, TypeVar, dataclass_transform

from edgetwin.config.kinds import Kind
from edgetwin.config.node import Mapping, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A map of the file, understood. ``node`` is where it stands.

    With ``goes_on``, one wrong option does not hide what else is wrong: its default or example
    stands in for it while the rest is checked.
    """

    noun: ClassVar[str]
    called: ClassVar[str] = ""  # a name of one, for the sample
    goes_on: ClassVar[bool] = False
    node: Mapping

    def place(self, key: str) -> Place:
        """Where the value of an option stands, or the section if it is not written."""
        value = self.node.entries.get(key)
        return value.place if value else self.node.place

    def place_in(self, key: str, name: str) -> Place:
        """Where one name in a map of names stands."""
        table = self.node.entries.get(key)
        return table.keys[name] if isinstance(table, Mapping) else self.place(key)


@dataclass(frozen=True, slots=True)
class Record:
    """A map with fixed options."""

    section: type[Section]


@dataclass(frozen=True, slots=True)
class Variant:
    """A map whose options depend on one of them, ``by``."""

    by: str
    cases: Table[str, type[Section]]


@dataclass(frozen=True, slots=True)
class Short:
    """A map with fixed options, or one word that stands for the map with nothing in it."""

    word: Kind
    section: type[Section]


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map with names of the technician's own. Read as a dict; None where a value is wrong."""

    key: Kind
    value: "Shape"
    noun: str


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list. Read as a tuple."""

    value: "Shape"
    least: int
    most: int


Shape: TypeAlias = Kind | Record | Variant | Short | MapOf | ListOf


@dataclass(frozen=True, slots=True)
class Option:
    """One option. ``default`` is written as in a file; ``unless`` says what holds without one."""

    shape: Shape
    doc: str
    example: str
    default: str = ""
    unless: str = ""

    @property
    def required(self) -> bool:
        """Whether a file without it is wrong."""
        return not self.default and not self.unless


def option(
    shape: Shape,
    doc: str,
    *,
    example: str,
    default: str = "",
    unless: str = "",
) -> Any:  # noqa: ANN401 - typed like dataclasses.field, which it stands for
    """A field of a section. Required unless it has a ``default``, or ``unless`` says what holds."""
    return field(metadata={"option": Option(shape, doc, example, default, unless)})


T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(option,))
def section(cls: type[T]) -> type[T]:
    """Make a class a section: a frozen dataclass of options."""
    return dataclass(frozen=True, slots=True, kw_only=True)(cls)


_known: dict[type, Table[str, Option]] = {}


def options(of: type[Section]) -> Table[str, Option]:
    """The options of a section by name, those required first. ``is_`` is written ``is``."""
    if of not in _known:
        own = [each for each in fields(of) if each.metadata]
        own.sort(key=lambda each: not each.metadata["option"].required)
        _known[of] = {each.name.rstrip("_"): each.metadata["option"] for each in own}
    return _known[of]


def filled(of: type[Section], node: Mapping, values: Table[str, object]) -> Section:
    """A section with a value for each of its options, by name."""
    names = {f"{key}_" if iskeyword(key) else key: value for key, value in values.items()}
    make: Any = of
    made: Section = make(node=node, **names)
    return made


def sections(shape: Shape) -> Iterator[type[Section]]:
    """The sections that a value of this shape leads to."""
    match shape:
        case Record(of) | Short(_, of):
            yield of
        case Variant(_, cases):
            yield from cases.values()
        case MapOf(_, value, _) | ListOf(value, _, _):
            yield from sections(value)
        case _:
            return
