"""Numbers as people write them: ``100 ms``, ``4.2 bar``, ``50 per s``, ``256 MB``.

Numbers are decimal, with a point: no ``0x``, no ``1_000``, no ``inf``. A message says what to write
instead.
"""

import math
import re
from typing import NamedTuple

DURATIONS = {
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60 * 1_000_000_000,
    "h": 3600 * 1_000_000_000,
    "d": 86_400 * 1_000_000_000,
}
"""Unit of time → nanoseconds."""

SIZES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}
"""Unit of size → bytes."""

_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_NUMERIC = re.compile(_NUMBER)
_WITH_UNIT = re.compile(rf"({_NUMBER})\s*(.*)", re.DOTALL)
_RATE = re.compile(r"(.*?)\s*\bper\s+([A-Za-z]+)", re.DOTALL)


class UnitError(ValueError):
    """The text is no such number; the message says what to write."""


class Quantity(NamedTuple):
    """A number and the unit written behind it ("": none)."""

    value: float
    unit: str = ""


def parse_number(text: str) -> float:
    """Read ``4.2``, ``-7`` or ``1e3``.

    Raises:
        UnitError: it is no finite decimal number.
    """
    if not _NUMERIC.fullmatch(text):
        comma = text.replace(",", ".", 1)
        cure = f"Write {comma}" if _NUMERIC.fullmatch(comma) else "Write it like 4.2"
        raise UnitError(f"{text!r} is no number. {cure}")
    value = float(text)
    if math.isinf(value):
        raise UnitError(f"{text!r} is too large a number")
    return value


def parse_quantity(text: str) -> Quantity:
    """Read ``4.2 bar``, or ``4.2`` without a unit.

    Raises:
        UnitError: it does not begin with a number.
    """
    return _split(text, "number with a unit", "4.2 bar")


def parse_rate(text: str) -> Quantity:
    """Read ``50 per s`` or ``3 bar per min``: the change in one second.

    Raises:
        UnitError: it is no quantity per unit of time.
    """
    match = _RATE.fullmatch(text)
    if not match or match[2] not in DURATIONS:
        raise UnitError(f"{text!r} is no rate. Write the change and in what time, like 50 per s")
    change = parse_quantity(match[1])
    return Quantity(change.value * 1e9 / DURATIONS[match[2]], change.unit)


def parse_duration(text: str) -> int:
    """Read ``100 ms``, ``1.5 s`` or ``8 h`` as nanoseconds.

    Raises:
        UnitError: it is no number with a unit of time.
    """
    return _scaled(text, DURATIONS, "duration", "100 ms")


def parse_size(text: str) -> int:
    """Read ``256 MB`` as bytes.

    Raises:
        UnitError: it is no number with a unit of size.
    """
    return _scaled(text, SIZES, "size", "256 MB")


def _split(text: str, what: str, example: str) -> Quantity:
    match = _WITH_UNIT.fullmatch(text)
    if not match or match[2][:1] in {".", ":"}:
        raise UnitError(f"{text!r} is no {what}. Write it like {example}")
    if match[2][:1] == ",":
        raise UnitError(f"{text!r}: decimals stand behind a point. Write {text.replace(',', '.')}")
    return Quantity(parse_number(match[1]), match[2].rstrip())


def _scaled(text: str, units: dict[str, int], what: str, example: str) -> int:
    value, unit = _split(text, what, example)
    if not value:
        return 0
    if not unit:
        raise UnitError(f"{text!r} has no unit. Write it like {example} ({', '.join(units)})")
    if unit not in units:
        raise UnitError(f"{unit!r} is no unit of a {what}. There are {', '.join(units)}")
    scaled = value * units[unit]
    if not abs(scaled) < 2**62:
        raise UnitError(f"{text!r} is too large a {what}")
    return round(scaled)


def format_duration(ns: int) -> str:
    """``100 ms``, ``1.5 s``, ``8 h``: the largest unit that needs no more than three decimals."""
    for unit in ("d", "h", "min", "s", "ms"):
        value = ns / DURATIONS[unit]
        if abs(value) >= 1 and (unit in {"s", "ms"} or value == int(value)):
            return f"{value:.3f}".rstrip("0").rstrip(".") + f" {unit}"
    return f"{ns / DURATIONS['us']:g} us" if ns else "0 s"


def format_size(size: int) -> str:
    """``256 MB``, ``1.5 GB``."""
    for unit in ("GB", "MB", "kB"):
        if size >= SIZES[unit]:
            return f"{size / SIZES[unit]:.4g} {unit}"
    return f"{size} B"


def format_number(value: float) -> str:
    """A number without a tail of zeros: ``600``, ``4.2``."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
