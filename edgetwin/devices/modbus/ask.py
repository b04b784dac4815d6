"""Requests: their bytes ready to send, and all that is known beforehand about the right reply.

A frame of Modbus TCP (messaging guide v1.0b §3.1.3)::

    tid tid │ 0 0 │ length │ unit │ function │ …            request: address and count, or value
    tid tid │ 0 0 │ length │ unit │ function │ bytes │ …     reply to a read

Everything behind the transaction id is fixed when the plan is. So a request is sent by putting a
new id before ``tail``, and a reply is right when it begins with ``head`` behind its id and has
``size`` bytes: protocol, length, unit, function and byte count (or a write's echo) in one go.
"""

import struct
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from edgetwin.core.blocks import Block
from edgetwin.core.plan import WriteBy
from edgetwin.core.quality import Quality
from edgetwin.devices.modbus.words import exception_words

if TYPE_CHECKING:
    from edgetwin.devices.modbus.lane import Lane

_HEADER = 6

DATA_AT = 9
"""Where the data begins in the reply to a read."""

WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS, MASK_WRITE, READ_WRITE = (
    5,
    6,
    15,
    16,
    22,
    23,
)
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, ACKNOWLEDGE = 1, 2, 3, 5
GATEWAY_CODES = (10, 11)


class Trouble(Enum):
    """Why a request has no answer that may be used."""

    SILENT = "no answer in time"
    LINE_LOST = "the connection is lost"
    WRONG_REPLY = "a wrong reply"
    EXCEPTION = "an exception"


@dataclass(frozen=True, slots=True)
class Failure:
    """How a request failed; ``words`` complete a sentence about it, ``code`` is the exception's."""

    trouble: Trouble
    words: str
    code: int = 0

    @property
    def is_illegal(self) -> bool:
        """Whether the device says that it does not have what was asked for."""
        return self.code in (ILLEGAL_ADDRESS, ILLEGAL_VALUE)

    @property
    def quality(self) -> Quality:
        """What the tags of a read that failed so are worth."""
        if self.trouble in (Trouble.SILENT, Trouble.LINE_LOST):
            return Quality.NO_COMMUNICATION
        return Quality.CONFIG_ERROR if self.is_illegal else Quality.DEVICE_FAULT


class Exchange(NamedTuple):
    """The bytes of a request behind its transaction id, and those the right reply begins with."""

    tail: bytes
    head: bytes
    size: int


class Ask:
    """A request on its way. Exactly one of ``good`` and ``failed`` is called, once per sending."""

    __slots__ = ("deadline", "head", "lane", "size", "tail")

    lane: "Lane"  # set when it is sent

    def __init__(self, exchange: Exchange) -> None:
        self.tail, self.head, self.size = exchange
        self.deadline = 0.0

    def may_go(self) -> bool:
        """Asked right before sending; False drops the request, which has then answered itself."""
        return True

    def extent(self, reply: bytes) -> int:  # noqa: ARG002  most are as long as was asked for
        """How long the right reply is, from its unit on, that begins so; 0: not known yet."""
        return self.size - _HEADER

    def fits(self, frame: bytes) -> bool:  # noqa: ARG002  most never do
        """Whether a frame is right though it is not ``head`` and ``size``: where these vary."""
        return False

    def good(self, frame: bytes) -> None:
        """Take the right reply, whole, with its header."""
        raise NotImplementedError

    def failed(self, failure: Failure) -> None:
        """Take the reason why there is no reply."""
        raise NotImplementedError


class Abandoned(Ask):
    """A request whose asker has gone: its reply is awaited, and used by nobody."""

    __slots__ = ()

    def __init__(self, ask: Ask) -> None:
        super().__init__(Exchange(ask.tail, ask.head, ask.size))
        self.deadline, self.lane = ask.deadline, ask.lane

    def good(self, frame: bytes) -> None:
        """Nobody wants it."""

    def failed(self, failure: Failure) -> None:
        """Nobody asks."""


def read_exchange(unit: int, block: Block) -> Exchange:
    """Read a block (application protocol v1.1b3 §6.1 to §6.4)."""
    data = (block.count + 7) // 8 if block.table.is_bits else 2 * block.count
    tail = struct.pack(">HHBBHH", 0, 6, unit, block.function, block.first, block.count)
    head = struct.pack(">HHBBB", 0, 3 + data, unit, block.function, data)
    return Exchange(tail, head, DATA_AT + data)


class WriteForm(NamedTuple):
    """What all writes to the same registers have in common.

    A request is ``begin`` and the raw value; the reply begins with ``head``, or, where that is
    empty, echoes the request.
    """

    begin: bytes
    head: bytes
    size: int

    def exchange(self, raw: bytes) -> Exchange:
        """The write of one value."""
        tail = self.begin + raw
        return Exchange(tail, self.head or tail, self.size)


def write_exchange(unit: int, block: Block, raw: bytes, by: WriteBy = WriteBy.SINGLE) -> Exchange:
    """Write the coil or registers of a block; ``raw`` is as ``core.encode`` makes it.

    The reply echoes the request (§6.5, §6.6, §6.11, §6.12), or holds what is read back (§6.17).
    """
    if block.table.is_bits:
        if by is WriteBy.MULTIPLE:
            return coils_form(unit, block).exchange(b"\x01" if any(raw) else b"\x00")
        return _echoed(unit, WRITE_COIL, block, raw)
    return write_form(unit, block, by).exchange(raw)


def write_form(unit: int, block: Block, by: WriteBy) -> WriteForm:
    """How the registers of a block are written."""
    if by is WriteBy.COMBINED:
        return _read_write(unit, block)
    if by is WriteBy.MULTIPLE or block.count > 1:
        begin = struct.pack(">BBHH", unit, WRITE_REGISTERS, block.first, block.count)
        return _many_form(begin, 2 * block.count)
    begin = struct.pack(">HHBBH", 0, 6, unit, WRITE_REGISTER, block.first)
    return WriteForm(begin, b"", 12)


def coils_form(unit: int, block: Block) -> WriteForm:
    """How the coils of a block are written at once: eight to a byte, the first lowest (§6.11)."""
    begin = struct.pack(">BBHH", unit, WRITE_COILS, block.first, block.count)
    return _many_form(begin, (block.count + 7) // 8)


def mask_exchange(unit: int, block: Block, masks: bytes) -> Exchange:
    """Write one bit of a register: what stays, and what becomes 1 (§6.16)."""
    return _echoed(unit, MASK_WRITE, block, masks)


def _echoed(unit: int, function: int, block: Block, raw: bytes) -> Exchange:
    tail = struct.pack(">HHBBH", 0, 4 + len(raw), unit, function, block.first) + raw
    return Exchange(tail, tail, 2 + len(tail))


def _many_form(begin: bytes, size: int) -> WriteForm:
    return WriteForm(
        struct.pack(">HH", 0, 7 + size) + begin + bytes([size]),
        struct.pack(">HH", 0, 6) + begin,
        12,
    )


def _read_write(unit: int, block: Block) -> WriteForm:
    place, size = struct.pack(">HH", block.first, block.count), 2 * block.count
    body = struct.pack(">BB", unit, READ_WRITE) + place + place + bytes([size])
    head = struct.pack(">HHBBB", 0, 3 + size, unit, READ_WRITE, size)
    return WriteForm(struct.pack(">HH", 0, len(body) + size) + body, head, DATA_AT + size)


def judge(ask: Ask, frame: bytes) -> Failure:
    """Why a frame with the right transaction id is not the reply that was asked for."""
    unit, function = ask.head[4], ask.head[5]
    if frame[6] != unit:
        return Failure(Trouble.WRONG_REPLY, f"answered for unit {frame[6]} when asked for {unit}")
    if frame[7] == function | 0x80 and len(frame) == DATA_AT:
        return Failure(Trouble.EXCEPTION, exception_words(frame[8]), frame[8])
    if frame[7] != function:
        return Failure(
            Trouble.WRONG_REPLY, f"answered function {frame[7]} when asked for {function}"
        )
    return Failure(
        Trouble.WRONG_REPLY,
        f"answered with {len(frame)} bytes where {ask.size} are right"
        if len(frame) != ask.size
        else "answered with a byte count or echo that is wrong",
    )
