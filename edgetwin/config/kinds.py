"""The kinds of value an option can hold: words, numbers, expressions.

A kind is its title and the function that reads it from the text as it stands in the file. That
function gives the value, or raises ``Wrong`` (or the error of the core) with what is wrong and the
cure. Places on the network and on disk are in ``config.places``.
"""

import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from edgetwin.config.problem import did_you_mean, shown
from edgetwin.core.expression import (
    CONSTANTS,
    FUNCTIONS,
    Expression,
    ExpressionError,
    parse_expression,
)
from edgetwin.core.units import (
    Quantity,
    UnitError,
    format_number,
    parse_duration,
    parse_number,
    parse_quantity,
    parse_rate,
    parse_size,
)


class Wrong(ValueError):
    """The text is no value of its kind. ``column`` (from 1) is where in it the trouble begins."""

    def __init__(self, text: str, column: int = 0) -> None:
        super().__init__(text)
        self.column = column


@dataclass(frozen=True, slots=True)
class Kind:
    """What people call it ("a duration from 1 ms to 1 h"), and how it is read."""

    title: str
    read: Callable[[str], object]


# ---------------------------------------------------------------- words


def _read_text(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise Wrong(f"{shown(text)} is no text that people can read. Write it on one line")
    return text


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UNFIT = re.compile(r"[^A-Za-z0-9_-]+")


def _read_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        cure = _UNFIT.sub("-", text).strip("-")[:64]
        written = f" Write {cure}" if cure else ""
        raise Wrong(
            f"{shown(text)} is no name: 1 to 64 letters (a to z), digits, '-' or '_'.{written}"
        )
    return text


def _read_peer_name(text: str) -> str:
    if text == "loop":
        raise Wrong("'loop' is where the values of control loops stand. Choose another name")
    return _read_name(text)


_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def _read_alias(text: str) -> str:
    if not _ALIAS.fullmatch(text):
        raise Wrong(
            f"{shown(text)} cannot stand in an expression. "
            "Use letters (a to z), digits and '_', a letter first"
        )
    if text in CONSTANTS or text in FUNCTIONS or keyword.iskeyword(text):
        raise Wrong(f"'{text}' has a meaning of its own in expressions. Choose another name")
    if text in {"score", "verdict"}:
        raise Wrong(f"'{text}' is a value of the detector. Choose another name")
    return text


def _read_switch(text: str) -> bool:
    word = text.lower()
    if word in {"true", "false"}:
        return word == "true"
    meant = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
    cure = meant.get(word, "true or false")
    raise Wrong(f"{shown(text)} is neither true nor false. Write {cure}")


TEXT = Kind("a text", _read_text)
TAG = Kind("a tag", _read_text)
SETPOINT = Kind("a number, with or without the unit, or a tag", _read_text)
LETTERS = Kind("letters", _read_text)
NAME = Kind("a name", _read_name)
PEER_NAME = Kind("a name", _read_peer_name)
"""A device or an asset: the part before the slash."""
ALIAS = Kind("a short name", _read_alias)
"""A name that can also stand in an expression."""
SWITCH = Kind("true or false", _read_switch)


def choice(*words: str, what: str) -> Kind:
    """One of a few words; ``what`` says what they are."""

    def read(text: str) -> str:
        if text not in words:
            meant = did_you_mean(text, words)
            raise Wrong(f"{shown(text)} is no {what}.{meant} (There are: {', '.join(words)})")
        return text

    title = ", ".join(words[:-1]) + f" or {words[-1]}" if len(words) > 1 else words[0]
    return Kind(title, read)


# ---------------------------------------------------------------- numbers


def _bounded(value: float, low: float, high: float, text: str, span: str) -> None:
    if not low <= value <= high:
        raise Wrong(f"{shown(text)} is out of bounds. It may be {span}")


def number(low: float, high: float) -> Kind:
    """A number without a unit."""
    span = f"from {format_number(low)} to {format_number(high)}"

    def read(text: str) -> float:
        value = parse_number(text)
        _bounded(value, low, high, text, span)
        return value

    return Kind(f"a number {span}", read)


_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")


def whole(low: int, high: int) -> Kind:
    """A whole number."""
    span = f"from {low} to {high}"

    def read(text: str) -> int:
        if not _WHOLE.fullmatch(text):
            raise Wrong(f"{shown(text)} is no whole number. Write one {span}, in digits")
        _bounded(int(text), low, high, text, span)
        return int(text)

    return Kind(f"a whole number {span}", read)


def _measured(what: str, parse: Callable[[str], int], low: str, high: str) -> Kind:
    span = f"from {low} to {high}"
    least, most = parse(low), parse(high)

    def read(text: str) -> int:
        value = parse(text)
        _bounded(value, least, most, text, span)
        return value

    return Kind(f"a {what} {span}", read)


def duration(low: str, high: str) -> Kind:
    """A span of time, in nanoseconds. The bounds are written as people write them."""
    return _measured("duration", parse_duration, low, high)


def size(low: str, high: str) -> Kind:
    """An amount of disk, in bytes."""
    return _measured("size", parse_size, low, high)


def _read_step(text: str) -> Quantity:
    quantity = parse_quantity(text)
    if quantity.value < 0:
        raise Wrong(f"{shown(text)} is below 0. Write how large a difference may be")
    return quantity


class Share(NamedTuple):
    """A part of a tag's range, 0 to 1."""

    part: float


_SHARE = re.compile(r"(.+?) *% *of +range")


def _read_deadband(text: str) -> Quantity | Share:
    match = _SHARE.fullmatch(text)
    if not match:
        return _read_step(text)
    percent = parse_number(match[1])
    if not 0 <= percent <= 100:
        raise Wrong(f"{shown(text)} is no part of a range. Write from 0 to 100 % of range")
    return Share(percent / 100)


def _read_rate(text: str) -> Quantity:
    rate = parse_rate(text)
    if rate.value <= 0:
        raise Wrong(f"{shown(text)} allows no change at all. Write a rate above 0")
    return rate


def _read_factor(text: str) -> float:
    value = parse_number(text)
    if not 1e-30 < abs(value) < 1e30:
        raise Wrong(f"{shown(text)} has no effect. Write a number other than 0")
    return value


class Raw(NamedTuple):
    """What a device holds: its bits if they were written in hexadecimal, else a number."""

    text: str
    bits: int | None
    number: float


_BITS = re.compile(r"0[xX]([0-9A-Fa-f]{1,16})")


def _read_raw(text: str) -> Raw:
    if match := _BITS.fullmatch(text):
        return Raw(text, int(match[1], 16), 0.0)
    try:
        return Raw(text, None, parse_number(text))
    except UnitError as error:
        raise Wrong(
            f"{shown(text)} is nothing that a register holds. Write its bits, like 0x8000, or a "
            "number before scale and offset, like -32768"
        ) from error


RAW = Kind("bits like 0x8000, or a number before scale and offset", _read_raw)
NUMBER = Kind("a number", parse_number)
FACTOR = Kind("a number that is not 0", _read_factor)
AMOUNT = Kind("a number, with or without the unit", parse_quantity)
"""A number of the tag's unit; the unit may be written, and is then checked."""
STEP = Kind("a difference, with or without the unit", _read_step)
DEADBAND = Kind("a difference, with or without the unit, or a part of the range", _read_deadband)
RATE = Kind("a change per time", _read_rate)


class Hold(NamedTuple):
    """The output stays as it is."""


def _read_end(text: str) -> Quantity | Hold:
    if text == "hold":
        return Hold()
    try:
        return parse_quantity(text)
    except UnitError as error:
        meant = did_you_mean(text, ["hold"])
        cure = "Write hold, or the value to go to"
        raise Wrong(f"{shown(text)} is no end rule.{meant} {cure}") from error


END = Kind("hold, or a number with or without the unit", _read_end)


# ---------------------------------------------------------------- what is computed


def _read_formula(text: str) -> Expression:
    try:
        return parse_expression(text)
    except ExpressionError as error:
        raise Wrong(f"{shown(text)}: {error.message}", error.column) from error


FORMULA = Kind("an expression", _read_formula)
