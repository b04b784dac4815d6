"""Summaries: what each tag did in one window of time, from frames alone.

Statistics are over good values only. A reading counts when it came in; a subscription's word that
nothing changed counts as the same value measured again. Where neither came, ``count`` is 0 and the
statistics are NaN: nothing measured is not the same as the same value again.

Every tag belongs to at most one set: those of the summariser's own window, or those of a class with
a window of its own. Each set is one row of windows:

    the rest, 10 s   │ 1 │ 2 │ 3 │ 4 │ 5 │ 6 │ 7 │ …
    slow, 1 min      │           1           │ …

Windows end on the wall clock's grid (10 s windows at :00, :10 …) but run on the monotonic clock:
after each one the next end is set to the grid point nearest to one window ahead. A clock step
therefore makes one window at most half a window longer or shorter, and never repeats or skips one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.follow import Follower, Measured
from edgetwin.core.frame import Frame
from edgetwin.core.members import Members
from edgetwin.core.plan import ClassPlan
from edgetwin.core.reading import Bytes, Floats, Indices, Instant, Scalar, Times
from edgetwin.core.tags import TagTable
from edgetwin.core.tally import Increase, TimeInState
from edgetwin.core.twin import Twin


@dataclass(frozen=True, slots=True)
class Columns:
    """The statistics of n tags; every column has length n.

    ``count``/``good``       int64[n] readings, and those of good quality
    ``minimum`` … ``last``   float64[n] over good readings, NaN where there was none; ``deviation``
                             is the standard deviation of the readings, not weighted by time
    ``on``/``off``           int64 ns known to be so, of those that are bits, in their order
    ``increase``             float64 of those that are counters, in their order
    ``quality``              uint8[n] of Quality at the end of the window
    ``objects``              (place, exact last value) of what float64 cannot hold
    """

    count: Times
    good: Times
    minimum: Floats
    maximum: Floats
    mean: Floats
    deviation: Floats
    earliest: Floats
    last: Floats
    on: Times
    off: Times
    increase: Floats
    quality: Bytes
    objects: tuple[tuple[int, Scalar], ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """One window of one set of tags.

    ``set``              the class whose tags these are; "" for those without a window of their own
    ``begin``/``end``    UTC ns
    ``first``/``final``  number of the first and the last frame seen in it; 0 when there was none
    ``lost``             frames that are missing in between, because the office was too slow
    """

    set: str
    begin: int
    end: int
    first: int
    final: int
    lost: int
    tags: Columns


class _Accounts:
    """What is added up for each tag, by twin index. Hot: arrays, changed in place.

    Sums are taken about the tag's first value in its window, so that a large level costs no digits.
    """

    def __init__(self, tags: TagTable) -> None:
        n = len(tags)
        self._count: Times = np.zeros(n, np.int64)
        self._good: Times = np.zeros(n, np.int64)
        self._low: Floats = np.full(n, np.inf)
        self._high: Floats = np.full(n, -np.inf)
        self._sum: Floats = np.zeros(n)
        self._squares: Floats = np.zeros(n)
        self._first: Floats = np.full(n, np.nan)
        self._last: Floats = np.full(n, np.nan)
        self._begun: set[tuple[int, int]] = set()
        self._bits = TimeInState(tags)
        self._counters = Increase(tags)

    def measure(self, came: Measured, twin: Twin, now: int) -> None:
        """Take the twin's present values of these tags into their windows."""
        self._count[came.tags] += 1
        good = came.good
        values = twin.value[good]
        if isinstance(good, slice):
            self._begin_slice(good, values)
            self._add_slice(good, values)
        else:
            self._add(good, values)
        if len(self._bits.members):
            self._bits.measure(good, twin, now)
        if len(self._counters.members):
            self._counters.measure(good, twin)

    def worsened(self, twin: Twin) -> None:
        """Some quality may be worse than before."""
        if len(self._bits.members):
            self._bits.forget(twin)

    def _begin_slice(self, at: slice, values: Floats) -> None:
        key = (at.start, at.stop)
        if key not in self._begun:
            self._begun.add(key)
            self._first[at] = np.where(self._good[at] > 0, self._first[at], values)

    def _add_slice(self, at: slice, values: Floats) -> None:
        low, high = self._low[at], self._high[at]
        np.minimum(low, values, out=low)
        np.maximum(high, values, out=high)
        self._good[at] += 1
        apart = values - self._first[at]
        self._sum[at] += apart
        apart *= apart
        self._squares[at] += apart
        self._last[at] = values

    def _add(self, at: Indices, values: Floats) -> None:
        self._first[at] = np.where(self._good[at] > 0, self._first[at], values)
        self._low[at] = np.minimum(self._low[at], values)
        self._high[at] = np.maximum(self._high[at], values)
        self._good[at] += 1
        apart = values - self._first[at]
        self._sum[at] += apart
        self._squares[at] += apart * apart
        self._last[at] = values

    def take_out(self, tags: NDArray[np.intp], twin: Twin, now: int) -> Columns:
        """The statistics of these tags; their windows begin anew."""
        count, good = self._count[tags], self._good[tags]
        measured, first = good > 0, self._first[tags]
        shift = np.divide(self._sum[tags], good, out=np.full(len(tags), np.nan), where=measured)
        square = np.divide(self._squares[tags], good, out=np.zeros(len(tags)), where=measured)
        with np.errstate(over="ignore", invalid="ignore"):
            deviation = np.sqrt(np.maximum(square - shift * shift, 0.0))
        on, off = self._bits.take_out(self._bits.members.among(tags)[0], now)
        columns = Columns(
            count=count,
            good=good,
            minimum=np.where(measured, self._low[tags], np.nan),
            maximum=np.where(measured, self._high[tags], np.nan),
            mean=first + shift,
            deviation=deviation,
            earliest=first,
            last=self._last[tags],
            on=on,
            off=off,
            increase=self._counters.take_out(self._counters.members.among(tags)[0]),
            quality=twin.quality[tags],
            objects=self._objects(tags, twin),
        )
        self._clear(tags)
        return columns

    def _objects(self, tags: NDArray[np.intp], twin: Twin) -> tuple[tuple[int, Scalar], ...]:
        """The exact last values, of those whose last good value the twin's object is."""
        if not twin.objects:
            return ()
        return tuple(
            (place, value)
            for place, tag in enumerate(tags.tolist())
            if self._good[tag]
            and (value := twin.objects.get(tag)) is not None
            and (isinstance(value, str) or float(value) == self._last[tag])
        )

    def _clear(self, tags: NDArray[np.intp]) -> None:
        for column in (self._count, self._good, self._sum, self._squares):
            column[tags] = 0
        self._low[tags], self._high[tags] = np.inf, -np.inf
        self._first[tags] = self._last[tags] = np.nan
        self._begun.clear()


class _Windows:
    """One set of tags and the row of its windows."""

    def __init__(self, name: str, window: int, tags: list[int]) -> None:
        self.name = name
        self.tags = np.array(tags, np.intp)
        self.end = 0
        self.seen = 0
        self._window = window
        self._begin_wall = 0
        self._first = 0
        self._final = 0
        self._lost = 0

    def start(self, frame: Frame) -> None:
        """The first frame of all."""
        now = frame.at
        self._begin_wall = now.wall
        self.end = now.mono + self._window - now.wall % self._window
        self._final = frame.number - 1

    def number(self, number: int) -> None:
        """A frame falls into this window."""
        self._lost += max(0, number - self._final - 1)
        self._first = self._first or number
        self._final = self.seen = number

    def close(self, end: Instant, columns: Columns) -> Summary:
        """End the window there, and begin the next."""
        seen = (self._first, self.seen, self._lost)
        summary = Summary(self.name, self._begin_wall, end.wall, *seen, columns)
        self._begin_wall = end.wall
        self.end = end.mono + self._to_grid(end.wall)
        self._first = self.seen = self._lost = 0
        return summary

    def skip_to(self, now: int) -> None:
        """Let one window reach over all the empty ones before now."""
        self.end += (now - self.end) // self._window * self._window

    def _to_grid(self, wall: int) -> int:
        """From here to the grid point nearest to one window ahead."""
        past = wall % self._window
        ahead = self._window - past
        return ahead if past < self._window // 2 else ahead + self._window


class Summariser:
    """Turns frames into summaries: windows of ``window`` ns, and those of ``classes``.

    A frame may end a window, so give it all of them: ``take``; or, where others follow the same
    frames, ``advance``, then the shared follower, then ``measure``.
    """

    def __init__(
        self,
        tags: TagTable,
        window: int,
        classes: Iterable[ClassPlan] = (),
        follower: Follower | None = None,
    ) -> None:
        self.follower = follower or Follower(tags)
        self._accounts = _Accounts(tags)
        rows = (("", window), *((each.name, each.window) for each in classes))
        self._rows = [
            _Windows(name, length, own)
            for name, length in rows
            if (own := [tag.index for tag in tags if tag.summary == name])
        ]
        told = sorted(int(tag) for row in self._rows for tag in row.tags)
        self._told = Members(told, len(tags))
        self._now: Instant | None = None

    def take(self, frame: Frame) -> tuple[Summary, ...]:
        """Take a frame in; give the summaries of the windows that it ended."""
        done = self.advance(frame)
        self.measure(self.follower.take(frame))
        return done

    def advance(self, frame: Frame) -> tuple[Summary, ...]:
        """Before a frame is followed: the summaries of the windows that are over by then."""
        now = frame.at
        done: tuple[Summary, ...] = ()
        for row in self._rows:
            if self._now is None:
                row.start(frame)
            if now.mono >= row.end:
                done += self._close_until(row, now)
            row.number(frame.number)
        self._now = now
        return done

    def measure(self, measured: Iterable[Measured]) -> None:
        """After the follower took the frame: what it measured goes into the windows."""
        if self._now is None:
            raise AssertionError("a frame is first advanced to")
        twin = self.follower.twin
        with np.errstate(over="ignore", invalid="ignore"):  # beyond 1e150 there is no deviation
            for came in measured:
                if not len(self._told.tags[self._told.among(came.tags)[0]]):
                    continue
                self._accounts.measure(came, twin, self._now.mono)
        if self.follower.worsened:
            self._accounts.worsened(twin)

    @property
    def due(self) -> int | None:
        """When the next window ends, monotonic ns; None before the first frame."""
        return min((row.end for row in self._rows), default=None) if self._now else None

    def close(self) -> tuple[Summary, ...]:
        """The windows so far, ended at the last frame; none where no frame has come."""
        now = self._now
        if now is None:
            return ()
        return tuple(self._close(row, now) for row in self._rows if row.seen)

    def _close_until(self, row: _Windows, now: Instant) -> tuple[Summary, ...]:
        """End the window that is over, and in one more summary the empty ones passed after it."""
        done = [self._close(row, _ended(row, now))]
        if now.mono >= row.end:
            row.skip_to(now.mono)
            done.append(self._close(row, _ended(row, now)))
        return tuple(done)

    def _close(self, row: _Windows, end: Instant) -> Summary:
        twin = self.follower.twin
        if twin.age_out(end):
            self._accounts.worsened(twin)
        return row.close(end, self._accounts.take_out(row.tags, twin, end.mono))


def _ended(row: _Windows, now: Instant) -> Instant:
    return Instant(row.end, now.wall - (now.mono - row.end))
