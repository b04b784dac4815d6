"""What a few registers could mean: every type and order side by side, and which of them is likely.

Nobody can know from the bits alone. What helps is that a process value has a size that people use,
that setpoints and test values have few digits, and above all that a living value moves a little
from one look to the next: in a wrong order its fast bytes stand where the exponent is, and it
leaps. So the registers are looked at several times, and each candidate is judged by its series.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TypeAlias

import numpy as np

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.decode import decoder_for
from edgetwin.core.reading import Scalar
from edgetwin.core.tags import Tag, ValueType

ORDERS = {
    1: ("AB", "BA"),
    2: ("ABCD", "CDAB", "BADC", "DCBA"),
    4: ("ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA", "CDABGHEF", "EFGHABCD"),
}
"""The orders that devices have, by registers; the usual ones first."""

TYPES = (
    *(ValueType.INT16, ValueType.UINT16, ValueType.BCD16),
    *(ValueType.FLOAT32, ValueType.INT32, ValueType.UINT32, ValueType.BCD32),
    *(ValueType.FLOAT64, ValueType.INT64, ValueType.UINT64),
)
_Way: TypeAlias = tuple[int, ValueType, str]
_FLOATS = (ValueType.FLOAT32, ValueType.FLOAT64)

_SMALLEST, _LARGEST, _LARGEST_WHOLE = 1e-3, 1e7, 1e9
_WHOLE = (ValueType.INT32, ValueType.UINT32, ValueType.INT64, ValueType.UINT64)
"""Of 16 bits or of digits any pattern is a small number: nothing speaks for or against it."""

_USUAL = ("ABCD", "CDAB", "ABCDEFGH", "GHEFCDAB")
_LEAP, _FAINT = 0.05, 2e-6
"""Of its size: what moves more is in a wrong order, what moves less is no measurement (a converter
of 16 bits has steps of 1.5e-5)."""

_FINE_STEPS = 32
"""A living float moves far in the register behind its first one; small counts do not."""

_FEW_DIGITS = 5


class Likelihood(IntEnum):
    """How well a candidate fits what people measure."""

    NO = 0
    POSSIBLE = 1
    GOOD = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to read the registers from ``place`` on. ``values`` are in order of the looks."""

    place: int
    type: ValueType
    order: str
    values: tuple[Scalar, ...]
    likelihood: Likelihood = Likelihood.NO

    @property
    def value(self) -> float:
        """What it last was."""
        return float(self.values[-1])


def candidates(looks: Sequence[bytes]) -> tuple[Candidate, ...]:
    """Every way to read some registers.

    Args:
        looks: the same registers, once or several times, as the device sends them.
    """
    count = len(looks[-1]) // 2
    ways = [
        (place, kind, order)
        for kind in TYPES
        for order in ORDERS[kind.registers]
        for place in range(count - kind.registers + 1)
    ]
    series = _series(looks, ways)
    return tuple(
        _judged(Candidate(*way, each), looks) for way, each in zip(ways, series, strict=True)
    )


def _series(looks: Sequence[bytes], ways: Sequence[_Way]) -> Iterator[tuple[Scalar, ...]]:
    """By the decoder that a running gateway uses: what is seen here is what will be read there."""
    tags = [
        Tag(i, "candidate", type=kind, address=ModbusAddress(Table.HOLDING, place), order=order)
        for i, (place, kind, order) in enumerate(ways)
    ]
    if not tags:
        return
    decoder = decoder_for(tags, 0)
    columns = [decoder.decode(look) for look in looks]
    exact = [dict(column.objects) for column in columns]
    for i in range(len(tags)):
        yield tuple(
            known.get(i, float(column.values[i]))
            for known, column in zip(exact, columns, strict=True)
        )


def _judged(candidate: Candidate, looks: Sequence[bytes]) -> Candidate:
    if candidate.type in _FLOATS:
        likelihood = _float(candidate, looks)
    elif candidate.type in _WHOLE:
        likelihood = _whole(candidate, looks)
    else:
        return candidate
    return replace(candidate, likelihood=likelihood)


def _float(candidate: Candidate, looks: Sequence[bytes]) -> Likelihood:
    numbers = [float(value) for value in candidate.values]
    if not all(map(math.isfinite, numbers)):
        return Likelihood.NO
    if not _SMALLEST <= max(map(abs, numbers)) < _LARGEST or _move(candidate) > _LEAP:
        return Likelihood.NO
    lives = _move(candidate) >= _FAINT and _spread(candidate, "D", looks) >= _FINE_STEPS
    return Likelihood.GOOD if lives or _digits(candidate) <= _FEW_DIGITS else Likelihood.POSSIBLE


def _whole(candidate: Candidate, looks: Sequence[bytes]) -> Likelihood:
    """Never better than possible: two counts of 16 bits side by side look just the same.

    One that moves moves in its low register; a smaller one would need no second register.
    """
    size = abs(candidate.value)
    if not 1 << 16 <= size < _LARGEST_WHOLE or candidate.order not in _USUAL:
        return Likelihood.NO
    return Likelihood.NO if _spread(candidate, "A", looks) else Likelihood.POSSIBLE


def _spread(candidate: Candidate, letter: str, looks: Sequence[bytes]) -> int:
    """How far the register that holds a byte of the value went, as a number of that order."""
    pair = candidate.order.index(letter) // 2 * 2
    at = 2 * candidate.place + pair
    swapped = candidate.order[pair] > candidate.order[pair + 1]
    words = [int.from_bytes(look[at : at + 2], "little" if swapped else "big") for look in looks]
    return max(words) - min(words)


def _digits(candidate: Candidate) -> int:
    """The digits that it takes to write the value so that its type knows it again."""
    value = candidate.value
    short = np.format_float_scientific(
        np.float32(value) if candidate.type is ValueType.FLOAT32 else value, trim="-"
    )
    return sum(each.isdigit() for each in short.partition("e")[0])


def best(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The good ones that explain most registers together, none over those of another.

    The two halves of a float64 are seldom two good float32, while two float32 can look like one
    float64: so first the number of registers explained counts, then usual orders, and floats.
    """
    good = [each for each in found if each.likelihood is Likelihood.GOOD]
    end = max((each.place + each.type.registers for each in good), default=0)
    chosen: list[tuple[float, tuple[Candidate, ...]]] = [(0.0, ())] * (end + 1)
    for place in range(end - 1, -1, -1):
        chosen[place] = chosen[place + 1]
        for each in good:
            if each.place != place:
                continue
            value, behind = chosen[place + each.type.registers]
            if value + _weight(each) > chosen[place][0]:
                chosen[place] = (value + _weight(each), (each, *behind))
    return chosen[0][1]


def _weight(candidate: Candidate) -> float:
    usual = 2.0 if candidate.order in _USUAL else 0.0
    smooth = 3.0 + _smoothness(candidate) if candidate.type in _FLOATS else 0.0
    return 100.0 * candidate.type.registers + usual + smooth


def _smoothness(candidate: Candidate) -> float:
    """Large where the value moves little for its size: in a wrong order it moves more."""
    move = _move(candidate)
    return -3.0 * math.log10(max(move, _FAINT)) if move else 0.0


def _move(candidate: Candidate) -> float:
    """How far the value went between the looks, for its size."""
    numbers = [float(value) for value in candidate.values]
    return (max(numbers) - min(numbers)) / max(map(abs, numbers))


def text_of(look: bytes) -> str:
    """The registers as letters, with a point for what is none."""
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in look)
