"""Readings that nobody waits for are gathered for a moment, and taken in one turn.

A turn of the engine, its frame, its line in the recording and its share of a summary cost the same
for four readings as for four hundred. Ten devices asked at the same time answer in many small
pieces within a few milliseconds. So good readings that feed no loop, and are read no more often
than ten times a second, wait until the first of them is 5 ms old; neighbours in the twin are
joined.

They are stamped when they are taken, at most those 5 ms late. All else goes on at once: what feeds
a loop, what is bad, what carries times of its own. And nothing overtakes: other readings of the
same tags, a lost device or the end send what was gathered ahead of them.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from edgetwin.core.plan import SECOND, GatewayPlan
from edgetwin.core.reading import ReadingBatch
from edgetwin.core.shedding import feeding

HOLD_S = 0.005
_SLOWEST_AT_ONCE = SECOND // 10  # below this period 5 ms are too much


class _Held(NamedTuple):
    """A batch and where it lies in the twin."""

    start: int
    stop: int
    batch: ReadingBatch


class Gather:
    """Holds batches; ``hand_on`` gets them joined. Bounded: it holds each tag once at most."""

    def __init__(self, plan: GatewayPlan, hand_on: Callable[[ReadingBatch], object]) -> None:
        """Made inside the event loop that it runs in."""
        self._hand_on = hand_on
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._held: list[_Held] = []
        self._is_held = np.zeros(len(plan.tags), bool)
        self._waits: dict[tuple[int, int], bool] = {}  # bounded: blocks, and pieces of blocks
        self._may_wait = np.zeros(len(plan.tags), bool)
        for device in plan.devices:
            for group in device.groups:
                if group.period >= _SLOWEST_AT_ONCE:
                    self._may_wait[group.tags.start : group.tags.stop] = True
        self._may_wait[list(feeding(plan))] = False

    def takes(self, batch: ReadingBatch) -> bool:
        """Whether these readings are held. If not, they are to be taken at once."""
        at = batch.tags
        if not isinstance(at, slice):
            self.flush()
            return False
        waits = self._waits.get((at.start, at.stop))
        if waits is None:
            waits = self._waits[at.start, at.stop] = bool(self._may_wait[at].all())
        if self._held and self._is_held[at].any():
            self.flush()
        if not waits or not _is_plain(batch):
            return False
        if not self._held:
            self._timer = self._loop.call_later(HOLD_S, self.flush)
        self._is_held[at] = True
        self._held.append(_Held(at.start, at.stop, batch))
        return True

    def flush(self) -> None:
        """Hand on what is held."""
        if not self._held:
            return
        held, self._held = self._held, []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_held[:] = False
        held.sort(key=lambda each: each.start)
        begin = 0
        for end in range(1, len(held) + 1):
            if end == len(held) or held[end].start != held[end - 1].stop:
                self._hand_on(_joined(held[begin:end]))
                begin = end


def _is_plain(batch: ReadingBatch) -> bool:
    """All good, and without times of their own."""
    quality, source = batch.quality, batch.source_time
    return isinstance(quality, int) and isinstance(source, int) and not quality and not source


def _joined(held: Sequence[_Held]) -> ReadingBatch:
    """Batches of neighbouring tags as one."""
    if len(held) == 1:
        return held[0].batch
    values = np.concatenate([each.batch.values for each in held])
    objects = tuple(found for each in held for found in each.batch.objects)
    return ReadingBatch(slice(held[0].start, held[-1].stop), values, 0, 0, objects)
