"""Report by exception: what has changed since it was last told.

The reporter keeps a twin of its own and gives it every frame, so that range, staleness and loss
mean here what they mean to the engine. Between two calls of ``changes`` the newest value wins: what
waits is bounded by the number of tags.

A value is told again when it differs by the tag's deadband or when its grade changes:

    good       value, no quality property
    uncertain  value, Quality 0    Sparkplug knows no word between good and bad: the worse is told
    bad        null,  Quality 0    the last good value would look like a fresh one to a host
    stale      null,  Quality 500  that does not read the property
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.frame import Confirmed, Frame, Link, Tick
from edgetwin.core.quality import Quality
from edgetwin.core.reading import ReadingBatch, Scalar, Times
from edgetwin.core.sparkplug.catalogue import Catalogue, usual_type
from edgetwin.core.sparkplug.metric import BOUNDS, DataType, Grade
from edgetwin.core.twin import Twin

_MS = 1_000_000
_LONGEST_TEXT = 4096  # what is longer is cut, so that every message fits a packet
_GOOD, _UNCERTAIN, _BAD, _STALE = range(4)
_GRADES = (Grade.GOOD, Grade.BAD, Grade.BAD, Grade.STALE)
_OLD = (Quality.STALE, Quality.NO_COMMUNICATION, Quality.NOT_YET_READ)


def _state_of(code: int) -> int:
    if code in _OLD:
        return _STALE
    return _BAD if code >= Quality.BAD else _UNCERTAIN if code >= Quality.UNCERTAIN else _GOOD


_STATES = np.array([_state_of(code) for code in range(256)], np.uint8)


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one tag. ``timestamp`` is ms since 1970, ``value`` None is a null."""

    tag: int
    timestamp: int
    value: Scalar | None
    grade: Grade


class Reporter:
    """Follows the frames and says what is to be told.

    ``present``    devices that answer, and all assets
    ``types``      the type of each tag's metric
    ``redefined``  whether a type has changed, so that births must be told anew
    """

    def __init__(self, catalogue: Catalogue) -> None:
        tags = catalogue.tags
        self.present: set[str] = set(catalogue.undying)
        self.types = [usual_type(tag) for tag in tags]
        self.redefined = False
        self._catalogue = catalogue
        self._twin = Twin(tags)
        self._unheard = set(range(len(catalogue.sources)))
        self._device: Times = np.array([tag.device for tag in tags], np.int64)
        self._deadband = np.array([tag.deadband for tag in tags])
        self._told = np.full(len(tags), np.nan)
        self._told_state = np.full(len(tags), _STALE, np.uint8)  # as an unread tag is
        self._told_at: Times = np.zeros(len(tags), np.int64)
        self._told_objects: dict[int, Scalar] = {}
        self._wall = 0

    @property
    def heard(self) -> bool:
        """Whether every device has been found or missed by now."""
        return not self._unheard

    # ------------------------------------------------------------ frames in

    def follow(self, frame: Frame) -> None:
        """Take a frame in."""
        cause, now = frame.input, frame.at
        self._wall = now.wall
        if isinstance(cause, ReadingBatch):
            self._twin.apply(cause, now)
            self._meet(cause)
        elif isinstance(cause, Tick):
            self._twin.age_out(now)
        elif isinstance(cause, Confirmed):
            self._twin.confirm(cause.tags, now)
        elif isinstance(cause, Link) and not cause.up:
            self._miss(cause.device)
        for batch in frame.inner:
            self._twin.apply(batch, now)

    def _meet(self, batch: ReadingBatch) -> None:
        """A device that gives a value is there."""
        at = batch.tags
        first = int(at.start or 0) if isinstance(at, slice) else int(at[0]) if len(at) else -1
        device = int(self._device[first]) if 0 <= first < len(self._device) else -1
        if device >= 0 and bool(np.any(np.asarray(batch.quality) < Quality.BAD)):
            self._unheard.discard(device)
            self.present.add(self._catalogue.sources[device])

    def _miss(self, device: int) -> None:
        self._twin.spoil(np.flatnonzero(self._device == device), Quality.NO_COMMUNICATION)
        self._unheard.discard(device)
        self.present.discard(self._catalogue.sources[device])

    # ------------------------------------------------------------ changes out

    def changes(self, at_most: int | None = None) -> tuple[Change, ...]:
        """What differs from what was told, or a part of it; it counts as told from now on."""
        return self.tell(np.flatnonzero(self._differs())[:at_most].tolist())

    def changes_of(self, tags: Sequence[int]) -> tuple[Change, ...]:
        """What of these tags differs from what was told; it counts as told from now on."""
        differs = self._differs()
        return self.tell([tag for tag in tags if differs[tag]])

    def tell(self, tags: Sequence[int]) -> tuple[Change, ...]:
        """The present state of these tags, which from now on counts as told."""
        at = np.array(tags, np.intp)
        twin, state = self._twin, _STATES[self._twin.quality[at]]
        captured, arrived = twin.source_time[at], twin.arrival_time[at]
        when = np.where((captured > 0) & (captured <= arrived), captured, arrived)
        when = np.where((state >= _BAD) | (when == 0), self._wall, when)
        self._told_at[at] = when = np.maximum(when, self._told_at[at])
        self._told_state[at] = state
        self._told[at] = twin.value[at]
        if twin.objects or self._told_objects:
            self._note_objects(tags)
        columns = (tags, (when // _MS).tolist(), twin.value[at].tolist(), state.tolist())
        return tuple(self._change(*row) for row in zip(*columns, strict=True))

    def _note_objects(self, tags: Sequence[int]) -> None:
        for tag in tags:
            self._told_objects.pop(tag, None)
            if tag in self._twin.objects:
                self._told_objects[tag] = self._twin.objects[tag]

    def _differs(self) -> NDArray[np.bool_]:
        twin = self._twin
        state = _STATES[twin.quality]
        step = np.abs(twin.value - self._told)
        moved = (step >= self._deadband) & (step > 0) | (np.isnan(self._told) & ~np.isnan(step))
        moved |= np.isnan(self._told) != np.isnan(twin.value)
        for tag in {*twin.objects, *self._told_objects}:
            moved[tag] = twin.objects.get(tag) != self._told_objects.get(tag)
        differs: NDArray[np.bool_] = (state != self._told_state) | (moved & (state < _BAD))
        return differs

    def _change(self, tag: int, when: int, number: float, state: int) -> Change:
        if state >= _BAD:
            return Change(tag, when, None, _GRADES[state])
        value: Scalar = self._twin.objects.get(tag, number)
        if isinstance(value, str) and self.types[tag] is not DataType.STRING:
            self.types[tag], self.redefined = DataType.STRING, True
        held = as_type(value, self.types[tag])
        return Change(tag, when, held, Grade.BAD if held is None else _GRADES[state])


def as_type(value: Scalar, kind: DataType) -> Scalar | None:
    """The value as its metric's type has it; None where that cannot hold it."""
    if kind is DataType.STRING:
        return value[:_LONGEST_TEXT] if isinstance(value, str) else f"{value:.10g}"
    if isinstance(value, str) or not math.isfinite(value):
        return None
    if kind is DataType.BOOLEAN:
        return bool(value)
    if kind not in BOUNDS:
        return float(value)
    low, high = BOUNDS[kind]
    whole = value if isinstance(value, int) else round(value)
    return whole if low <= whole <= high else None
