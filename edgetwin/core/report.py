"""Reports: points of those tags that are told by exception, gathered to one record per span.

From the frames alone, like summaries: the twin of the same follower says what is good. Only good
readings make points. When a tag is no longer good, its line ends in a point without a value.
Texts are compared whole.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgetwin.core.door import Doors, Point, Steps
from edgetwin.core.follow import Follower, Measured
from edgetwin.core.members import Members
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant
from edgetwin.core.tags import Report, ReportBy, TagTable

_MS = 1_000_000
MOST = 2000
"""Points in one record; more go out at once."""


@dataclass(frozen=True, slots=True)
class Told:
    """The points of one span of time, UTC ns, in the order in which they were made."""

    begin: int
    end: int
    points: tuple[Point, ...]


class _Texts:
    """What was last told of tags that hold no numbers."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[object, int]] = {}

    def is_news(self, tag: int, value: object, now: int, every_ms: float) -> bool:
        """Whether it has changed, or is due again."""
        before, at = self._told.get(tag, (None, 0))
        news = value != before or not 0 <= now - at < every_ms
        if news:
            self._told[tag] = value, now
        return news

    def forget(self, tag: int) -> None:
        """Nothing is known of it any more."""
        self._told.pop(tag, None)


class _Way:
    """All tags that are reported the same way."""

    def __init__(self, tags: TagTable, by: ReportBy) -> None:
        own = [(t.index, t.report) for t in tags if t.report and t.report.by is by]
        reports = [report for _, report in own]
        self.members = Members([index for index, _ in own], len(tags))
        self._filter = Doors(reports) if by is ReportBy.LINE else Steps(reports)
        self._known = np.zeros(len(own), bool)

    def take(self, came: Measured, follower: Follower, now: int) -> list[Point]:
        columns, tags = self.members.among(came.good)
        values = follower.twin.value[tags]
        if not len(values):
            return []
        self._known[columns] = True
        return self._named(self._filter.take(columns, values, now))

    def lose(self, follower: Follower, now: int) -> list[Point]:
        """Some quality has changed: of what is no longer good nothing is known."""
        bad = follower.twin.quality[self.members.tags] >= Quality.UNCERTAIN
        gone = np.flatnonzero(bad & self._known)
        self._known[gone] = False
        return self._named(self._filter.end(gone.tolist(), now)) if len(gone) else []

    def end(self) -> list[Point]:
        return self._named(self._filter.end(range(len(self.members))))

    def _named(self, points: Iterable[Point]) -> list[Point]:
        return [Point(self.members.tags.item(p.tag), p.at, p.value) for p in points]


class Reporter:
    """Gives what is to be told at the end of each span of ``span`` ns. Give it all frames.

    ``measure`` stands behind the follower: it has taken the frame already.
    """

    def __init__(self, tags: TagTable, span: int, follower: Follower) -> None:
        self._follower = follower
        self._span = span
        ways = (_Way(tags, by) for by in ReportBy)
        self._ways = tuple(way for way in ways if len(way.members))
        self._every = {t.index: _every_ms(t.report) for t in tags if t.report}
        self._texts = _Texts()
        self._points: list[Point] = []
        self._begin = 0
        self._now = 0

    def measure(self, measured: Iterable[Measured], now: Instant) -> Told | None:
        """Take in what a frame measured; gives what is due before it."""
        if not self._ways:
            return None
        due = now.wall // self._span != self._now // self._span or len(self._points) >= MOST
        told = self._tell(now.wall) if due else None
        self._begin = self._begin or now.wall
        self._now, ms = now.wall, now.wall // _MS
        with np.errstate(over="ignore", invalid="ignore"):
            for came in measured:
                for way in self._ways:
                    self._keep(way.take(came, self._follower, ms))
        if self._follower.worsened:
            for way in self._ways:
                self._keep(way.lose(self._follower, ms))
        return told

    def close(self) -> Told | None:
        """The end: every line is brought to its last reading."""
        for way in self._ways:
            self._keep(way.end())
        return self._tell(self._now)

    def _keep(self, points: Iterable[Point]) -> None:
        for point in points:
            value = point.value
            if value is None:
                self._texts.forget(point.tag)
            elif value != value:  # noqa: PLR0124 (NaN is not itself): a text, or nothing at all
                exact = self._follower.twin.objects.get(point.tag)
                every = self._every[point.tag]
                if exact is None or not self._texts.is_news(point.tag, exact, point.at, every):
                    continue
                point = Point(point.tag, point.at, exact)  # noqa: PLW2901 the same point, in words
            self._points.append(point)

    def _tell(self, wall: int) -> Told | None:
        points, begin = tuple(self._points), self._begin
        self._points, self._begin = [], wall
        return Told(begin, wall, points) if points else None


def _every_ms(report: Report) -> float:
    return report.every / _MS
