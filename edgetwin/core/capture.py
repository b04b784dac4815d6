"""Captures: the raw readings of an asset just before and after an anomaly, cut into records.

    ring of the last readings (references, nothing is copied)
    ────────────────────────┬──────────────┐
             before         │anomaly  after│
    ────────────────────────┴──────────────┘
    rows:  part 1 │ part 2 │ part 3 │ final │

Each part is at most ``PART_BYTES`` long. What the ring gives is written out a little with each
frame that follows, since the field shares the thread: ``_BUDGET`` values take half a millisecond.
An anomaly of the same asset while its capture is under way makes that longer, up to its size.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgetwin.core.event import EventKind
from edgetwin.core.frame import Frame
from edgetwin.core.members import Members
from edgetwin.core.plan import DetectorPlan
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Floats, Instant, ReadingBatch, Scalar
from edgetwin.core.tags import TagTable

PART_BYTES = 60_000
MOST_VALUES = 500_000
_MS = 1_000_000
_BUDGET = 2000
_ROW = 1000  # values in one row, so that a row always fits into a part
_LONGEST = 24  # bytes of a number, and the comma behind it
_HEAD = 1000  # what a part says beside its rows


@dataclass(frozen=True, slots=True)
class Row:
    """Readings that came in together, of tags with indices that follow each other; None: bad."""

    at: int
    first: int
    values: tuple[Scalar | None, ...]

    @property
    def size(self) -> int:
        """How many bytes it fills at most."""
        return 40 + sum(6 * len(v) + 3 if isinstance(v, str) else _LONGEST for v in self.values)


@dataclass(frozen=True, slots=True)
class Part:
    """One record of a capture. Times are UTC ns; ``number`` counts from 1.

    ``cut``: the capture has reached its size, and ends here before its time.
    """

    subject: str
    at: int
    number: int
    final: bool
    cut: bool
    rows: tuple[Row, ...]


@dataclass(slots=True)
class _Open:
    """A capture under way."""

    subject: str
    at: Instant
    until: int
    size: int
    left: deque[tuple[int, ReadingBatch]]
    rows: list[Row] = field(default_factory=list)
    filled: int = 0
    number: int = 0

    def part(self, *, final: bool, cut: bool = False) -> Part:
        """What has been gathered, as the next record."""
        self.number += 1
        rows, self.rows, self.filled = tuple(self.rows), [], 0
        return Part(self.subject, self.at.wall, self.number, final, cut, rows)


class Capturer:
    """Keeps the last readings of all assets watched; gives parts when there is an anomaly."""

    def __init__(self, detectors: Sequence[DetectorPlan], tags: TagTable) -> None:
        self._plans = {d.name: d for d in detectors if d.capture.before + d.capture.after}
        self._tags = {
            name: Members(sorted({*d.tags, d.score_tag, d.verdict_tag}), len(tags))
            for name, d in self._plans.items()
        }
        every = sorted({int(i) for members in self._tags.values() for i in members.tags})
        self._any = Members(every, len(tags))
        self._longest = max((d.capture.before for d in self._plans.values()), default=0)
        # Bounded by time and by values; the oldest go. A capture then begins later than asked.
        self._ring: deque[tuple[Instant, ReadingBatch]] = deque()
        self._held = 0
        self._open: dict[str, _Open] = {}

    def take(self, frame: Frame) -> list[Part]:
        """Take a frame in; give the parts that are full, or ended, by it."""
        if not self._plans:
            return []
        now = frame.at
        for batch in (frame.input, *frame.inner):
            if isinstance(batch, ReadingBatch) and self._touches(batch):
                self._remember(batch, now)
        for event in frame.events:
            if event.kind is EventKind.ANOMALY and event.subject in self._plans:
                self._begin(event.subject, now)
        return [part for each in tuple(self._open.values()) for part in self._write(each, now)]

    def close(self) -> list[Part]:
        """The end: what is under way is written out as far as it came."""
        return [part for each in tuple(self._open.values()) for part in self._write(each, None)]

    # ------------------------------------------------------------

    def _touches(self, batch: ReadingBatch) -> bool:
        return bool(self._any.tags[self._any.among(batch.tags)[0]].size)

    def _remember(self, batch: ReadingBatch, now: Instant) -> None:
        self._ring.append((now, batch))
        self._held += len(batch.values)
        oldest = now.mono - self._longest
        while self._ring and (self._ring[0][0].mono < oldest or self._held > MOST_VALUES):
            self._held -= len(self._ring.popleft()[1].values)
        for each in self._open.values():
            if now.mono <= each.until:
                each.left.append((now.wall, batch))

    def _begin(self, subject: str, now: Instant) -> None:
        wanted = self._plans[subject].capture
        if subject in self._open:
            self._open[subject].until = now.mono + wanted.after
            return
        since = now.mono - wanted.before
        left = deque((at.wall, batch) for at, batch in self._ring if at.mono >= since)
        self._open[subject] = _Open(subject, now, now.mono + wanted.after, wanted.size, left)

    def _write(self, each: _Open, now: Instant | None) -> Iterator[Part]:
        """Some of what is left to write; all of it at the end (``now`` is None)."""
        budget = _BUDGET if now else MOST_VALUES
        while each.left and budget > 0:
            at, batch = each.left.popleft()
            for row in _rows(batch, self._tags[each.subject], at):
                budget -= len(row.values)
                if row.size > each.size:
                    del self._open[each.subject]
                    yield each.part(final=True, cut=True)
                    return
                if each.filled + row.size > PART_BYTES - _HEAD:
                    yield each.part(final=False)
                each.rows.append(row)
                each.filled += row.size
                each.size -= row.size
        if not each.left and (now is None or now.mono > each.until):
            del self._open[each.subject]
            yield each.part(final=True)


def _rows(batch: ReadingBatch, members: Members, at: int) -> Iterator[Row]:
    """The members' readings of a batch, a row for each run of indices."""
    indices = members.tags[members.among(batch.tags)[0]]
    if not len(indices):
        return
    values = _values(batch, indices)
    exact = dict(batch.objects)
    ends = np.flatnonzero(np.diff(indices) != 1) + 1
    for run in np.split(np.arange(len(indices)), ends):
        for start in range(0, len(run), _ROW):
            part = run[start : start + _ROW]
            first = int(indices[part[0]])
            row = (exact.get(first + i, v) for i, v in enumerate(values[part].tolist()))
            yield Row(at, first, tuple(None if v != v else v for v in row))  # noqa: PLR0124 (NaN)


def _values(batch: ReadingBatch, indices: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> Floats:
    """The values of these tags of a batch, NaN where they are bad."""
    if isinstance(batch.tags, slice):
        places = indices - batch.tags.start
    else:
        places = np.flatnonzero(np.isin(batch.tags, indices))
    values = batch.values[places]
    quality = batch.quality
    if isinstance(quality, int):
        return values if quality < Quality.BAD else np.full(len(values), np.nan)
    return np.where(quality[places] < Quality.BAD, values, np.nan)
