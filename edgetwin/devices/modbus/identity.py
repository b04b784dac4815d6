"""Who a device says it is: Read Device Identification (application protocol v1.1b3 §6.21).

A reply holds objects one after the other, each with a length of its own, so its size is only known
once it has come::

    unit │ 43 │ 14 │ code │ conformity │ more │ next │ count │ id │ length │ bytes … │ id │ …
"""

import struct
from dataclasses import dataclass

from edgetwin.devices.modbus.ask import Exchange

_FUNCTION, _KIND, _BASIC = 43, 14, 1
_FIRST = 8
_MORE, _NEXT, _COUNT = 5, 6, 7
_MORE_FOLLOWS = 0xFF


@dataclass(frozen=True, slots=True)
class Identity:
    """The three basic objects, empty where the device keeps one to itself."""

    vendor: str = ""
    product: str = ""
    revision: str = ""

    @property
    def words(self) -> str:
        """For people, in one line; empty where there is nothing to say."""
        return " ".join(filter(None, (self.vendor, self.product, self.revision)))


def identity_exchange(unit: int, first: int = 0) -> Exchange:
    """Ask for the basic objects from number ``first`` on; no reply is shorter than its size."""
    body = bytes([unit, _FUNCTION, _KIND, _BASIC, first])
    head = struct.pack(">HH", 0, _FIRST) + body[:-1]
    return Exchange(struct.pack(">HH", 0, len(body)) + body, head, 6 + _FIRST)


def extent(reply: bytes) -> int:
    """How long a reply is (from its unit on) that begins so; 0 where that is not known yet."""
    if len(reply) < _FIRST:
        return 0
    end = _FIRST
    for _ in range(reply[_COUNT]):
        if len(reply) < end + 2:
            return 0
        end += 2 + reply[end + 1]
    return end


def objects(reply: bytes) -> tuple[dict[int, str], int]:
    """What a whole reply (from its unit on) holds by number, and where to go on; 0: it is all."""
    found, at = {}, _FIRST
    for _ in range(reply[_COUNT]):
        number, size = reply[at], reply[at + 1]
        found[number] = _text(reply[at + 2 : at + 2 + size])
        at += 2 + size
    return found, reply[_NEXT] if reply[_MORE] == _MORE_FOLLOWS else 0


def identity_of(found: dict[int, str]) -> Identity:
    """The basic objects by name."""
    return Identity(*(found.get(number, "") for number in range(3)))


def _text(raw: bytes) -> str:
    """Letters only: what stands here ends on a terminal."""
    text = raw.split(b"\0")[0].decode("utf-8", "replace")
    return "".join(letter for letter in text if letter.isprintable()).strip()
