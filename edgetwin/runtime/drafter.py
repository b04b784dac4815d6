"""From frames to what is kept and sent: summaries, events, raw values, gaps, journal entries.

A stream goes to all its upstreams from its first record to its last, or its numbers would prove
nothing: so each window length has a stream of its own, and a gap is told to everyone.
"""

from collections.abc import Iterable

from edgetwin.core import payload
from edgetwin.core.frame import Frame
from edgetwin.core.payload import Gap, ValuesWriter
from edgetwin.core.plan import SECOND, GatewayPlan
from edgetwin.core.reading import ReadingBatch
from edgetwin.core.summary import Summariser, Summary
from edgetwin.core.twin import Twin
from edgetwin.storage.journal import Entry, entries
from edgetwin.storage.outbox import Draft


class _Window:
    """One window length: its stream, who wants it, and the summariser that they share."""

    def __init__(self, plan: GatewayPlan, window: int) -> None:
        self.stream = f"summary-{window / SECOND:g}s"
        self.upstreams = tuple(u.name for u in plan.upstreams if u.window == window)
        self.summariser = Summariser(plan.tags, window)


class Drafter:
    """Gives drafts for each frame, in order.

    Computes only what some upstream or the journal asks for.
    """

    def __init__(self, plan: GatewayPlan) -> None:
        self.everyone = tuple(u.name for u in plan.upstreams)
        self._raw_for = tuple(u.name for u in plan.upstreams if u.values)
        self._birth = payload.birth(plan.name, 0, plan.tags).id
        self._windows = [_Window(plan, w) for w in sorted({u.window for u in plan.upstreams})]
        self._values = ValuesWriter(plan.tags)
        self._journalled = any(tag.write for tag in plan.tags)
        self._own_twin = not self._windows
        self._twin = Twin(plan.tags) if self._own_twin else self._windows[0].summariser.twin
        self._number = 0
        self._wall = 0

    def take(self, frame: Frame) -> tuple[list[Draft], list[Entry]]:
        """What one frame amounts to."""
        drafts = self._missing(frame)
        for window in self._windows:
            drafts += self._summaries(window, window.summariser.take(frame))
        self._wall = frame.at.wall
        if self.everyone:
            drafts += (
                Draft("event", "event", self.everyone, payload.event(e, self._wall), self._wall)
                for e in frame.events
            )
        if self._raw_for:
            drafts += self._raw(frame)
        return drafts, self._entries(frame) if self._journalled else []

    def close(self) -> list[Draft]:
        """The summaries of the windows that have begun, ended early."""
        drafts: list[Draft] = []
        for window in self._windows:
            last = window.summariser.close()
            drafts += self._summaries(window, (last,) if last else ())
        return drafts

    def gap(self, missing: Gap, wall: int) -> Draft:
        """The record that says what will never come."""
        return Draft("gap", "gap", self.everyone, payload.gap(missing, wall), wall)

    # ------------------------------------------------------------

    def _missing(self, frame: Frame) -> list[Draft]:
        """Frames that the queue had to drop: their numbers are missing."""
        expected, self._number = self._number + 1, frame.number
        lost = frame.number - expected
        if lost <= 0 or expected == 1 or not self.everyone:
            return []
        reason = "the office was too slow for the field: frames were dropped before they were read"
        missing = Gap("frames", expected, frame.number - 1, lost, reason)
        return [self.gap(missing, frame.at.wall)]

    def _summaries(self, window: _Window, done: Iterable[Summary]) -> list[Draft]:
        return [
            Draft(
                "summary",
                window.stream,
                window.upstreams,
                payload.summary(summary, self._birth),
                summary.end,
            )
            for summary in done
        ]

    def _raw(self, frame: Frame) -> list[Draft]:
        batches = [b for b in (frame.input, *frame.inner) if isinstance(b, ReadingBatch)]
        if not batches:
            return []
        body = self._values.write(batches, self._wall)
        return [Draft("values", "values", self._raw_for, body, self._wall)]

    def _entries(self, frame: Frame) -> list[Entry]:
        if self._own_twin:
            for batch in (frame.input, *frame.inner):
                if isinstance(batch, ReadingBatch):
                    self._twin.apply(batch, frame.at)
        return entries(frame, self._twin)
