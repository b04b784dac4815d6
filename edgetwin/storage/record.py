"""A record: something that is to go upstream, before and after it has its number."""

import bz2
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from edgetwin.core import compact, payload

_PACKED_FROM = 1000  # bodies from here on are compressed: a quarter of the bytes to write

_SHARES = ((10, 78), (20, 90), (40, 108), (60, 135), (100, 178), (180, 264), (430, 525))
"""Rows share pages of 512 bytes: bodies up to so many bytes, and what a row of them takes
(measured). A larger one goes on in pages of its own, the last of them half empty."""

COST = (
    "CASE "
    + " ".join(f"WHEN length(body) <= {most} THEN {share}" for most, share in _SHARES)
    + " ELSE length(body) * 102 / 100 + 200 END"
)
"""What a row takes in the file, in SQL: its body, its columns, its share of half-empty pages."""

COSTS = 2
"""Changes with ``COST``: files then are counted anew."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A record before it has a number. ``stream`` is still without its log; ``wall`` is UTC ns.

    ``stored`` is the form of its body that goes to disk, where its maker knows a better one than
    ``packed``.
    """

    kind: str
    stream: str
    upstreams: tuple[str, ...]
    body: bytes
    wall: int
    stored: bytes = b""


@dataclass(frozen=True, slots=True)
class Record:
    """A record on disk. ``kind`` is also the last part of its topic."""

    position: int
    kind: str
    stream: str
    sequence: int
    boot: int
    wall: int
    body: bytes

    @property
    def payload(self) -> bytes:
        """What is sent."""
        return payload.envelope(self.body, self.stream, self.sequence, self.boot)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What an upstream has not acknowledged; ``oldest`` is when that was made (UTC ns, 0: none)."""

    records: int = 0
    oldest: int = 0


def cost(stored: bytes) -> int:
    """``COST`` of a body in the form in which it is stored."""
    size = len(stored)
    return next((share for most, share in _SHARES if size <= most), size * 102 // 100 + 200)


def packed(body: bytes) -> bytes:
    """A body in the form in which it is stored.

    Digits are what bzip2 is good at: a sixth smaller than zlib makes them, for 8 ms a summary of
    1,000 tags, outside the interpreter's lock.
    """
    return bz2.compress(body, 1) if len(body) >= _PACKED_FROM else body


def unpacked(stored: bytes) -> bytes:
    """The way back."""
    if stored.startswith(b"{"):
        return stored
    if stored.startswith(compact.MARK):
        return payload.summary(*compact.expand(stored))
    return bz2.decompress(stored) if stored.startswith(b"BZh") else zlib.decompress(stored)


def listed(names: Iterable[str]) -> str:
    """``,cloud,plant,``: the form in which a record says for whom it is, findable by ``instr``."""
    return f",{','.join(names)},"


def names_in(text: str) -> list[str]:
    """The way back."""
    return [name for name in text.split(",") if name]
