"""One write: send, take the echo, read back, compare, answer; each request ahead of all reads.

::

    raw   ─▶ WriteAsk ──echo──▶ ReadBack ──▶ WRITTEN, or NOT_VERIFIED with both values
      │         ├─ what it now holds (function 23) ─▶ the same
      │         ├─ exception ─────────────▶ REFUSED in the device's words
      │         └─ silence, line lost ────▶ NO_COMMUNICATION
      └─ does not fit ▶ REFUSED     too late ▶ EXPIRED     nothing was sent
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

from edgetwin.core.blocks import plan_blocks
from edgetwin.core.decode import decoder_for
from edgetwin.core.encode import slack
from edgetwin.core.plan import ModbusSettings, WriteBy
from edgetwin.core.reading import Instant, Scalar, WriteOutcome, WriteRequest, WriteResult
from edgetwin.core.tags import Tag, ValueType
from edgetwin.devices.modbus.ask import (
    ACKNOWLEDGE,
    DATA_AT,
    ILLEGAL_FUNCTION,
    READ_WRITE,
    Ask,
    Exchange,
    Failure,
    Trouble,
    WriteForm,
    mask_exchange,
    read_exchange,
    write_exchange,
    write_form,
)
from edgetwin.devices.modbus.words import unknown_write


class Target:
    """A tag that may be written: its own block and decoder, ready for the read-back."""

    def __init__(self, tag: Tag, settings: ModbusSettings) -> None:
        self.tag = tag
        self._unit, self._by = settings.unit, settings.write_by
        (self.block,) = plan_blocks([tag], settings.limits)
        self.decoder = decoder_for([tag], self.block.first)
        self.read = read_exchange(self._unit, self.block)
        self.reads_back = tag.write is None or tag.write.read_back
        if self._by is WriteBy.COMBINED and not self.reads_back:
            self._by = WriteBy.MULTIPLE
        is_bits = self.block.table.is_bits
        is_part = is_bits or tag.type is ValueType.BIT
        self.form = None if is_part else write_form(self._unit, self.block, self._by)

    def exchange(self, raw: bytes) -> Exchange:
        """The request that writes what ``encode`` made of a bit; whole registers have a form."""
        if not self.block.table.is_bits:
            return mask_exchange(self._unit, self.block, raw)
        return write_exchange(self._unit, self.block, raw, self._by)


class Goal(Protocol):
    """What is written to: how, and how it is read back. Without ``form`` ask ``exchange``."""

    @property
    def reads_back(self) -> bool:
        """Whether what it shows then says anything."""

    @property
    def form(self) -> WriteForm | None:
        """What all writes to it have in common."""

    @property
    def read(self) -> Exchange:
        """The request that reads it back."""

    def exchange(self, raw: bytes) -> Exchange:
        """The request that writes it."""


class UnderWay(Protocol):
    """A write under way: of one value, or of several at once (devices.modbus.arrays)."""

    @property
    def request(self) -> WriteRequest:
        """What is asked for, or the first of it."""

    @property
    def target(self) -> Goal:
        """Where it goes."""

    @property
    def now(self) -> Callable[[], Instant]:
        """Both clocks."""

    def end(self, outcome: WriteOutcome, detail: str = "", read_back: float = math.nan) -> None:
        """Answer."""

    def compare(self, frame: bytes) -> None:
        """See what it holds."""


class Writing(NamedTuple):
    """A write under way. ``answer`` is called exactly once."""

    request: WriteRequest
    target: Target
    now: Callable[[], Instant]
    answer: Callable[[WriteResult], None]

    def end(self, outcome: WriteOutcome, detail: str = "", read_back: float = math.nan) -> None:
        """Answer."""
        self.answer(result_of(self.request, outcome, detail, read_back))

    def compare(self, frame: bytes) -> None:
        """Compare what the device holds with what it was told."""
        (held,), objects, quality = self.target.decoder.decode(frame, DATA_AT)
        held = float(held)
        tag, wanted = self.target.tag, self.request.value
        if tag.write is not None and tag.write.texts:
            shown = objects[0][1] if objects else ""
            number = tag.write.number_of(shown)
            outcome, detail = compared_text(tag.write.text_of(wanted), shown)
            self.end(outcome, detail, number)
            return
        outcome, detail = compared(tag, wanted, held, is_good=bool(quality == 0))
        self.end(outcome, detail, held)


class WriteAsk(Ask):
    """The write itself."""

    __slots__ = ("_writing",)

    def __init__(self, writing: UnderWay, raw: bytes) -> None:
        form = writing.target.form
        if form is None:
            super().__init__(writing.target.exchange(raw))
        else:  # ``form.exchange`` in one step: it is on the way from a loop's reading to its write
            self.tail = tail = form.begin + raw
            self.head, self.size, self.deadline = form.head or tail, form.size, 0.0
        self._writing = writing

    def may_go(self) -> bool:
        """Whether the request still holds now that its turn has come."""
        if self._writing.now().mono < self._writing.request.expires:
            return True
        self._writing.end(WriteOutcome.EXPIRED, "its time was over before it could be sent")
        return False

    def good(self, frame: bytes) -> None:
        """The device echoed it, which says nothing new, or shows what it now holds."""
        if frame[7] == READ_WRITE:
            self._writing.compare(frame)
        elif self._writing.target.reads_back:
            self._look()
        else:
            self._writing.end(WriteOutcome.WRITTEN)

    def failed(self, failure: Failure) -> None:
        """Refused, or nobody knows."""
        if failure.trouble is Trouble.WRONG_REPLY or failure.code == ACKNOWLEDGE:
            self._look()  # the device may have taken it: what it holds now tells
        elif failure.trouble is Trouble.EXCEPTION:
            cure = unknown_write(self.tail[5]) if failure.code == ILLEGAL_FUNCTION else ""
            self._writing.end(WriteOutcome.REFUSED, failure.words + cure)
        else:
            self._writing.end(
                WriteOutcome.NO_COMMUNICATION,
                f"{failure.words}; whether the device took it is not known",
            )

    def _look(self) -> None:
        self.lane.send_first(ReadBack(self._writing))


class ReadBack(Ask):
    """The same registers, read after the write."""

    __slots__ = ("_writing",)

    def __init__(self, writing: UnderWay) -> None:
        super().__init__(writing.target.read)
        self._writing = writing

    def good(self, frame: bytes) -> None:
        """See what it holds."""
        self._writing.compare(frame)

    def failed(self, failure: Failure) -> None:
        """Written, but nobody saw it."""
        gone = failure.trouble in (Trouble.SILENT, Trouble.LINE_LOST)
        outcome = WriteOutcome.NO_COMMUNICATION if gone else WriteOutcome.NOT_VERIFIED
        self._writing.end(
            outcome, f"the device was told, but the read-back failed: {failure.words}"
        )


def compared(tag: Tag, wanted: float, held: float, *, is_good: bool) -> tuple[WriteOutcome, str]:
    """Whether what is read back is what was written; if not, both in words."""
    if is_good and abs(held - wanted) <= slack(tag, wanted):
        return WriteOutcome.WRITTEN, ""
    unit = f" {tag.unit}" if tag.unit else ""
    shown = "no value" if math.isnan(held) else f"{held:.10g}{unit}"
    return WriteOutcome.NOT_VERIFIED, f"{wanted:.10g}{unit} was written, {shown} is read back"


def compared_text(wanted: str, held: Scalar) -> tuple[WriteOutcome, str]:
    """The same for a text."""
    if held == wanted:
        return WriteOutcome.WRITTEN, ""
    return WriteOutcome.NOT_VERIFIED, f"{wanted!r} was written, {held!r} is read back"


def result_of(
    request: WriteRequest, outcome: WriteOutcome, detail: str, read_back: float = math.nan
) -> WriteResult:
    """The answer to a request."""
    return WriteResult(request.number, request.tag, outcome, read_back, detail)
