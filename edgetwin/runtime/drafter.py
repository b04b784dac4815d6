"""From frames to what is kept and sent: summaries, reports, events, captures, raw values, gaps.

A stream goes to all its upstreams from its first record to its last, or its numbers would prove
nothing: so each window length has a stream of its own, and so has each class of tags with a window;
reports, events, captures and gaps are told to everyone. One follower takes each frame for all.

A window of a thousand tags takes 2 ms to write down. So it is given out *unwritten*, to be written
in slices, or in one go by who has the time.
"""

from collections.abc import Iterable
from typing import TypeAlias

from edgetwin.core import compact, payload
from edgetwin.core.capture import Capturer, Part
from edgetwin.core.challenger import Challenger
from edgetwin.core.event import Event
from edgetwin.core.follow import Follower
from edgetwin.core.frame import Frame
from edgetwin.core.ledger import Ledger
from edgetwin.core.payload import Gap, ValuesWriter
from edgetwin.core.plan import SECOND, GatewayPlan
from edgetwin.core.reading import ReadingBatch
from edgetwin.core.report import Reporter, Told
from edgetwin.core.slices import Steps, finish
from edgetwin.core.summary import Summariser, Summary
from edgetwin.storage.journal import Entry, entries
from edgetwin.storage.outbox import Draft


class Unwritten:
    """The record of a window that is over."""

    def __init__(self, done: Summary, birth: str, stream: str, upstreams: tuple[str, ...]) -> None:
        self._done = done
        self._birth = birth
        self._stream = stream
        self._upstreams = upstreams

    def slices(self) -> Steps[Draft]:
        """Write it; see ``core.slices``. It can be begun again."""
        done = self._done
        stored, told = (yield from compact.squeezing(done, self._birth)) or (b"", done)
        parts = []
        for part in payload.summary_parts(told, self._birth):
            parts.append(part)
            yield
        body = b"".join(parts)
        return Draft("summary", self._stream, self._upstreams, body, done.end, stored)


Drafted: TypeAlias = Draft | Unwritten


def write(drafted: Drafted) -> Draft:
    """The record, written in one go."""
    return finish(drafted.slices()) if isinstance(drafted, Unwritten) else drafted


class _Window:
    """One window length: its streams, who wants them, and the summariser that they share."""

    def __init__(
        self, plan: GatewayPlan, window: int, *, classes: bool, follower: Follower
    ) -> None:
        native = [u for u in plan.upstreams if u.sparkplug is None]
        theirs = plan.classes if classes else ()
        self._streams = {each.name: _stream(each.window, each.name) for each in theirs}
        self._everyone = tuple(u.name for u in native)
        self._streams[""] = _stream(window)
        self._wanted = tuple(u.name for u in native if u.window == window)
        self.summariser = Summariser(plan.tags, window, theirs, follower)

    def draft(self, done: Summary, birth: str) -> Unwritten:
        """The record of a window that is over. Classes are the same for everyone."""
        names = self._everyone if done.set else self._wanted
        return Unwritten(done, birth, self._streams[done.set], names)


def _stream(window: int, of: str = "") -> str:
    return f"summary-{of}-{window / SECOND:g}s" if of else f"summary-{window / SECOND:g}s"


def _challengers(plan: GatewayPlan) -> tuple[Challenger, ...]:
    """One for each machine of a type, if ranges of a fleet are taken from some upstream."""
    every = [u.challenger.every for u in plan.upstreams if u.challenger]
    return tuple(Challenger(each, plan.tags, min(every)) for each in plan.typed if every)


class Drafter:
    """Gives drafts for each frame, in order.

    Computes only what some upstream or the journal asks for.
    """

    def __init__(self, plan: GatewayPlan) -> None:
        native = [u for u in plan.upstreams if u.sparkplug is None]
        self.everyone = tuple(u.name for u in native)
        self._raw_for = tuple(u.name for u in native if u.values)
        self._birth = payload.birth(plan.name, 0, plan.tags, plan.typed).id
        self._follower = Follower(plan.tags)
        lengths = sorted({u.window for u in native})
        self._windows = [
            _Window(plan, length, classes=length == lengths[0], follower=self._follower)
            for length in lengths
        ]
        shortest = lengths[0] if lengths else SECOND
        self._reporter = Reporter(plan.tags, shortest, self._follower)
        self._capturer = Capturer(plan.detectors if native else (), plan.tags)
        self._ledger = Ledger(plan.tags)
        self._values = ValuesWriter(plan.tags)
        self.challengers = _challengers(plan)
        self._journalled = any(tag.write for tag in plan.tags)
        self._number = 0
        self._wall = 0

    def take(self, frame: Frame) -> tuple[list[Drafted], list[Entry]]:
        """What one frame amounts to."""
        self._wall = frame.at.wall
        drafts: list[Drafted] = []
        if self.everyone:
            drafts += self._missing(frame)
            drafts += self._follow(frame)
            drafts += self._events((*frame.events, *self._ledger.take(frame)))
            drafts += map(self._capture, self._capturer.take(frame))
        elif self._journalled:
            self._follower.take(frame)
        if self._raw_for:
            drafts += self._raw(frame)
        return drafts, entries(frame, self._follower.twin) if self._journalled else []

    @property
    def due(self) -> int | None:
        """When the next window ends, monotonic ns; None where none has begun."""
        ends = (window.summariser.due for window in self._windows)
        return min((end for end in ends if end is not None), default=None)

    @property
    def is_raw(self) -> bool:
        """Whether some upstream is sent every reading."""
        return bool(self._raw_for)

    def close(self) -> list[Drafted]:
        """What has begun, ended early: windows, lines, captures, counts."""
        drafts: list[Drafted] = []
        for window in self._windows:
            drafts += self._summaries(window, window.summariser.close())
        drafts += self._report(self._reporter.close())
        drafts += map(self._capture, self._capturer.close())
        drafts += self._events(self._ledger.close()) if self.everyone else ()
        return drafts

    def gap(self, missing: Gap, wall: int) -> Draft:
        """The record that says what will never come."""
        return Draft("gap", "gap", self.everyone, payload.gap(missing, wall), wall)

    # ------------------------------------------------------------

    def _follow(self, frame: Frame) -> list[Drafted]:
        """Summaries of the windows that a frame ends; then the frame itself."""
        drafts: list[Drafted] = []
        for window in self._windows:
            drafts += self._summaries(window, window.summariser.advance(frame))
        measured = self._follower.take(frame)
        for window in self._windows:
            window.summariser.measure(measured)
        drafts += self._report(self._reporter.measure(measured, frame.at))
        return drafts

    def _missing(self, frame: Frame) -> list[Draft]:
        """Frames that the queue had to drop: their numbers are missing."""
        expected, self._number = self._number + 1, frame.number
        lost = frame.number - expected
        if lost <= 0 or expected == 1:
            return []
        reason = "the office was too slow for the field: frames were dropped before they were read"
        missing = Gap("frames", expected, frame.number - 1, lost, reason)
        return [self.gap(missing, frame.at.wall)]

    def _summaries(self, window: _Window, done: tuple[Summary, ...]) -> list[Drafted]:
        drafts: list[Drafted] = [window.draft(each, self._birth) for each in done]
        for challenger in self.challengers:
            told = (challenger.judge(each) for each in done)
            drafts += self._events(event for event in told if event)
        return drafts

    def _report(self, told: Told | None) -> list[Draft]:
        if told is None:
            return []
        return [
            Draft("report", "report", self.everyone, payload.report(told, self._birth), told.end)
        ]

    def _events(self, events: Iterable[Event]) -> list[Draft]:
        return [
            Draft("event", "event", self.everyone, payload.event(e, self._wall), self._wall)
            for e in events
        ]

    def _capture(self, part: Part) -> Draft:
        body = payload.capture(part, self._birth)
        return Draft("capture", "capture", self.everyone, body, self._wall)

    def _raw(self, frame: Frame) -> list[Draft]:
        batches = [b for b in (frame.input, *frame.inner) if isinstance(b, ReadingBatch)]
        if not batches:
            return []
        body = self._values.write(batches, self._wall)
        return [Draft("values", "values", self._raw_for, body, self._wall)]
