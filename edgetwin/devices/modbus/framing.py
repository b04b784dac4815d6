"""The byte stream of one connection cut to frames, or the finding that it cannot be.

TCP keeps the order of bytes but not the borders of frames, so one broken-off reply would shift all
that follows, and its missing end would be filled from the header of the next: a wrong value with
the right transaction id. Modbus TCP has no checksum against that. So the stream is distrusted as a
whole, and the connection given up, as soon as one of these is seen:

- a header that is none: protocol not 0, or a length that no reply has;
- behind a whole frame, bytes that cannot begin another (the frame itself is then not used);
- a broken-off frame, and then a piece that begins as a reply of its own, of whatever unit;
- a frame that one byte alone completes, where that byte may be the first of another reply: several
  are in flight, or one is overdue.

One hole stays that no check can close: bytes that are no Modbus at all may fill a reply that broke
off.
"""

from collections.abc import Collection

from edgetwin.devices.modbus.ask import Ask

SHORTEST, LONGEST = 3, 254
"""What follows the length field: unit, function and at least one byte, at most 253 (§4.1)."""

HEADER = 6
_OVERDUE = 16
FUNCTIONS = frozenset({1, 2, 3, 4, 5, 6, 15, 16, 22, 23})


class NotModbus(Exception):
    """The stream can no longer be trusted; the message says what was seen."""


class Framer:
    """Holds the beginning of a frame that has not come in whole: never more than one frame."""

    numbered = True
    silence_s = settle_s = 0.0
    is_dirty = False

    def __init__(self) -> None:
        self._units: set[int] = set()
        self._rest = b""
        self._overdue = 0

    def request(self, number: int, ask: Ask) -> bytes:
        """The bytes of a request."""
        if self._overdue:
            self._overdue -= 1
        self._units.add(ask.head[4])
        return number.to_bytes(2, "big") + ask.tail

    def expired(self) -> None:
        """A reply is overdue: for some requests to come it may be among theirs."""
        self._overdue = _OVERDUE

    def air_s(self, ask: Ask) -> float:  # noqa: ARG002  as on RTU
        """How long request and reply are under way: no time."""
        return 0.0

    def finding(self) -> str:
        """What came in the place of a reply: nothing, else the stream had been given up."""
        return ""

    def feed(self, data: bytes, awaited: Collection[int]) -> tuple[bytes, ...]:
        """The frames that are whole now, in order.

        Args:
            data: what has come in.
            awaited: the transaction ids of open requests.

        Raises:
            NotModbus: this is no stream of Modbus TCP replies; nothing of ``data`` may be used.
        """
        if not self._rest:
            if len(data) >= HEADER and data[2:4] == b"\0\0":
                length = data[4] << 8 | data[5]
                if len(data) == HEADER + length and SHORTEST <= length <= LONGEST:
                    return (data,)  # one frame, whole: how nearly all come in
        elif self._begins_anew(data, awaited):
            raise NotModbus("a reply broke off and another began")
        elif len(data) == 1 and self._completes(data) and (len(awaited) > 1 or self._overdue):
            raise NotModbus("one byte alone ended a reply, and may have begun another")
        return self._cut(self._rest + data)

    def _completes(self, data: bytes) -> bool:
        stream = self._rest + data
        return len(stream) > HEADER and len(stream) == HEADER + (stream[4] << 8 | stream[5])

    def _cut(self, stream: bytes) -> tuple[bytes, ...]:
        frames, at = [], 0
        while at < len(stream):
            if stream[at + 2 : at + 4].strip(b"\0"):
                raise NotModbus(f"protocol id {stream[at + 2 : at + 4].hex()} instead of 0000")
            if len(stream) - at < HEADER:
                break
            length = stream[at + 4] << 8 | stream[at + 5]
            if not SHORTEST <= length <= LONGEST:
                raise NotModbus(f"a reply of length {length}")
            end = at + HEADER + length
            if end > len(stream):
                break
            frames.append(stream[at:end])
            at = end
        self._rest = stream[at:]
        return tuple(frames)

    def _begins_anew(self, data: bytes, awaited: Collection[int]) -> bool:
        """Whether a piece that should continue a frame is the header of another."""
        if len(data) < 2 or data[2:4].strip(b"\0"):
            return False
        if data[0] << 8 | data[1] in awaited:
            return True
        length = data[4] << 8 | data[5] if len(data) > HEADER + 2 else 0
        if not SHORTEST <= length <= LONGEST or data[7] & 0x7F not in FUNCTIONS:
            return False
        return data[6] in self._units or length == _length(data[7], data[8])


def _length(function: int, count: int) -> int:
    """What the length field of a reply to a read, or of an exception, must say."""
    return SHORTEST if function & 0x80 else SHORTEST + count
