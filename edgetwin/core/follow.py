"""Follows the engine by its frames alone: a twin of its own, and what each frame measured.

Summaries and reports stand on it, so that range, staleness and "sensor frozen" mean there exactly
what they mean to the engine.
"""

from dataclasses import dataclass

import numpy as np

from edgetwin.core.frame import Confirmed, Frame, Link, Tick
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Indices, Instant, ReadingBatch
from edgetwin.core.tags import TagTable
from edgetwin.core.twin import Twin

_UNCERTAIN, _BAD = int(Quality.UNCERTAIN), int(Quality.BAD)


@dataclass(frozen=True, slots=True)
class Measured:
    """Tags whose value came in, or was said to hold still: all of them, and the good ones."""

    tags: Indices
    good: Indices


class Follower:
    """Takes every frame once. ``twin`` is then as the engine's was after it."""

    def __init__(self, tags: TagTable) -> None:
        self.twin = Twin(tags)
        self.worsened = False
        """Whether the last frame may have made some tag's quality worse."""
        self._places = np.arange(len(tags), dtype=np.intp)
        self._device = np.array([tag.device for tag in tags], np.int64)

    def take(self, frame: Frame) -> list[Measured]:
        """Take a frame in; say what it measured, in order."""
        self.worsened = False
        cause, now = frame.input, frame.at
        measured: list[Measured] = []
        if isinstance(cause, ReadingBatch):
            measured.append(self._readings(cause, now))
        elif isinstance(cause, Tick):
            self.worsened = self.twin.age_out(now)
        elif isinstance(cause, Confirmed):
            measured.append(self._again(cause.tags, now))
        elif isinstance(cause, Link) and not cause.up:
            self.twin.spoil(np.flatnonzero(self._device == cause.device), Quality.NO_COMMUNICATION)
            self.worsened = True
        measured += [self._readings(batch, now) for batch in frame.inner]
        return measured

    def _readings(self, batch: ReadingBatch, now: Instant) -> Measured:
        self.twin.apply(batch, now)
        at = batch.tags
        if not np.count_nonzero(self.twin.quality[at]):
            return Measured(at, at)
        self.worsened = True
        indices = self._places[at]
        return Measured(at, indices[self.twin.quality[indices] < _UNCERTAIN])

    def _again(self, tags: range, now: Instant) -> Measured:
        """A subscription's word that nothing changed: the same value measured again."""
        self.twin.confirm(tags, now)
        indices = self._places[tags.start : tags.stop]
        quality = self.twin.quality[indices]
        return Measured(indices[quality < _BAD], indices[quality < _UNCERTAIN])
