"""Tags: what edgetwin knows about each value before the first one arrives."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ValueType(StrEnum):
    """How a value lies in the device. ``auto``: the device says it itself (OPC UA)."""

    BIT = "bit"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BCD16 = "bcd16"
    BCD32 = "bcd32"
    TEXT = "text"
    AUTO = "auto"

    @property
    def registers(self) -> int:
        """How many 16-bit registers a value fills (bit: 1 item); 0 where the type does not say."""
        if self in (ValueType.TEXT, ValueType.AUTO):
            return 0
        return 1 if self is ValueType.BIT else int(self.value[-2:]) // 16


@dataclass(frozen=True, slots=True)
class CurrentLoop:
    """A raw 4-20 mA signal, judged by NAMUR NE 43: what the device holds at 4 and at 20 mA."""

    at_4_ma: float
    at_20_ma: float


class ReportBy(StrEnum):
    """How a subscriber gets from the points of a report to the values in between.

    ``step``: a point holds until the next. ``line``: straight from point to point.
    """

    STEP = "step"
    LINE = "line"


@dataclass(frozen=True, slots=True)
class Report:
    """What of a tag is told by exception: points from which each reading follows within ``within``.

    ``every`` ns: at the latest then there is another point, as long as the tag is measured.
    """

    by: ReportBy
    within: float
    every: int


@dataclass(frozen=True, slots=True)
class Counter:
    """A value that only goes up, but for resets to zero and, finite, wraps at ``wraps``."""

    wraps: float = math.inf


class TagKind(StrEnum):
    """Where a tag's value comes from."""

    MEASURED = "measured"
    DERIVED = "derived"
    LOOP = "loop"
    DETECTOR = "detector"


@dataclass(frozen=True, slots=True)
class WriteLimits:
    """What may ever be written to a tag: the technician's word, in engineering units.

    The guard checks each write against it. ``rate`` is the largest change per second (inf: none);
    a new value closer than ``deadband`` to what stands is not worth a write; ``tolerance`` is how
    far the read-back may differ (the resolution of the device's type). ``read_back`` is False only
    where the device shows something else at that place; then its word is all there is.

    Of a text each that may be written is in ``texts``. From the wish to the device it is a number,
    its place in there; another text is -1.
    """

    low: float
    high: float
    rate: float = math.inf
    deadband: float = 0.0
    tolerance: float = 0.0
    read_back: bool = True
    texts: tuple[str, ...] = ()

    def number_of(self, text: object) -> float:
        """The number that stands for a text."""
        return float(self.texts.index(text)) if text in self.texts else -1.0

    def text_of(self, number: float) -> str:
        """The text that a number stands for."""
        return self.texts[int(number)] if 0 <= number < len(self.texts) else ""


@dataclass(frozen=True, slots=True)
class Tag:
    """One named value. ``index`` is its place in every column of the twin.

    ``address`` is the driver's own (core.address), None where no device holds it. ``low``/``high``
    are the range of the engineering unit (a value outside is uncertain). ``period`` ns is how often
    a new value is due; it is stale after two. ``frozen_after`` ns (0: never) is how long a living
    sensor may show exactly the same value. ``order`` is how the bytes lie in the device, a
    permutation of ``AB``, ``ABCD`` or ``ABCDEFGH`` ("": most significant first); ``length`` is how
    many registers a text fills. ``no_value`` are the bit patterns (most significant byte first) by
    which the device says that it has none; ``current`` is set where it holds a raw 4-20 mA signal.
    A change of less than ``deadband`` need not be reported, or of less than ``deadband_share`` (to
    1) of the range that the device itself tells of. ``method`` is what the driver calls with a new
    value (core.nodes), None where it writes to ``address``. ``summary`` is which
    summaries tell of it: those of the upstream's window (""), those of a class, or none (None).
    ``states`` name its whole values. ``array`` names the array it is an element of ("": of none).
    """

    index: int
    name: str
    kind: TagKind = TagKind.MEASURED
    type: ValueType = ValueType.AUTO
    unit: str = ""
    device: int = -1
    address: object = None
    period: int = 1_000_000_000
    low: float = -math.inf
    high: float = math.inf
    scale: float = 1.0
    offset: float = 0.0
    deadband: float = 0.0
    deadband_share: float = 0.0
    frozen_after: int = 0
    order: str = ""
    length: int = 0
    no_value: tuple[int, ...] = ()
    current: CurrentLoop | None = None
    write: WriteLimits | None = None
    method: object = None
    summary: str | None = ""
    report: Report | None = None
    counter: Counter | None = None
    states: tuple[tuple[int, str], ...] = ()
    place: str = ""
    array: str = ""

    @property
    def registers(self) -> int:
        """How many 16-bit registers the value fills in a Modbus device."""
        return self.length or self.type.registers


@dataclass(frozen=True, slots=True)
class TagTable:
    """All tags by index and by name (``device/tag``, and ``asset/tag`` as a second name)."""

    tags: tuple[Tag, ...]
    aliases: Mapping[str, int] = field(default_factory=dict)
    _index: dict[str, int] = field(init=False, repr=False)
    _arrays: dict[str, tuple[int, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index the names."""
        names = {tag.name: tag.index for tag in self.tags}
        object.__setattr__(self, "_index", {**self.aliases, **names})
        arrays: dict[str, tuple[int, ...]] = {}
        for tag in self.tags:
            if tag.array:
                arrays[tag.array] = (*arrays.get(tag.array, ()), tag.index)
        object.__setattr__(self, "_arrays", arrays)

    def __len__(self) -> int:
        """How many tags there are: the length of every twin column."""
        return len(self.tags)

    def __getitem__(self, index: int) -> Tag:
        """The tag at a place in the twin."""
        return self.tags[index]

    def __iter__(self) -> Iterator[Tag]:
        """All tags in order of index."""
        return iter(self.tags)

    def find(self, name: str) -> int | None:
        """The index of a tag by either of its names."""
        return self._index.get(name)

    def elements(self, array: str) -> tuple[int, ...]:
        """The indices of an array's elements in their order; () where no array has this name."""
        return self._arrays.get(array, ())

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that ``find`` knows."""
        return tuple(self._index)


@dataclass(frozen=True, slots=True)
class TypedAsset:
    """A machine of a type: twin indices by its own names for them.

    ``verdict`` is the index of its detector's verdict, -1: it is not watched.
    """

    name: str
    type: str
    tags: Mapping[str, int]
    verdict: int = -1
