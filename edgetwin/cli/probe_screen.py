"""What ``probe`` looks like: the registers side by side, below them every way to read them."""

import math
from collections.abc import Iterator, Sequence

from edgetwin.cli.screens import number
from edgetwin.cli.table import table
from edgetwin.core.address import ModbusAddress
from edgetwin.core.candidates import Candidate, Likelihood, best, candidates, text_of
from edgetwin.core.tags import ValueType

_COLUMNS = 4
"""Registers side by side on a terminal of 100 columns."""

_FITS = 2
"""Readings of one register in an overview."""

_BITS_A_LINE = 16
_SMALL, _LARGE = 1e-6, 1e12
"""What lies outside is no measurement: its size is told, not its digits."""

_NARROW = (ValueType.INT16, ValueType.UINT16)
"""They have columns of their own in an overview."""

_MARKS = {Likelihood.NO: "    ", Likelihood.POSSIBLE: " ?  ", Likelihood.GOOD: " <--"}


def registers_screen(head: str, first: ModbusAddress, looks: Sequence[bytes]) -> str:
    """Every type and order, the likely ones marked, and what to write into a configuration.

    Args:
        head: where this is.
        first: the place of the first register.
        looks: what the registers held, one look after the other.
    """
    found = candidates(looks)
    count = len(looks[-1]) // 2
    several = count > _COLUMNS
    shown = _overview(first, looks, found) if several else _side_by_side(first, looks, found)
    lines = [f"{head}, {_times(len(looks))}:", "", *shown, ""]
    return "\n".join([*lines, *_conclusion(first, best(found), len(looks))])


def _overview(
    first: ModbusAddress, looks: Sequence[bytes], found: Sequence[Candidate]
) -> Iterator[str]:
    """One line a register: what it holds, and what it could be the beginning of."""
    rows = []
    for place in range(len(looks[-1]) // 2):
        mine = [each for each in found if each.place == place]
        plain = {each.type: each for each in mine if each.order == "AB"}
        words = [look[2 * place : 2 * place + 2] for look in looks]
        star = "*" if len(set(words)) > 1 else " "
        numbers = (_cell(plain[kind]).strip() for kind in (ValueType.INT16, ValueType.UINT16))
        wide = [m for m in mine if m.likelihood and m.type not in _NARROW]
        could = sorted(wide, key=lambda each: -each.likelihood)
        first_of = {(each.order, each.values): each for each in reversed(could)}  # not uint as int
        fits = [f"{_way(m)} {_cell(m).rstrip()}" for m in could if m in first_of.values()]
        cells = (words[-1].hex().upper() + star, text_of(words[-1]), *numbers)
        rows.append((str(_at(first, place)), *cells, ",  ".join(fits[:_FITS])))
    yield from table(("REGISTER", "RAW", "LETTERS", "INT16", "UINT16", "COULD BE"), rows, (3, 4))


def _side_by_side(
    first: ModbusAddress, looks: Sequence[bytes], found: Sequence[Candidate]
) -> Iterator[str]:
    """One line a type and order, one column a register."""
    places = range(len(looks[-1]) // 2)
    words = [looks[-1][2 * place : 2 * place + 2] for place in places]
    stars = ["*" if len({k[2 * p : 2 * p + 2] for k in looks}) > 1 else " " for p in places]
    raw = (word.hex().upper() + star + "   " for word, star in zip(words, stars, strict=True))
    rows = [("raw", *raw), ("letters", *(text_of(word) + "    " for word in words))]
    rows += _rows(found, places)
    head = ("", *(f"{_at(first, place)}    " for place in places))
    yield from table(head, rows, range(1, len(head)))


def _rows(found: Sequence[Candidate], places: range) -> Iterator[tuple[str, ...]]:
    """One line for each way; what says no more than a line above it is left out."""
    known: set[tuple[int, tuple[str, ...]]] = set()
    ways = dict.fromkeys((each.type, each.order) for each in found)  # numbers, then the texts
    for kind, order in ways:
        mine = {c.place: c for c in found if (c.type, c.order) == (kind, order)}
        cells = tuple(_cell(mine.get(place)) for place in places)
        row = (kind.registers, cells)
        says_nothing = all(not cell.strip() for cell in cells)
        if not says_nothing and row not in known and not _is_idle(kind, mine, places):
            known.add(row)
            yield (f"{kind} {order}", *cells)


def _is_idle(kind: ValueType, mine: dict[int, Candidate], places: range) -> bool:
    """Digits that are none, or only zeros, are not worth a line."""
    if not kind.value.startswith("bcd"):
        return False
    values = [mine[place].value for place in places if place in mine]
    return all(math.isnan(value) or value == 0 for value in values)


def _cell(candidate: Candidate | None) -> str:
    if candidate is None:
        return ""
    return _shown(candidate) + _MARKS[candidate.likelihood]


def _way(candidate: Candidate) -> str:
    return f"{candidate.type} {candidate.order}".rstrip()


def _shown(candidate: Candidate) -> str:
    value = candidate.values[-1]
    if isinstance(value, str):
        return value
    size = abs(float(value))
    if math.isnan(size):
        return "-"
    if size and not _SMALL <= size < _LARGE:
        return f"{float(value):.0e}"
    if candidate.type in (ValueType.FLOAT32, ValueType.FLOAT64):
        return number(float(value))
    return f"{value:.0f}"


def _conclusion(first: ModbusAddress, likely: Sequence[Candidate], looks: int) -> Iterator[str]:
    yield "<-- size, digits or moves like a measurement    ? possible    * moved between looks"
    if not likely:
        more = "" if looks > 1 else " Or look more often: --looks 10."
        yield (
            "Nothing speaks clearly for one reading. Compare with the device's own display." + more
        )
        return
    yield "Compare with the device's own display. What fits best, as tags of a configuration:"
    for i, each in enumerate(likely, 1):
        at = f"at: {_at(first, each.place)}, type: {each.type}{_more(each)}"
        yield f"  value-{i}: {{{at}}}  # {_shown(each)}"


def _more(candidate: Candidate) -> str:
    """What a configuration has to say beside the type."""
    if candidate.length:
        return f", length: {candidate.length}"
    return "" if candidate.order == "AB" else f", order: {candidate.order}"


def bits_screen(head: str, first: ModbusAddress, count: int, looks: Sequence[bytes]) -> str:
    """Coils or discrete inputs, sixteen in a line."""
    lines = [f"{head}, {_times(len(looks))}:", ""]
    for start in range(0, count, _BITS_A_LINE):
        places = range(start, min(start + _BITS_A_LINE, count))
        cells = " ".join(_bit(looks, place) for place in places)
        lines.append(f"{_at(first, start)} to {_at(first, places[-1])}  {cells}")
    return "\n".join([*lines, "", "1 on    0 off    * moved between looks"])


def _bit(looks: Sequence[bytes], place: int) -> str:
    seen = [look[place // 8] >> place % 8 & 1 for look in looks]
    return f"{seen[-1]}{'*' if len(set(seen)) > 1 else ' '}"


def _at(first: ModbusAddress, place: int) -> ModbusAddress:
    return ModbusAddress(first.table, first.offset + place)


def _times(looks: int) -> str:
    return "one look" if looks == 1 else f"{looks} looks"
