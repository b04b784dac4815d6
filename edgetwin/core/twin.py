"""The twin: the last known truth about every tag, as columns.

``value``         float64   engineering units; keeps the last good value while the quality is bad
``quality``       uint8     core.quality; what ``age_out`` and the drivers say
``source_time``   int64     UTC ns by the device's clock, 0 where it gives none
``arrival_time``  int64     UTC ns by ours
``arrived``       int64     monotonic ns at which the value came in
``confirmed``     int64     monotonic ns at which the device last vouched for it (polled: the same instant)
``changed``       int64     monotonic ns at which the value last differed from the one before

A value is stale when the device has not vouched for it for two scan periods. Nothing here reads a clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgetwin.core.quality import Quality
from edgetwin.core.reading import Bytes, Floats, Indices, Instant, ReadingBatch, Scalar, Times
from edgetwin.core.tags import TagKind, TagTable

STALE_PERIODS = 2


@dataclass(frozen=True, slots=True)
class TagState:
    """Everything the twin can say about one tag at one instant. Times are UTC ns, ``age`` is ns."""

    name: str
    value: Scalar
    quality: Quality
    source_time: int
    arrival_time: int
    age: int
    unit: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The twin frozen at one instant: copies that nothing can change any more."""

    at: Instant
    value: Floats
    quality: Bytes
    source_time: Times
    arrival_time: Times
    age: Times


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
        self.arrived: Times = np.zeros(n, np.int64)
        self.confirmed: Times = np.zeros(n, np.int64)
        self.changed: Times = np.zeros(n, np.int64)
        self.objects: dict[int, Scalar] = {}
        measured = np.array([t.kind is TagKind.MEASURED for t in tags], bool)
        period = np.array([t.period for t in tags], np.int64)
        self._stale_after: Times = np.where(
            measured, STALE_PERIODS * period, np.iinfo(np.int64).max
        )
        frozen = np.array([t.frozen_after for t in tags], np.int64)
        self._frozen_after: Times = np.where(frozen > 0, frozen, np.iinfo(np.int64).max)
        self._watches_frozen = bool((frozen > 0).any())
        self._low: Floats = np.array([t.low for t in tags])
        self._high: Floats = np.array([t.high for t in tags])
        self._has_range = bool(np.isfinite(self._low).any() or np.isfinite(self._high).any())

    def apply(self, batch: ReadingBatch, now: Instant) -> None:
        """Take readings in. A bad reading keeps the last value and its times, and changes only the quality."""
        at = batch.tags
        quality = self._judge(batch)
        if isinstance(quality, int) or not (quality >= Quality.BAD).any():
            self._store(at, batch, quality, now)
            return
        known = quality < Quality.BAD
        whole = np.arange(len(self.tags))[at] if isinstance(at, slice) else at
        source = (
            batch.source_time if isinstance(batch.source_time, int) else batch.source_time[known]
        )
        kept = ReadingBatch(whole[known], batch.values[known], quality[known], source)
        self._store(kept.tags, kept, quality[known], now)
        self.quality[whole[~known]] = quality[~known]
        self.objects.update((i, v) for i, v in batch.objects if self.quality[i] < Quality.BAD)

    def _judge(self, batch: ReadingBatch) -> Bytes | int:
        """The driver's word, lowered where a value is no number or outside its tag's range."""
        values, quality = batch.values, batch.quality
        odd = np.isnan(values) | np.isinf(values)
        outside = odd
        if self._has_range:
            outside = (values < self._low[batch.tags]) | (values > self._high[batch.tags])
        if not (odd.any() or outside.any()):
            return quality
        own = {index for index, _ in batch.objects}
        result = (
            np.full(len(values), quality, np.uint8) if isinstance(quality, int) else quality.copy()
        )
        result[outside & (result < Quality.UNCERTAIN)] = Quality.OUT_OF_RANGE
        no_number = odd & (result < Quality.BAD)
        if own:
            indices = np.arange(len(self.tags))[batch.tags]
            no_number &= ~np.isin(indices, list(own))
        result[no_number] = Quality.NOT_A_NUMBER
        return result

    def _store(self, at: Indices, batch: ReadingBatch, quality: Bytes | int, now: Instant) -> None:
        if self._watches_frozen:
            same = self.value[at] == batch.values
            self.changed[at] = np.where(same, self.changed[at], now.mono)
        self.value[at] = batch.values
        self.quality[at] = quality
        self.source_time[at] = batch.source_time
        self.arrival_time[at] = now.wall
        self.arrived[at] = now.mono
        self.confirmed[at] = now.mono
        if batch.objects:
            self.objects.update(batch.objects)

    def confirm(self, tags: range, now: Instant) -> None:
        """The device vouches for these tags' last values: their age starts anew, their times stay."""
        self.confirmed[tags.start : tags.stop] = now.mono

    def age_out(self, now: Instant) -> bool:
        """Mark what is stale or frozen. Says whether anything changed."""
        good = self.quality < Quality.BAD
        stale = good & (now.mono - self.confirmed > self._stale_after)
        any_stale = bool(stale.any())
        if any_stale:
            self.quality[stale] = Quality.STALE
        if not self._watches_frozen:
            return any_stale
        frozen = good & ~stale & (now.mono - self.changed > self._frozen_after)
        if frozen.any():
            self.quality[frozen] = Quality.FROZEN
            return True
        return any_stale

    def is_stale(self, tag: int, now: Instant) -> bool:
        """Whether one tag has gone stale by now, even if no tick has marked it yet."""
        return bool(now.mono - self.confirmed[tag] > self._stale_after[tag])

    def spoil(self, tags: Iterable[int], quality: Quality) -> None:
        """Say of these tags that they are not to be trusted, and why. Values and times stay what they were."""
        self.quality[np.fromiter(tags, np.intp)] = quality

    def snapshot(self, now: Instant) -> Snapshot:
        """A frozen copy of all columns."""
        columns = (
            self.value.copy(),
            self.quality.copy(),
            self.source_time.copy(),
            self.arrival_time.copy(),
        )
        frozen = (*columns, now.mono - self.arrived)
        for column in frozen:
            column.flags.writeable = False
        return Snapshot(now, *frozen)

    def state(self, tag: int, now: Instant) -> TagState:
        """What the twin knows of one tag."""
        value: Scalar = self.objects.get(tag, float(self.value[tag]))
        quality = Quality(int(self.quality[tag]))
        if quality < Quality.BAD and self.is_stale(tag, now):
            quality = Quality.STALE
        never = not self.arrived[tag]
        return TagState(
            name=self.tags[tag].name,
            value=value,
            quality=quality,
            source_time=int(self.source_time[tag]),
            arrival_time=int(self.arrival_time[tag]),
            age=-1 if never else now.mono - int(self.arrived[tag]),
            unit=self.tags[tag].unit,
        )
