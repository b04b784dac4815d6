"""Writes as events: a person's at once and one by one, a loop's once a minute for each tag.

A loop writes ten times a second; the journal on the gateway keeps each. Upstream is told how often,
between which values, and where it stands. What failed or was refused the engine tells itself.
"""

from dataclasses import dataclass

from edgetwin.core.event import Event, EventKind
from edgetwin.core.frame import Frame
from edgetwin.core.plan import SECOND
from edgetwin.core.reading import (
    Authority,
    Instant,
    Scalar,
    WriteOutcome,
    WriteRequest,
    WriteResult,
)
from edgetwin.core.tags import TagTable

_SPAN = 60 * SECOND


@dataclass(slots=True)
class _Page:
    """What one loop wrote to one tag since the last time it was told."""

    count: int
    low: float
    high: float
    last: float

    def add(self, value: float) -> None:
        self.count += 1
        self.low, self.high, self.last = min(self.low, value), max(self.high, value), value


class Ledger:
    """Gives the events of the writes in frames."""

    def __init__(self, tags: TagTable) -> None:
        self._tags = tags
        self._out: dict[int, WriteRequest] = {}  # bounded: the guard has one out for each tag
        self._pages: dict[tuple[str, int], _Page] = {}
        self._due = 0

    def take(self, frame: Frame) -> list[Event]:
        """What a frame says about writes, and what is due by then."""
        events = self._tell(frame.at) if self._pages and frame.at.mono >= self._due else []
        if isinstance(frame.input, WriteResult):
            request = self._out.pop(frame.input.number, None)
            if request is not None and frame.input.outcome is WriteOutcome.WRITTEN:
                events += self._written(request, frame.at)
        for request in frame.writes:
            self._out[request.number] = request
        return events

    def close(self) -> list[Event]:
        """The end: what is not yet told."""
        return self._tell(Instant(0, 0))

    def _written(self, request: WriteRequest, now: Instant) -> list[Event]:
        if request.authority is not Authority.LOOP:
            return [self._single(request)]
        if not self._pages:
            self._due = now.mono + _SPAN
        key, value = (request.by, request.tag), request.value
        if key in self._pages:
            self._pages[key].add(value)
        else:
            self._pages[key] = _Page(1, value, value, value)
        return []

    def _single(self, request: WriteRequest) -> Event:
        tag = self._tags[request.tag]
        value: Scalar = request.value
        shown = f"{value:.6g}"
        if tag.write is not None and tag.write.texts:
            value = tag.write.text_of(request.value)
            shown = repr(value)
        text = f"{request.by} set {tag.name} to {shown} {tag.unit}".rstrip()
        facts: tuple[tuple[str, Scalar], ...] = (
            ("by", request.by),
            ("authority", str(request.authority)),
            ("value", value),
            ("reason", request.reason),
        )
        return Event(EventKind.WRITTEN, tag.name, text, facts)

    def _tell(self, now: Instant) -> list[Event]:
        pages, self._pages = self._pages, {}
        self._due = now.mono + _SPAN
        return [self._page(by, tag, page) for (by, tag), page in pages.items()]

    def _page(self, by: str, index: int, page: _Page) -> Event:
        tag = self._tags[index]
        times = "once" if page.count == 1 else f"{page.count} times"
        span = f"from {page.low:.6g} to {page.high:.6g} {tag.unit}".rstrip()
        text = f"{by} wrote {tag.name} {times}, {span}; last {page.last:.6g}"
        facts: tuple[tuple[str, Scalar], ...] = (
            ("by", by),
            ("authority", str(Authority.LOOP)),
            ("count", page.count),
            ("min", page.low),
            ("max", page.high),
            ("value", page.last),
        )
        return Event(EventKind.WRITTEN, tag.name, text, facts)
