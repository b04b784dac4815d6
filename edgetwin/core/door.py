"""Points instead of readings: which few tell all the others within a bound that is never passed.

Two ways. *By step* a point holds until the next one: a reading is sent when it lies more than
``within`` from what was sent last.

*By line* the way goes straight from point to point. From the last point, each reading lets through
the slopes that pass it within ``within``: a door between two posts. What is common to all doors
since is the opening. While there is one, nothing is sent:

      value                     / steepest          the next reading closes the door:
        │         ·  ┃      /  ·                    a point is set at the reading before it, on the
        │       ┃  · ┃  /   ┃                       line through the opening that comes closest to
        │    ·  ┃/   /━━━━━━━ flattest              that reading; the next opening begins there
        │  ━●━━/━━/
        └─────────────────────────▶ time

The bound is exact. Between two points the line has a slope that every door let through, so it
passes each reading within ``within``. (Where the textbook's swinging door sets a point on the
reading itself, its line may leave the opening, and the bound is lost by up to a factor of two. The
filter is that of Elmeleegy, Elmagarmid, Cecchet, Aref and Zwaenepoel, VLDB 2009, §3: "swing".)
Values are rounded to decimals of a tenth of the bound, which makes them short; half a step of that
is taken off the doors, since moving one end of a line by so much moves no part of it by more.

Times are whole milliseconds, as they are sent, so that the bound holds for what a subscriber draws.
A value that is not good ends the line: a point without a value. Another one comes after ``every``
ms at the latest while the tag is measured; so "the same value, measured again" and "nothing
measured" look different.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from edgetwin.core.reading import Floats, Indices, Scalar
from edgetwin.core.tags import Report, ReportBy

_MS = 1_000_000
_WHOLE = 2.0**52  # from here on a float has no decimals


class Point(NamedTuple):
    """A tag's value at a time, UTC ms; None: from here on nothing was measured."""

    tag: int
    at: int
    value: Scalar | None


class Steps:
    """n tags reported by step, each with its own bound. Hot: columns, changed in place."""

    def __init__(self, reports: Sequence[Report]) -> None:
        n = len(reports)
        self._places = np.arange(n, dtype=np.intp)
        self._grain = [_grain(report.within) for report in reports]
        self._within: Floats = np.array([report.within for report in reports], float)
        self._every: Floats = np.array([report.every / _MS for report in reports], float)
        self._value: Floats = np.full(n, np.nan)  # of the last point; NaN: nothing under way
        self._begun: Floats = np.full(n, -np.inf)  # its time, ms

    def take(self, columns: Indices, values: Floats, now: int) -> list[Point]:
        """Good readings at ``now``, UTC ms; gives the points that are needed by then."""
        since = now - self._begun[columns]
        fine = np.abs(values - self._value[columns]) <= self._within[columns]
        fine &= (since < self._every[columns]) & (since >= 0)
        if np.count_nonzero(fine) == len(values):
            return []
        shut = ~fine
        places = self._places[columns][shut].tolist()
        return [
            self._set(column, now, value)
            for column, value in zip(places, values[shut].tolist(), strict=True)
        ]

    def _set(self, column: int, now: int, value: float) -> Point:
        sent = _rounded(value, self._grain[column])
        self._value[column], self._begun[column] = sent, now
        return Point(column, now, sent)

    def end(self, columns: Iterable[int], now: int | None = None) -> list[Point]:
        """Readings of these end here: with ``now``, points that say so, where one is under way."""
        ended = [column for column in columns if self._begun.item(column) > -math.inf]
        self._value[ended], self._begun[ended] = np.nan, -np.inf
        return [] if now is None else [Point(column, now, None) for column in ended]


class Doors:
    """n tags reported by line, each with its own bound. Hot: columns, changed in place.

    A column of which nothing is under way has a NaN for its posts, so no door of it is ever open.
    """

    def __init__(self, reports: Sequence[Report]) -> None:
        n = len(reports)
        self._places = np.arange(n, dtype=np.intp)
        self._grain = [_grain(report.within) for report in reports]
        self._within = [
            report.within - (0.5 / grain if grain else 0.0)
            for report, grain in zip(reports, self._grain, strict=True)
        ]
        self._every: Floats = np.array([report.every / _MS for report in reports], float)
        self._posts: Floats = np.full((2, n), np.nan)  # the last point's value, + and - the bound
        self._value: Floats = np.full(n, np.nan)
        self._begun: Floats = np.full(n, -np.inf)  # the last point's time, ms
        self._low: Floats = np.full(n, -np.inf)  # the opening, per ms
        self._high: Floats = np.full(n, np.inf)
        self._last: Floats = np.full(n, np.nan)  # the last reading, and when
        self._seen: Floats = np.full(n, -np.inf)
        self._latest = 0

    def take(self, columns: Indices, values: Floats, now: int) -> list[Point]:
        """Good readings at ``now``, UTC ms; gives the points that are needed by then."""
        early = now <= self._latest and bool((self._seen[columns] >= now).any())
        self._latest = max(now, self._latest)
        if early:
            return self._take_each(range(len(values)), columns, values, now)
        since = now - self._begun[columns]
        slopes = values - self._posts[:, columns]
        slopes /= since
        low = np.maximum(self._low[columns], slopes[0])
        high = np.minimum(self._high[columns], slopes[1])
        fine = low <= high
        fine &= since < self._every[columns]
        if np.count_nonzero(fine) == len(values):
            self._low[columns], self._high[columns] = low, high
            self._last[columns], self._seen[columns] = values, now
            return []
        places = self._places[columns][fine]
        self._low[places], self._high[places] = low[fine], high[fine]
        self._last[places], self._seen[places] = values[fine], now
        return self._take_each(np.flatnonzero(~fine).tolist(), columns, values, now)

    def _take_each(
        self, which: Iterable[int], columns: Indices, values: Floats, now: int
    ) -> list[Point]:
        """Doors that shut, heartbeats, beginnings, clock steps: one by one."""
        places = self._places[columns]
        points: list[Point] = []
        for place in which:
            points += self._bend(places.item(place), values.item(place), now)
        return points

    def _bend(self, column: int, value: float, now: int) -> list[Point]:
        """End the line that this reading does not fit; begin the next there, or at the reading."""
        points = self._owed(column)
        span = now - self._begun.item(column)
        apart, within = value - self._value.item(column), self._within[column]
        if 0 < span < math.inf:
            self._low[column], self._high[column] = (apart - within) / span, (apart + within) / span
        elif span != 0 or not abs(apart) <= within:
            points.append(self._set(column, now, value))
        self._last[column], self._seen[column] = value, now
        return points

    def _owed(self, column: int) -> list[Point]:
        """The point at the last reading: within the opening, as close to the reading as can be."""
        at, begun = self._seen.item(column), self._begun.item(column)
        if not at > begun > -math.inf:
            return []
        start, span = self._value.item(column), at - begun
        slope = (self._last.item(column) - start) / span
        slope = min(max(slope, self._low.item(column)), self._high.item(column))
        return [self._set(column, int(at), start + slope * span)]

    def _set(self, column: int, at: int, value: float) -> Point:
        sent, within = _rounded(value, self._grain[column]), self._within[column]
        self._begun[column], self._value[column] = at, sent
        self._posts[0, column], self._posts[1, column] = sent + within, sent - within
        self._low[column], self._high[column] = -math.inf, math.inf
        return Point(column, at, sent)

    def end(self, columns: Iterable[int], now: int | None = None) -> list[Point]:
        """Readings of these end here: what is owed and, with ``now``, that nothing is known."""
        points: list[Point] = []
        for column in columns:
            if self._begun.item(column) > -math.inf:
                points += self._owed(column)
                points += [] if now is None else [Point(column, now, None)]
                self._begun[column], self._posts[:, column] = -math.inf, math.nan
        return points


def _grain(within: float) -> float:
    """How many steps a unit is cut into: powers of ten, a tenth of the bound or less; 0: exact."""
    return 10.0 ** max(0, math.ceil(1 - math.log10(within))) if 0 < within < math.inf else 0.0


def _rounded(value: float, grain: float) -> float:
    return round(value * grain) / grain if grain and abs(value * grain) < _WHOLE else value


def rebuild(points: Sequence[Point], by: ReportBy, at: Sequence[int]) -> Floats:
    """What a subscriber knows of one tag at these times (ms), ascending; NaN: not measured.

    ``points`` are those of the tag, in order. By line, nothing is known behind the last point; by
    step it still holds there.
    """
    known: Floats = np.full(len(at), np.nan)
    times = np.asarray(at)
    for here, then in zip(points, [*points[1:], None], strict=True):
        if not isinstance(here.value, int | float):
            continue
        until = then.at if then else math.inf
        inside = (times >= here.at) & (times <= until if by is ReportBy.LINE else times < until)
        if by is ReportBy.STEP or then is None or not isinstance(then.value, int | float):
            inside &= (times == here.at) | (by is ReportBy.STEP)
            known[inside] = here.value
        elif then.at > here.at:
            slope = (then.value - here.value) / (then.at - here.at)
            known[inside] = here.value + slope * (times[inside] - here.at)
    return known
