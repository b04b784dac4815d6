"""A plan while it is compiled: the tags there are so far, every name, and what is wrong."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from edgetwin.config.node import Node, Place, Scalar
from edgetwin.config.option import Section
from edgetwin.config.problem import Problems, did_you_mean, shown
from edgetwin.core.expression import Expression
from edgetwin.core.tags import Tag, ValueType
from edgetwin.core.units import Quantity, format_number

CREDENTIAL = "credential:"


@dataclass(slots=True)
class Draft:
    """What the compilers of devices, assets and loops hand on to each other.

    ``names`` holds every tag that the file declares, under each of its names; None where what
    declares it is wrong, so that whoever refers to it is not blamed as well.
    """

    problems: Problems
    base: Path
    credentials: Path = Path("/run/credentials/edgetwin.service")
    tags: list[Tag] = field(default_factory=list)
    names: dict[str, int | None] = field(default_factory=dict)
    spoilt: set[str] = field(default_factory=set)
    hints: int = 50  # a search among 5,000 names costs 50 ms; who misspells more knows by then

    def add(self, tag: Tag) -> int:
        """Take a tag in, at the index that it carries."""
        self.tags.append(tag)
        self.names[tag.name] = tag.index
        return tag.index

    def find(self, name: str, place: Place) -> int | None:
        """The tag of a name. None: there is none, which is then told, or it is wrong itself."""
        if name not in self.names and name.partition("/")[0] not in self.spoilt:
            self.problems.at(place, f"there is no tag {shown(name)}.{self._hint(name)}")
        return self.names.get(name)

    def find_number(self, name: str, place: Place) -> int | None:
        """The tag of a name, unless it is a text, which is then told."""
        tag = self.find(name, place)
        if tag is not None and _is_text(self.tags[tag]):
            self.problems.at(place, f"'{name}' is a text; only numbers can be used here")
            return None
        return tag

    def find_inputs(
        self, expression: Expression, node: Node, owner: str = "", own: Iterable[str] = ()
    ) -> tuple[int, ...] | None:
        """The tags of an expression in order of its names. None unless all are there.

        Bare names are the tags of ``owner``, but those in ``own``, which are no tags.
        """
        found: list[int | None] = []
        for name, column in zip(expression.names, expression.columns, strict=True):
            if name in own:
                continue
            full = f"{owner}/{name}" if owner and "/" not in name else name
            place = node.spot(column) if isinstance(node, Scalar) else node.place
            found.append(self.find_number(full, place))
        known = tuple(each for each in found if each is not None)
        return known if len(known) == len(found) else None

    def _hint(self, name: str) -> str:
        """Among the names of the same owner, if there is one; else among all."""
        self.hints -= 1
        if self.hints < 0:
            return " Compare it with the tags below devices:"
        owner, slash, last = name.partition("/")
        theirs = {each.partition("/")[2]: each for each in self.names if owns(owner, each)}
        longer = [each for each in theirs if each.startswith(f"{last}-")]
        if longer:
            minus = "in an expression a '-' is a minus: give the tag a short name below assets:"
            return f" Did you mean '{owner}/{longer[0]}'? ({minus})"
        if theirs:
            meant = did_you_mean(last, theirs)
            return meant.replace(" '", f" '{owner}/") or f" (There are: {', '.join(theirs)[:200]})"
        same = [each for each in self.names if each.endswith(f"/{name}")]
        if same and not slash:
            return f" Did you mean '{same[0]}'?"
        return did_you_mean(name, self.names) or " Write it as device/tag or asset/tag"

    def amount(self, quantity: Quantity, unit: str, place: Place) -> float:
        """A number in the unit of its tag; NaN, which offends nobody, after telling it is not."""
        if quantity.unit and quantity.unit != unit:
            given = f"'{format_number(quantity.value)} {quantity.unit}'"
            text = f"{given}: the tag is in {unit}. Convert the value to {unit}"
            if not unit:
                text = f"{given}: the tag has no unit. Give it one, or write the number alone"
            self.problems.at(place, text)
            return float("nan")
        return quantity.value

    def span(self, section: Section, pair: tuple[Quantity, ...], unit: str) -> tuple[float, float]:
        """The bounds of ``range``; (-inf, inf) without."""
        place = section.place("range")
        if not pair:
            return (float("-inf"), float("inf"))
        low, high = (self.amount(each, unit, place) for each in pair)
        if low >= high:
            text = f"the range begins at {format_number(low)} and ends at {format_number(high)}"
            self.problems.at(place, f"{text}. Write the lower value first")
        return low, high

    def path(self, text: str | None) -> Path | None:
        """A file that an option names; a relative path starts at the configuration's folder.

        ``credential:NAME`` is a file that the service manager hands over (LoadCredential=NAME:…).
        """
        if text and text.startswith(CREDENTIAL):
            return self.credentials / text.removeprefix(CREDENTIAL)
        return self.base / text if text else None


def owns(owner: str, name: str) -> bool:
    """Whether a tag's name is one of a device, asset or loop."""
    return name.partition("/")[0] == owner


def _is_text(tag: Tag) -> bool:
    return tag.type is ValueType.TEXT or (tag.write is not None and bool(tag.write.texts))
