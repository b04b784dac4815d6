"""One write: send, take the echo, read back, compare, answer; each request ahead of all reads.

::

    start ─▶ WriteAsk ──echo──▶ ReadBack ──▶ WRITTEN, or NOT_VERIFIED with both values
      │         ├─ exception ─────────────▶ REFUSED in the device's words
      │         └─ silence, line lost ────▶ NO_COMMUNICATION
      └─ does not fit ▶ REFUSED     too late ▶ EXPIRED     nothing was sent
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from edgetwin.core.blocks import Limits, plan_blocks
from edgetwin.core.decode import decoder_for
from edgetwin.core.encode import slack
from edgetwin.core.reading import Instant, WriteOutcome, WriteRequest, WriteResult
from edgetwin.core.tags import Tag
from edgetwin.devices.modbus.ask import (
    ACKNOWLEDGE,
    DATA_AT,
    Ask,
    Failure,
    Trouble,
    read_exchange,
    write_exchange,
)
from edgetwin.devices.modbus.line import Line


class Target:
    """A tag that may be written: its own block and decoder, ready for the read-back."""

    def __init__(self, tag: Tag, unit: int, limits: Limits) -> None:
        self.tag = tag
        self.unit = unit
        (self.block,) = plan_blocks([tag], limits)
        self.decoder = decoder_for([tag], self.block.first)
        self.read = read_exchange(unit, self.block)


@dataclass(frozen=True, slots=True)
class Writing:
    """A write under way. ``answer`` is called exactly once."""

    request: WriteRequest
    target: Target
    line: Line
    now: Callable[[], Instant]
    answer: Callable[[WriteResult], None]

    def start(self, raw: bytes) -> None:
        """Put the request ahead of every read."""
        self.line.send_first(WriteAsk(self, raw))

    def end(self, outcome: WriteOutcome, detail: str = "", read_back: float = math.nan) -> None:
        """Answer."""
        self.answer(result_of(self.request, outcome, detail, read_back))

    def read_back(self) -> None:
        """The device may have taken it: look."""
        self.line.send_first(ReadBack(self))

    def taken(self) -> None:
        """The device says it has taken it: look, unless told that this shows nothing."""
        limits = self.target.tag.write
        if limits is None or limits.read_back:
            self.read_back()
        else:
            self.end(WriteOutcome.WRITTEN)


class WriteAsk(Ask):
    """The write itself."""

    __slots__ = ("_writing",)

    def __init__(self, writing: Writing, raw: bytes) -> None:
        super().__init__(write_exchange(writing.target.unit, writing.target.block, raw))
        self._writing = writing

    def may_go(self) -> bool:
        """Whether the request still holds now that its turn has come."""
        if self._writing.now().mono < self._writing.request.expires:
            return True
        self._writing.end(WriteOutcome.EXPIRED, "its time was over before it could be sent")
        return False

    def good(self, frame: bytes) -> None:  # noqa: ARG002  an echo says nothing new
        """The device echoed it."""
        self._writing.taken()

    def failed(self, failure: Failure) -> None:
        """Refused, or nobody knows."""
        if failure.trouble is Trouble.WRONG_REPLY or failure.code == ACKNOWLEDGE:
            self._writing.read_back()  # the device may have taken it: what it holds now tells
        elif failure.trouble is Trouble.EXCEPTION:
            self._writing.end(WriteOutcome.REFUSED, failure.words)
        else:
            self._writing.end(
                WriteOutcome.NO_COMMUNICATION,
                f"{failure.words}; whether the device took it is not known",
            )


class ReadBack(Ask):
    """The same registers, read after the write."""

    __slots__ = ("_writing",)

    def __init__(self, writing: Writing) -> None:
        super().__init__(writing.target.read)
        self._writing = writing

    def good(self, frame: bytes) -> None:
        """Compare what the device holds with what it was told."""
        held = float(self._writing.target.decoder.decode(frame, DATA_AT).values[0])
        tag, wanted = self._writing.target.tag, self._writing.request.value
        if abs(held - wanted) <= slack(tag, wanted):
            self._writing.end(WriteOutcome.WRITTEN, read_back=held)
            return
        unit = f" {tag.unit}" if tag.unit else ""
        detail = f"{wanted:.10g}{unit} was written, {held:.10g}{unit} is read back"
        self._writing.end(WriteOutcome.NOT_VERIFIED, detail, held)

    def failed(self, failure: Failure) -> None:
        """Written, but nobody saw it."""
        gone = failure.trouble in (Trouble.SILENT, Trouble.LINE_LOST)
        outcome = WriteOutcome.NO_COMMUNICATION if gone else WriteOutcome.NOT_VERIFIED
        self._writing.end(
            outcome, f"the device was told, but the read-back failed: {failure.words}"
        )


def result_of(
    request: WriteRequest, outcome: WriteOutcome, detail: str, read_back: float = math.nan
) -> WriteResult:
    """The answer to a request."""
    return WriteResult(request.number, request.tag, outcome, read_back, detail)
