"""What a few registers could mean: every type and order side by side, and which of them is likely.

Nobody can know from the bits alone. What helps is that a process value has a size that people use,
that setpoints and test values have few digits, and above all that a living value moves a little
from one look to the next: in a wrong order its fast bytes stand where the exponent is, and it
leaps. So the registers are looked at several times, and each candidate is judged by its series:

float   of a size people use; it has few digits, or it lives: moves a little, down to its low bits
32, 64  whole numbers that need their size: possible; a counter, which only ever rises: good
16 bit  any pattern is a small number: it is good when it moves a little, or has one or two digits
BCD     digits and nothing else: possible; good when it counts over a nine where hexadecimal leaps
text    letters in a row that stand still
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise
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

_SMALLEST, _LARGEST = 1e-3, 1e7
_WHOLE = {2: (1 << 16, 1e9), 4: (1 << 32, 1e15)}
"""By registers: below, half of them would do; from there on no count of a plant is so large. A
counter may fill its type."""

_USUAL = ("AB", "ABCD", "CDAB", "ABCDEFGH", "GHEFCDAB")
_LEAP, _FAINT = 0.05, 2e-6
"""Of its size: what moves more is in a wrong order, what moves less is no measurement (a converter
of 16 bits has steps of 1.5e-5)."""

_WIDE_LEAP, _ENOUGH = 0.5, 4
"""A small noisy value moves by more; in a usual order and over so many looks it is still likelier
than that the fast bytes of another stayed within a factor of two."""

_FINE_STEPS = 32
"""A living float moves far in the register behind its first one; small counts do not."""

_FEW_DIGITS = 5
_ROUND_DIGITS = 2
"""Of a still number of 16 bits that somebody has set: 50, 1200."""

_RISES = 3
_CARRY = 4
"""Where digits are counted over a nine, hexadecimal moves at least so many times as far."""

_RARE = {
    **dict.fromkeys((ValueType.INT32, ValueType.UINT32, ValueType.INT64, ValueType.UINT64), 10.0),
    **dict.fromkeys((ValueType.BCD16, ValueType.BCD32), 20.0),
}
"""What seldom comes by chance counts for more, once it is good."""

_LETTERS, _SHORTEST_TEXT = 0.7, 2
"""The share of letters and digits in a text, and its registers."""


class Likelihood(IntEnum):
    """How well a candidate fits what people measure."""

    NO = 0
    POSSIBLE = 1
    GOOD = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to read the registers from ``place`` on. ``values`` are in order of the looks.

    ``length`` is that of a text, in registers.
    """

    place: int
    type: ValueType
    order: str
    values: tuple[Scalar, ...]
    likelihood: Likelihood = Likelihood.NO
    length: int = 0

    @property
    def value(self) -> float:
        """What it last was; a text is no number."""
        return math.nan if self.type is ValueType.TEXT else float(self.values[-1])

    @property
    def registers(self) -> int:
        """How many it fills."""
        return self.length or self.type.registers


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
    numbers = [
        _judged(Candidate(*way, each), looks) for way, each in zip(ways, series, strict=True)
    ]
    return (*_doubted(numbers), *_texts(looks))


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


def _doubted(numbers: Sequence[Candidate]) -> Iterator[Candidate]:
    """Half of what may well be a float moves like a number of 16 bits too: so that is doubtful."""
    covered = {
        place
        for each in numbers
        if each.likelihood and each.type in _FLOATS and each.order in _USUAL
        for place in range(each.place, each.place + each.registers)
    }
    for each in numbers:
        is_doubtful = each.registers == 1 and each.likelihood and each.place in covered
        yield replace(each, likelihood=Likelihood.POSSIBLE) if is_doubtful else each


def _judged(candidate: Candidate, looks: Sequence[bytes]) -> Candidate:
    if candidate.type in _FLOATS:
        likelihood = _float(candidate, looks)
    elif candidate.type in (ValueType.BCD16, ValueType.BCD32):
        likelihood = _digits_only(candidate, looks)
    elif candidate.registers == 1:
        likelihood = _small(candidate)
    else:
        likelihood = _whole(candidate, looks)
    return replace(candidate, likelihood=likelihood)


def _float(candidate: Candidate, looks: Sequence[bytes]) -> Likelihood:
    numbers = [float(value) for value in candidate.values]
    if not all(map(math.isfinite, numbers)):
        return Likelihood.NO
    far = _WIDE_LEAP if len(looks) >= _ENOUGH and candidate.order in _USUAL else _LEAP
    if not _SMALLEST <= max(map(abs, numbers)) < _LARGEST or _move(candidate) > far:
        return Likelihood.NO
    lives = _move(candidate) >= _FAINT and _spread(candidate, "D", looks) >= _FINE_STEPS
    return Likelihood.GOOD if lives or _digits(candidate) <= _FEW_DIGITS else Likelihood.POSSIBLE


def _whole(candidate: Candidate, looks: Sequence[bytes]) -> Likelihood:
    """A still one is never better than possible: two counts of 16 bits look just the same.

    One that moves moves in its low register; a smaller one would need no second register.
    """
    smallest, largest = _WHOLE[candidate.registers]
    size = abs(candidate.value)
    if size < smallest or candidate.order not in _USUAL:
        return Likelihood.NO
    if _counts(candidate) and _spread(candidate, "A", looks) <= 1:
        return Likelihood.GOOD
    is_steady = size < largest and not _spread(candidate, "A", looks)
    return Likelihood.POSSIBLE if is_steady else Likelihood.NO


def _counts(candidate: Candidate) -> bool:
    """Whether it only ever rises, and never far."""
    numbers = [float(value) for value in candidate.values]
    steps = [after - before for before, after in pairwise(numbers)]
    rises = sum(step > 0 for step in steps)
    return min(numbers) > 0 and rises >= _RISES and min(steps) >= 0 and _move(candidate) < _LEAP


def _small(candidate: Candidate) -> Likelihood:
    if not candidate.value or candidate.order not in _USUAL:
        return Likelihood.NO
    move = _move(candidate)
    if move > _LEAP:
        return Likelihood.NO
    digits = len(f"{abs(candidate.value):.0f}".rstrip("0"))
    return Likelihood.GOOD if move or digits <= _ROUND_DIGITS else Likelihood.POSSIBLE


def _digits_only(candidate: Candidate, looks: Sequence[bytes]) -> Likelihood:
    """Where the digits move less than the bits would have to, they are digits."""
    numbers = [float(value) for value in candidate.values]
    smallest = 10 ** (2 * candidate.registers)
    usual = candidate.order in _USUAL and all(map(math.isfinite, numbers))
    if not usual or max(numbers) < smallest or _move(candidate) > _LEAP:
        return Likelihood.NO
    low = _spread(candidate, "D" if candidate.registers > 1 else "B", looks)
    moved = max(numbers) - min(numbers)
    return Likelihood.GOOD if moved and low >= _CARRY * moved else Likelihood.POSSIBLE


def _texts(looks: Sequence[bytes]) -> Iterator[Candidate]:
    """Letters that stand still, each run as long as it goes; a NUL may end it."""
    data = looks[-1]
    still = [len({look[at : at + 2] for look in looks}) == 1 for at in range(0, len(data), 2)]
    begin = 0
    for place in range(len(still) + 1):
        word = data[2 * place : 2 * place + 2]
        if place < len(still) and still[place] and all(32 <= byte < 127 for byte in word):
            continue
        ends = place < len(still) and still[place] and 32 <= word[0] < 127 and not word[1]
        end = place + 1 if ends else place
        text = data[2 * begin : 2 * end].rstrip(b"\0 ").decode("ascii", "replace")
        if end - begin >= _SHORTEST_TEXT and _reads_well(text):
            yield Candidate(begin, ValueType.TEXT, "", (text,), Likelihood.GOOD, end - begin)
        begin = place + 1


def _reads_well(text: str) -> bool:
    wordly = sum(letter.isalnum() for letter in text)
    return any(letter.isalpha() for letter in text) and wordly >= _LETTERS * len(text)


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
    end = max((each.place + each.registers for each in good), default=0)
    chosen: list[tuple[float, tuple[Candidate, ...]]] = [(0.0, ())] * (end + 1)
    for place in range(end - 1, -1, -1):
        chosen[place] = chosen[place + 1]
        for each in good:
            if each.place != place:
                continue
            value, behind = chosen[place + each.registers]
            if value + _weight(each) > chosen[place][0]:
                chosen[place] = (value + _weight(each), (each, *behind))
    return chosen[0][1]


def _weight(candidate: Candidate) -> float:
    if candidate.type is ValueType.TEXT:
        return 100.0 * candidate.registers  # less than a number of few digits: 101.3 is @YS33333
    usual = 2.0 if candidate.order in _USUAL else 0.0
    smooth = 3.0 + _smoothness(candidate) if candidate.type in _FLOATS else 0.0
    near = 1.0 if abs(candidate.value) < 1 << 15 else 0.0  # -5 is likelier than 65531
    rare = _RARE.get(candidate.type, 0.0)
    return 100.0 * candidate.registers + usual + smooth + near + rare


def _smoothness(candidate: Candidate) -> float:
    """Large where the value moves little for its size: in a wrong order it moves more."""
    move = _move(candidate)
    return -3.0 * math.log10(max(move, _FAINT)) if move else 0.0


def _move(candidate: Candidate) -> float:
    """How far the value went between the looks, for its size."""
    numbers = [float(value) for value in candidate.values]
    return (max(numbers) - min(numbers)) / (max(map(abs, numbers)) or 1.0)


def text_of(look: bytes) -> str:
    """The registers as letters, with a point for what is none."""
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in look)
