"""Summaries: what each tag did in one window of time, from frames alone.

The summariser keeps a twin of its own and gives it every frame, so that range, staleness and
"sensor frozen" mean here exactly what they mean to the engine. Statistics are over good values
only. A reading counts when it came in; a subscription's word that nothing changed counts as the
same value measured again. Where neither came, ``count`` is 0 and the statistics are NaN: nothing
measured is not the same as the same value again.

Windows end on the wall clock's grid (10 s windows at :00, :10 …) but run on the monotonic clock:
after each one the next end is set to the grid point nearest to one window ahead. A clock step
therefore makes one window at most half a window longer or shorter, and never repeats or skips one.
"""

from dataclasses import dataclass

import numpy as np

from edgetwin.core.frame import Confirmed, Frame, Link, Tick
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Bytes, Floats, Indices, Instant, ReadingBatch, Scalar, Times
from edgetwin.core.tags import TagTable
from edgetwin.core.twin import Twin


@dataclass(frozen=True, slots=True)
class Summary:
    """One window of all n tags; every column has length n.

    ``begin``/``end``       UTC ns
    ``first``/``final``     number of the first and the last frame seen in it; 0 when there was none
    ``lost``                frames that are missing in between, because the office was too slow
    ``count``/``good``      int64[n] readings, and those of good quality
    ``minimum`` … ``last``  float64[n] over good readings, NaN where there was none
    ``quality``             uint8[n] of Quality at the end of the window
    ``objects``             (twin index, exact last value) of what float64 cannot hold
    """

    begin: int
    end: int
    first: int
    final: int
    lost: int
    count: Times
    good: Times
    minimum: Floats
    maximum: Floats
    mean: Floats
    last: Floats
    quality: Bytes
    objects: tuple[tuple[int, Scalar], ...] = ()


class Summariser:
    """Turns frames into one summary per window of ``window`` ns.

    A frame may end a window, so give it all of them.
    """

    def __init__(self, tags: TagTable, window: int) -> None:
        self.twin = Twin(tags)
        self._window = window
        self._places = np.arange(len(tags), dtype=np.intp)
        self._device = np.array([tag.device for tag in tags], np.int64)
        self._end = 0
        self._begin_wall = 0
        self._now: Instant | None = None
        self._final = 0
        self._clear()

    def _clear(self) -> None:
        n = len(self._places)
        self._first = 0
        self._seen = 0
        self._lost = 0
        self._count: Times = np.zeros(n, np.int64)
        self._good: Times = np.zeros(n, np.int64)
        self._low: Floats = np.full(n, np.inf)
        self._high: Floats = np.full(n, -np.inf)
        self._sum: Floats = np.zeros(n)
        self._last: Floats = np.full(n, np.nan)
        self._objects: dict[int, Scalar] = {}

    # ------------------------------------------------------------ frames in

    def take(self, frame: Frame) -> tuple[Summary, ...]:
        """Take a frame in; give the summaries of the windows that it ended: none, one or two."""
        now = frame.at
        if self._now is None:
            self._begin_wall = now.wall
            self._end = now.mono + self._window - now.wall % self._window
            self._final = frame.number - 1
        done = self._close_until(now) if now.mono >= self._end else ()
        self._now = now
        self._number(frame.number)
        self._digest(frame)
        return done

    def _number(self, number: int) -> None:
        self._lost += max(0, number - self._final - 1)
        self._first = self._first or number
        self._final = self._seen = number

    def _digest(self, frame: Frame) -> None:
        cause, now = frame.input, frame.at
        if isinstance(cause, ReadingBatch):
            self._readings(cause, now)
        elif isinstance(cause, Tick):
            self.twin.age_out(now)
        elif isinstance(cause, Confirmed):
            self.twin.confirm(cause.tags, now)
            self._again(cause.tags)
        elif isinstance(cause, Link) and not cause.up:
            self.twin.spoil(np.flatnonzero(self._device == cause.device), Quality.NO_COMMUNICATION)
        for batch in frame.inner:
            self._readings(batch, now)

    def _readings(self, batch: ReadingBatch, now: Instant) -> None:
        self.twin.apply(batch, now)
        at = batch.tags
        self._count[at] += 1
        if self.twin.quality[at].any():
            indices = self._places[at]
            self._measure(indices[self.twin.quality[indices] < Quality.UNCERTAIN])
        else:
            self._measure(at)
        if batch.objects:
            self._objects.update(
                (i, v) for i, v in batch.objects if self.twin.quality[i] < Quality.UNCERTAIN
            )

    def _again(self, tags: range) -> None:
        indices = self._places[tags.start : tags.stop]
        known = indices[self.twin.quality[indices] < Quality.BAD]
        self._count[known] += 1
        self._measure(known[self.twin.quality[known] < Quality.UNCERTAIN])
        for index in known.tolist() if self.twin.objects else ():
            if index in self.twin.objects:
                self._objects[index] = self.twin.objects[index]

    def _measure(self, at: Indices) -> None:
        """Take the twin's present values of these tags, all good, into the window."""
        values = self.twin.value[at]
        self._good[at] += 1
        self._low[at] = np.minimum(self._low[at], values)
        self._high[at] = np.maximum(self._high[at], values)
        self._sum[at] += values
        self._last[at] = values

    # ------------------------------------------------------------ summaries out

    def close(self) -> Summary | None:
        """The window so far, ended at the last frame; None if no frame has come in it."""
        if self._now is None or not self._seen:
            return None
        return self._close(self._now)

    def _close_until(self, now: Instant) -> tuple[Summary, ...]:
        """End the window that is over, and in one more summary the empty ones passed after it."""
        done = [self._close(self._ended(now))]
        if now.mono >= self._end:
            late = (now.mono - self._end) // self._window
            self._end += late * self._window
            done.append(self._close(self._ended(now)))
        return tuple(done)

    def _ended(self, now: Instant) -> Instant:
        return Instant(self._end, now.wall - (now.mono - self._end))

    def _close(self, end: Instant) -> Summary:
        self.twin.age_out(end)
        measured = self._good > 0
        nothing = ~measured
        mean = np.divide(self._sum, self._good, out=np.full(len(measured), np.nan), where=measured)
        self._low[nothing] = self._high[nothing] = np.nan
        summary = Summary(
            begin=self._begin_wall,
            end=end.wall,
            first=self._first,
            final=self._seen,
            lost=self._lost,
            count=self._count,
            good=self._good,
            minimum=self._low,
            maximum=self._high,
            mean=mean,
            last=self._last,
            quality=self.twin.quality.copy(),
            objects=tuple(sorted(self._objects.items())),
        )
        self._begin_wall = end.wall
        self._end = end.mono + self._to_grid(end.wall)
        self._clear()
        return summary

    def _to_grid(self, wall: int) -> int:
        """From here to the grid point nearest to one window ahead."""
        past = wall % self._window
        ahead = self._window - past
        return ahead if past < self._window // 2 else ahead + self._window
