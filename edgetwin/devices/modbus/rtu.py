"""Modbus RTU, on a serial line or carried over TCP as it is: unit, function, data, CRC.

Serial Line v1.02 §2.5.1. The stream has no header and no borders but silence, and silence does not
survive an adapter or a network. So the reply is looked for, not cut out: its unit, function, byte
count and length are known beforehand (``Ask.head``, ``Ask.size``), and only that with a right CRC
behind it is an answer. What stands before it (a driver's switching noise, the echo of our own
request on two wires, the late reply of another unit) does no harm; what stands behind it means that
the line is not at rest, and is waited out.

Frames are handed on with the header that Modbus TCP would have given them, so that all that follows
works on one form. Which of several equal requests a reply belongs to only ``debts`` can tell.
"""

from collections.abc import Mapping, Sequence

from edgetwin.devices.modbus.ask import Ask

_KEPT = 1024
_HEADER = 6
_CRC = 2
_REFUSAL = 5
_FIXED = {5: 8, 6: 8, 15: 8, 16: 8, 22: 10}
_COUNTED = (1, 2, 3, 4, 23)


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_TABLE = _crc_table()


def crc(data: bytes) -> bytes:
    """The CRC-16 behind a frame, low byte first (Serial Line v1.02 §6.2.2)."""
    rest = 0xFFFF
    for byte in data:
        rest = rest >> 8 ^ _TABLE[(rest ^ byte) & 0xFF]
    return rest.to_bytes(2, "little")


class RtuFramer:
    """Finds the reply to the one open request. Holds never more than a kilobyte.

    ``silence_s`` is what the line wants between a reply and the next request, ``settle_s`` how long
    it must be still before it is trusted again, ``char_s`` what one character takes (0: unknown).
    """

    numbered = False

    def __init__(self, silence_s: float, settle_s: float, char_s: float = 0.0) -> None:
        self.silence_s, self.settle_s = silence_s, settle_s
        self._char_s = char_s
        self._rest = b""
        self._stray = b""

    @property
    def is_dirty(self) -> bool:
        """Whether bytes have come that belong to no reply."""
        return bool(self._rest)

    def request(self, number: int, ask: Ask) -> bytes:  # noqa: ARG002  RTU has no number
        """The bytes of a request. Whatever came before it is forgotten."""
        self._rest = self._stray = b""
        frame = ask.tail[4:]
        return frame + crc(frame)

    def expired(self) -> None:
        """A reply is overdue: ``debts`` knows what follows from it."""

    def air_s(self, ask: Ask) -> float:
        """How long request and reply are under way on the wire."""
        return (len(ask.tail) + ask.size - _HEADER) * self._char_s

    def feed(self, data: bytes, awaited: Mapping[int, Ask]) -> Sequence[bytes]:
        """Every right reply, and every exception, to the one request awaited; each with a header.

        Args:
            data: what has come in.
            awaited: the open request by its number; without one the bytes belong to nobody.
        """
        self._rest = (self._rest + data)[-_KEPT:]
        frames = []
        for number, ask in awaited.items():
            while (reply := self._find(ask)) is not None:
                header = number.to_bytes(2, "big") + b"\0\0" + len(reply).to_bytes(2, "big")
                frames.append(header + reply)
        if not frames:
            self._drop_strays()
        return frames

    def finding(self) -> str:
        """What came in the place of a reply; empty where nothing did."""
        if self._rest:
            return f"{len(self._rest)} bytes came that are no reply to it"
        if self._stray:
            unit, function = self._stray[:2]
            return f"a reply of unit {unit} to another request came (function {function})"
        return ""

    def _find(self, ask: Ask) -> bytes | None:
        """Cut the first reply to a request out of what has come in, and all that is before it."""
        stream, head = self._rest, ask.head[4:]
        refusal = bytes([head[0], head[1] | 0x80])
        at = stream.find(head[0])
        while at >= 0:
            size = 0
            if stream.startswith(head, at) and (extent := ask.extent(stream[at:])):
                size = extent + _CRC
            elif stream.startswith(refusal, at):
                size = _REFUSAL
            if size and _is_whole(stream[at : at + size], size):
                self._rest = stream[at + size :]
                return stream[at : at + size - _CRC]
            at = stream.find(head[0], at + 1)
        return None

    def _drop_strays(self) -> None:
        """Whole replies to other requests are no sign of a bad line."""
        while size := _length(self._rest):
            if not _is_whole(self._rest[:size], size):
                return
            self._stray, self._rest = self._rest[:size], self._rest[size:]


def _is_whole(frame: bytes, size: int) -> bool:
    return len(frame) == size and crc(frame[:-_CRC]) == frame[-_CRC:]


def _length(stream: bytes) -> int:
    """The length of the reply that a stream begins with; 0 where that cannot be said."""
    if len(stream) < _REFUSAL:
        return 0
    function = stream[1]
    if function & 0x80:
        return _REFUSAL
    return 3 + stream[2] + _CRC if function in _COUNTED else _FIXED.get(function, 0)
