"""Finding the end of what is not read: any Variant, and the parts of a reply around the values.

All walks are over bytes that are there. What has no fixed width is walked element by element, at
about 1 µs each; ``Room`` bounds these steps per reply and ``DEPTH`` their nesting, so that the most
hostile reply holds the loop for some 20 ms (the layouts: OPC 10000-6 §5.2.2).
"""

import struct
from collections.abc import Callable

Bytes = bytes
DEPTH = 16
ITEMS = 20_000
TABLE = 100
DIAGNOSTIC_DEPTH = 4
_I32, _U32 = struct.Struct("<i"), struct.Struct("<I")

_WIDTHS = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, 13: 8, 14: 16, 19: 4}
_NODE_WIDTHS = {0: 2, 1: 4, 2: 7, 4: 19}


class WireError(ValueError):
    """The bytes are not what the standard says they are."""


class Room:
    """How many elements without a fixed width one reply may still make us walk over."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = ITEMS

    @property
    def walked(self) -> int:
        """How many it has made us walk over so far."""
        return ITEMS - self._left

    def take(self, n: int) -> None:
        """Allow a list of n elements.

        Raises:
            WireError: the reply has had its share.
        """
        self._left -= n
        if self._left < 0:
            raise WireError(
                f"lists of over {ITEMS} elements without a fixed width; so many are allowed"
            )


def count_at(data: Bytes, at: int) -> tuple[int, int]:
    """The length of an array (-1, null, as 0), and where its first element is."""
    (n,) = _I32.unpack_from(data, at)
    if n > len(data) - at:
        raise WireError(f"a list of {n} elements in {len(data) - at} bytes")
    return max(n, 0), at + 4


def skip_string(data: Bytes, at: int) -> int:
    """Past a String, ByteString or XmlElement."""
    n, at = count_at(data, at)
    if n > len(data) - at:
        raise WireError(f"a text of {n} bytes in {len(data) - at}")
    return at + n


def text_at(data: Bytes, at: int) -> tuple[str | None, int]:
    """A String (None: null) and where it ends. What is no UTF-8 is replaced, not refused."""
    end = skip_string(data, at)
    if data[at : at + 4] == b"\xff\xff\xff\xff":
        return None, end
    return data[at + 4 : end].decode("utf-8", "replace"), end


def skip_node(data: Bytes, at: int) -> int:
    """Past a NodeId or ExpandedNodeId (§5.2.2.9): flags 0x80 namespace URI, 0x40 server index."""
    encoding = data[at]
    form = encoding & 0x3F
    if form in (3, 5):
        end = skip_string(data, at + 3)
    elif form in _NODE_WIDTHS:
        end = at + _NODE_WIDTHS[form]
    else:
        raise WireError(f"no node id starts with {encoding:#04x}")
    if encoding & 0x80:
        end = skip_string(data, end)
    return end + 4 if encoding & 0x40 else end


def extension_at(data: Bytes, at: int) -> tuple[int, int, int]:
    """An ExtensionObject: the ``type_at`` of its encoding, and where its body starts and ends."""
    kind = type_at(data, at)
    at = skip_node(data, at)
    if data[at] == 0:
        return kind, at + 1, at + 1
    end = skip_string(data, at + 1)
    return kind, at + 5, end


def type_at(data: Bytes, at: int) -> int:
    """The number of a numeric NodeId in namespace 0; -1 for any other."""
    if data[at] == 0:
        return data[at + 1]
    if data[at] == 1 and data[at + 1] == 0:
        return data[at + 2] | data[at + 3] << 8
    return -1


def skip_diagnostic(data: Bytes, at: int, depth: int = 0) -> int:
    """Past a DiagnosticInfo (§5.2.2.12)."""
    if depth > DIAGNOSTIC_DEPTH:
        raise WireError("diagnostics nested too deep")
    mask = data[at]
    at += 1 + 4 * (mask & 0x0F).bit_count()
    if mask & 0x10:
        at = skip_string(data, at)
    if mask & 0x20:
        at += 4
    return skip_diagnostic(data, at, depth + 1) if mask & 0x40 else at


def skip_table(data: Bytes, at: int) -> int:
    """Past the StringTable of a response header, which holds the texts of its diagnostics."""
    n, at = count_at(data, at)
    if n > TABLE:
        raise WireError(f"a table of {n} diagnostic texts; {TABLE} are allowed")
    for _ in range(n):
        at = skip_string(data, at)
    return at


def skip_value(data: Bytes, at: int, room: Room, depth: int = 0) -> int:
    """Past a Variant of any type, array or not (§5.2.2.16)."""
    if depth > DEPTH:
        raise WireError("values nested too deep")
    encoding = data[at]
    kind = encoding & 0x3F
    n, at = count_at(data, at + 1) if encoding & 0x80 else (1, at + 1)
    at = _skip_elements(data, at, (kind, n), room, depth)
    if encoding & 0x40:
        dimensions, at = count_at(data, at)
        at += 4 * dimensions
    if at > len(data):
        raise WireError("the reply ends within a value")
    return at


def _skip_elements(data: Bytes, at: int, elements: tuple[int, int], room: Room, depth: int) -> int:
    kind, n = elements
    if kind == 0:
        return at
    if kind in _WIDTHS:
        return at + n * _WIDTHS[kind]
    room.take(n)
    skip = _SKIPS.get(kind)
    if skip is None and kind > 25:
        raise WireError(f"no value has the type {kind}")
    for _ in range(n):
        at = skip(data, at) if skip else _skip_nested(data, at, kind, room, depth + 1)
    return at


def _skip_nested(data: Bytes, at: int, kind: int, room: Room, depth: int) -> int:
    if kind == 24:
        return skip_value(data, at, room, depth)
    if kind == 25:
        return skip_diagnostic(data, at, depth)
    mask = data[at]
    at = skip_value(data, at + 1, room, depth) if mask & 1 else at + 1
    widths = ((2, 4), (4, 8), (8, 8), (16, 2), (32, 2))
    return at + sum(width for bit, width in widths if mask & bit)


def _skip_qualified(data: Bytes, at: int) -> int:
    return skip_string(data, at + 2)


def _skip_localized(data: Bytes, at: int) -> int:
    mask = data[at]
    at += 1
    for bit in (1, 2):
        if mask & bit:
            at = skip_string(data, at)
    return at


def _skip_extension(data: Bytes, at: int) -> int:
    return extension_at(data, at)[2]


_SKIPS: dict[int, Callable[[Bytes, int], int]] = {
    12: skip_string,
    15: skip_string,
    16: skip_string,
    17: skip_node,
    18: skip_node,
    20: _skip_qualified,
    21: _skip_localized,
    22: _skip_extension,
}
