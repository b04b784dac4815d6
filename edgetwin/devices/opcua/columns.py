"""What one reply says, as columns in the order that was asked for."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.quality import Quality
from edgetwin.core.reading import Bytes, Floats, Indices, Scalar, Times
from edgetwin.devices.opcua.status import qualities_of

ARRAY = 0x80
"""The bit of a Variant's encoding byte that says "array" (OPC 10000-6 §5.2.2.16)."""

DIMENSIONS = 0x40
"""The bit that says that the lengths of a matrix follow its elements."""

ALONE = np.uint8(ARRAY | DIMENSIONS)
"""What marks a value that is read as the one element of its array."""

NULL, BOOLEAN, INT64, UINT64 = 0, 1, 8, 9
STRING, DATETIME, GUID, BYTE_STRING, XML_ELEMENT = 12, 13, 14, 15, 16
STATUS_CODE, QUALIFIED_NAME, LOCALIZED_TEXT = 19, 20, 21
TYPE_NAMES = (
    *("Null", "Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64"),
    *("Float", "Double", "String", "DateTime", "Guid", "ByteString", "XmlElement", "NodeId"),
    *("ExpandedNodeId", "StatusCode", "QualifiedName", "LocalizedText", "ExtensionObject"),
    *("DataValue", "Variant", "DiagnosticInfo"),
)
"""The built-in types by number (OPC 10000-6 §5.1.2)."""

LONGEST_TEXT = 4096
"""A text of more characters is not taken as a value: it would be kept, and sent on each change."""

EPOCH = 116_444_736_000_000_000
"""1970-01-01 in ticks of 100 ns since 1601-01-01, the DateTime of OPC UA (OPC 10000-6 §5.2.2.5)."""
_LAST_TICK = EPOCH + ((1 << 63) - 1) // 100

MOST_ELEMENTS = 1000
"""So many elements of an array can be tags."""

TAKEN = np.zeros(256, bool)
TAKEN[[*range(17), STATUS_CODE, QUALIFIED_NAME, LOCALIZED_TEXT]] = True
"""By encoding byte: what is a value for the twin."""


MOST_AT_ONCE, MOST_EXACT = 2000, 100
"""Numbers, and exact values among them, that are handed on in one turn of the loop."""


class Array(NamedTuple):
    """The first elements of an array of ``length``, as they are on the wire (texts as texts)."""

    kind: int
    length: int
    values: tuple[Any, ...]


@dataclass(slots=True)
class Columns:
    """n readings, filled in by a decoder.

    ``values``  float64[n], NaN where nothing fits; a DateTime as seconds since 1970
    ``status``  uint32[n] StatusCodes
    ``ticks``   int64[n] source timestamps in 100 ns since 1601, 0: none
    ``types``   uint8[n] the Variants' encoding bytes: built-in type, and the ARRAY bit
    ``objects`` (place, exact value) of texts and 64-bit integers, and (place, Array); in order
    """

    values: Floats
    status: NDArray[np.uint32]
    ticks: Times
    types: Bytes
    objects: list[tuple[int, Scalar | Array]] = field(default_factory=list)

    @classmethod
    def empty(cls, n: int) -> "Columns":
        """Room for n readings, none of them there yet."""
        return cls(
            np.full(n, np.nan), np.zeros(n, np.uint32), np.zeros(n, np.int64), np.zeros(n, np.uint8)
        )

    def some(self, places: NDArray[np.intp]) -> "Columns":
        """Only these of the readings, in this order."""
        new = {int(old): i for i, old in enumerate(places)} if self.objects else {}
        objects = [(new[place], value) for place, value in self.objects if place in new]
        return self._at(places, objects)

    def parts(self) -> Iterator[tuple[int, "Columns"]]:
        """All of it in parts that are handed on within half a millisecond each, by first place.

        It is used up by that.
        """
        n = len(self.values)
        if n <= MOST_AT_ONCE and len(self.objects) <= MOST_EXACT:
            yield 0, self
            return
        left, first = deque(self.objects), 0
        self.objects = []  # thousands of texts that go all at once would be a slice of their own
        while first < n:
            end = min(first + MOST_AT_ONCE, n)
            objects: list[tuple[int, Scalar | Array]] = []
            while left and left[0][0] < end and len(objects) < MOST_EXACT:
                place, value = left.popleft()
                objects.append((place - first, value))
            if left:
                end = min(end, left[0][0])
            yield first, self._at(slice(first, end), objects)
            first = end

    def _at(self, at: Indices, objects: list[tuple[int, Scalar | Array]]) -> "Columns":
        return Columns(self.values[at], self.status[at], self.ticks[at], self.types[at], objects)

    @property
    def quality(self) -> Bytes:
        """uint8[n]: the server's word, and ours where a good status comes with nothing to use."""
        quality = qualities_of(self.status)
        odd = ~np.isfinite(self.values)
        if not (odd.any() or (self.types & ARRAY).any()):
            return quality
        odd[[place for place, value in self.objects if not isinstance(value, Array)]] = False
        usable = quality < Quality.BAD
        quality[odd & usable] = Quality.NOT_A_NUMBER
        quality[usable & ~TAKEN[self.types]] = Quality.CONFIG_ERROR
        return quality

    @property
    def source_time(self) -> Times:
        """int64[n] UTC ns since 1970 by the server's clock; 0 where it gives none or nonsense."""
        known = (self.ticks > EPOCH) & (self.ticks < _LAST_TICK)
        if known.all():
            return (self.ticks - EPOCH) * 100
        return np.where(known, np.where(known, self.ticks, EPOCH) - EPOCH, 0) * 100
