"""The twin: the last known truth about every tag, as columns.

``value``         float64   engineering units; keeps the last good value while the quality is bad
``quality``       uint8     core.quality; what ``age_out`` and the drivers say
``source_time``   int64     UTC ns by the device's clock, 0 where it gives none
``arrival_time``  int64     UTC ns by ours
``arrived``       int64     monotonic ns at which the value came in
``confirmed``     int64     monotonic ns at which the device last vouched for it (polled: the same)
``changed``       int64     monotonic ns at which the value last differed from the one before

A value is stale when the device has not vouched for it for two scan periods, and frozen when it
shows exactly the same for longer than a living sensor can. Nothing here reads a clock.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.quality import Quality
from edgetwin.core.reading import Bytes, Floats, Indices, Instant, ReadingBatch, Scalar, Times
from edgetwin.core.tags import TagKind, TagTable

STALE_PERIODS = 2
FOREVER = int(np.iinfo(np.int64).max)
NEVER = -1
"""``arrived`` of a tag that has never been read."""


# an attribute of an enum costs a call before Python 3.12
_BAD, _UNCERTAIN = int(Quality.BAD), int(Quality.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class TagState:
    """All that the twin can say about one tag. Times are UTC ns, ``age`` is ns, -1: never read."""

    name: str
    value: Scalar
    quality: Quality
    source_time: int
    arrival_time: int
    age: int
    unit: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The twin frozen at one instant: copies that nothing can change. ``age`` is ns, -1: never."""

    at: Instant
    value: Floats
    quality: Bytes
    source_time: Times
    arrival_time: Times
    age: Times


class _Patience:
    """Tags that may all go unrenewed for the same time (ns), and until when none can be late.

    Ticks come as often as the fastest loop needs; a thousand slow tags need not be looked at each
    time. A tag that becomes good after ``late`` was asked is renewed after it, so the bound holds.
    """

    __slots__ = ("after", "at", "sure_until")

    def __init__(self, at: NDArray[np.intp], after: int) -> None:
        self.at = at
        self.after = after
        self.sure_until = -1

    def late(self, since: Times, quality: Bytes, now: int) -> NDArray[np.intp]:
        """Which tags, not bad so far, were last renewed too long ago."""
        ends = since[self.at] + self.after
        over = ends < now
        ahead = ends[~over]
        self.sure_until = min(now + self.after, int(ahead.min()) if len(ahead) else FOREVER)
        return self.at[over & (quality[self.at] < _BAD)]


def _patiences(after: Times) -> tuple[_Patience, ...]:
    """One for each length of patience; none for tags that may take for ever."""
    lengths = np.unique(after[after < FOREVER])
    return tuple(_Patience(np.flatnonzero(after == length), int(length)) for length in lengths)


class Twin:
    """Columns indexed by tag. Owned by the engine; everybody else gets snapshots."""

    def __init__(self, tags: TagTable) -> None:
        """All values are missing until a device speaks."""
        n = len(tags)
        self.tags = tags
        self.value: Floats = np.full(n, np.nan)
        self.quality: Bytes = np.full(n, Quality.NOT_YET_READ, np.uint8)
        self.source_time: Times = np.zeros(n, np.int64)
        self.arrival_time: Times = np.zeros(n, np.int64)
        self.arrived: Times = np.full(n, NEVER, np.int64)
        self.confirmed: Times = np.zeros(n, np.int64)
        self.changed: Times = np.zeros(n, np.int64)
        self.objects: dict[int, Scalar] = {}
        self.changes = 0
        """Goes up with every change, so that what was worked out before can be told from now."""
        self._indices = np.arange(n)
        self._before_stale: Bytes = np.full(n, Quality.BAD, np.uint8)
        measured = np.array([t.kind is TagKind.MEASURED for t in tags], bool)
        period = np.array([t.period for t in tags], np.int64)
        self._stale_after: Times = np.where(measured, STALE_PERIODS * period, FOREVER)
        frozen = np.array([t.frozen_after for t in tags], np.int64)
        self._frozen_after: Times = np.where(frozen > 0, frozen, FOREVER)
        self._until_stale = _patiences(self._stale_after)
        self._until_frozen = _patiences(self._frozen_after)
        self._watches_frozen = bool(self._until_frozen)
        self._freezing: dict[tuple[int, int], bool] = {}
        self._low: Floats = np.array([t.low for t in tags])
        self._high: Floats = np.array([t.high for t in tags])
        self._has_range = bool(np.isfinite(self._low).any() or np.isfinite(self._high).any())

    def apply(self, batch: ReadingBatch, now: Instant) -> None:
        """Take readings in. A bad one keeps the last value and its times: only quality changes."""
        self.changes += 1
        if len(batch.values) == 1 and self._apply_one(batch, now):
            return
        quality = self._judge(batch)
        if isinstance(quality, int):
            if quality < _BAD:
                self._store(batch, quality, now)
                return
            quality = np.full(len(batch.values), quality, np.uint8)
        known = quality < _BAD
        if known.all():
            self._store(batch, quality, now)
        else:
            self._store_known(batch, quality, known, now)

    def _apply_one(self, batch: ReadingBatch, now: Instant) -> bool:
        """A single good number, as a fast loop's input is: a few cells, not columns.

        False: there is more to it, and nothing was done.
        """
        at, value = batch.tags, batch.values.item(0)
        if not isinstance(at, slice) or not isinstance(batch.quality, int) or batch.quality:
            return False
        tag: int = at.start
        known = math.isfinite(value) and self._low.item(tag) <= value <= self._high.item(tag)
        if not known or not isinstance(batch.source_time, int) or self.objects or batch.objects:
            return False
        if self._watches_frozen and self._may_freeze(at):
            return False
        self.value[tag], self.quality[tag] = value, 0
        self.source_time[tag], self.arrival_time[tag] = batch.source_time, now.wall
        self.arrived[tag] = self.confirmed[tag] = now.mono
        return True

    def _judge(self, batch: ReadingBatch) -> Bytes | int:
        """The driver's word, lowered where a value is no number or outside its tag's range."""
        values, at = batch.values, batch.tags
        odd = ~np.isfinite(values)
        outside = odd
        if self._has_range:
            outside = (values < self._low[at]) | (values > self._high[at])
        if not np.count_nonzero(odd | outside):
            return batch.quality
        if batch.objects:
            odd &= ~np.isin(self._indices[at], [index for index, _ in batch.objects])
        result = np.zeros(len(values), np.uint8) | np.asarray(batch.quality, np.uint8)
        result[outside & ~odd & (result < Quality.UNCERTAIN)] = Quality.OUT_OF_RANGE
        result[odd & (result < Quality.BAD)] = Quality.NOT_A_NUMBER
        return result

    def _store(self, batch: ReadingBatch, quality: Bytes | int, now: Instant) -> None:
        at = batch.tags
        if self._may_freeze(at):
            quality = self._watch(at, batch.values, quality, now)
        self.value[at] = batch.values
        self.quality[at] = quality
        self.source_time[at] = batch.source_time
        self.arrival_time[at] = now.wall
        self.arrived[at] = now.mono
        self.confirmed[at] = now.mono
        if self.objects or batch.objects:
            self._store_objects(batch)

    def _store_known(
        self, batch: ReadingBatch, quality: Bytes, known: NDArray[np.bool_], now: Instant
    ) -> None:
        """Store only what is not bad; of the rest the last value stays, and that it is bad now."""
        indices, source = self._indices[batch.tags], batch.source_time
        bad = indices[~known]
        self.quality[bad] = quality[~known]
        self._before_stale[bad] = Quality.BAD
        lost = frozenset(bad.tolist())
        kept = ReadingBatch(
            indices[known],
            batch.values[known],
            quality[known],
            source if isinstance(source, int) else source[known],
            tuple((index, value) for index, value in batch.objects if index not in lost),
        )
        self._store(kept, quality[known], now)

    def _may_freeze(self, at: Indices) -> bool:
        """Whether one of these is watched for freezing. For a slice it is worked out once."""
        if not self._watches_frozen or not isinstance(at, slice):
            return self._watches_frozen
        key = (at.start, at.stop)
        known = self._freezing.get(key)
        if known is None:
            known = bool((self._frozen_after[at] < FOREVER).any())
            self._freezing[key] = known
        return known

    def _watch(
        self, at: Indices, values: Floats, quality: Bytes | int, now: Instant
    ) -> Bytes | int:
        """Note which values have changed. One that shows the same for too long is frozen.

        A value that comes back after an outage exactly as it was has still not changed.
        """
        changed = np.where(self.value[at] == values, self.changed[at], now.mono)
        self.changed[at] = changed
        frozen = now.mono - changed > self._frozen_after[at]
        if not np.count_nonzero(frozen):
            return quality
        return np.where(frozen, np.uint8(Quality.FROZEN), np.asarray(quality, np.uint8))

    def _store_objects(self, batch: ReadingBatch) -> None:
        """Replace what the tags of a batch had in the lane of objects, also by nothing."""
        for index in self._indices[batch.tags].tolist():
            self.objects.pop(index, None)
        self.objects.update(batch.objects)

    def confirm(self, tags: range, now: Instant) -> bool:
        """The device vouches for these tags' last values: their age starts anew, times stay.

        What had only gone stale is again what it was before; what else is bad stays bad. Says
        whether anything changed.
        """
        self.changes += 1
        at = slice(tags.start, tags.stop)
        self.confirmed[at] = now.mono
        quality, before = self.quality[at], self._before_stale[at]
        back = (quality == Quality.STALE) & (before < Quality.BAD)
        if not back.any():
            return False
        quality[back] = before[back]
        return True

    def age_out(self, now: Instant) -> bool:
        """Mark what is stale or frozen. Says whether anything changed."""
        self.changes += 1
        any_late = False
        for patience in self._until_stale:
            if now.mono > patience.sure_until:
                late = patience.late(self.confirmed, self.quality, now.mono)
                self._before_stale[late] = self.quality[late]
                self.quality[late] = Quality.STALE
                any_late |= bool(len(late))
        for patience in self._until_frozen:
            if now.mono > patience.sure_until:
                late = patience.late(self.changed, self.quality, now.mono)
                self.quality[late] = Quality.FROZEN
                any_late |= bool(len(late))
        return any_late

    def is_stale(self, tag: int, now: Instant) -> bool:
        """Whether one tag has gone stale by now, even if no tick has marked it yet."""
        return now.mono - self.confirmed.item(tag) > self._stale_after.item(tag)

    def is_sound(self, tag: int, now: Instant) -> bool:
        """Whether one tag may be acted on now: good or nearly so, and not stale."""
        return self.quality.item(tag) < _UNCERTAIN and now.mono - self.confirmed.item(
            tag
        ) <= self._stale_after.item(tag)

    def are_sound(self, tags: Iterable[int], now: Instant) -> bool:
        """Whether all these may be acted on now."""
        quality, confirmed, stale_after = self.quality, self.confirmed, self._stale_after
        for tag in tags:
            age = now.mono - confirmed.item(tag)
            if quality.item(tag) >= _UNCERTAIN or age > stale_after.item(tag):
                return False
        return True

    def spoil(self, tags: Iterable[int], quality: Quality) -> None:
        """Say of these tags that they are not to be trusted, and why. Values and times stay."""
        self.changes += 1
        at = np.fromiter(tags, np.intp)
        self.quality[at] = quality
        self._before_stale[at] = Quality.BAD

    def snapshot(self, now: Instant) -> Snapshot:
        """A frozen copy of all columns, in which nothing stale by now looks fresh."""
        stale = (self.quality < Quality.BAD) & (now.mono - self.confirmed > self._stale_after)
        columns = (
            self.value.copy(),
            np.where(stale, np.uint8(Quality.STALE), self.quality),
            self.source_time.copy(),
            self.arrival_time.copy(),
            np.where(self.arrived == NEVER, -1, now.mono - self.arrived),
        )
        for column in columns:
            column.flags.writeable = False
        return Snapshot(now, *columns)

    def state(self, tag: int, now: Instant) -> TagState:
        """What the twin knows of one tag."""
        value: Scalar = self.objects.get(tag, float(self.value[tag]))
        quality = Quality(int(self.quality[tag]))
        if quality < Quality.BAD and self.is_stale(tag, now):
            quality = Quality.STALE
        never = self.arrived[tag] == NEVER
        return TagState(
            name=self.tags[tag].name,
            value=value,
            quality=quality,
            source_time=int(self.source_time[tag]),
            arrival_time=int(self.arrival_time[tag]),
            age=-1 if never else now.mono - int(self.arrived[tag]),
            unit=self.tags[tag].unit,
        )
