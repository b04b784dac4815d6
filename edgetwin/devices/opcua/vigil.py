"""Sees that what is subscribed is truly reported: an item may go mute while the rest speaks.

Theory of operation. A subscription that has nothing to say vouches for all its values by a
keep-alive. An item that the server has forgotten looks just like one that does not change, so its
old value would count as fresh for ever. Therefore what was not reported for a period is also read,
at most ``MOST`` nodes a period (and ten times a second), all in turn, and compared:

    read: other than reported ──▶ suspect ──▶ reported after all ──▶ well
                                     │ a period, or the server's own sampling interval
                                     ▼
                                  doubted: no keep-alive vouches for it, what is read is its value
                                     │ two periods more
                                     ▼
                                  mute: its item is made anew (``Delivery.gone``), told once

With up to ``MOST`` items in a subscription each is read every period, and doubt comes within three
periods of the last report or of the change; with n items within 2 + n / MOST. That a doubt is wrong
costs nothing, since what was read is true. What is reported every period costs nothing at all.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.reading import Floats, Scalar, Times
from edgetwin.devices.opcua.columns import Array, Columns
from edgetwin.devices.opcua.deadband import own_band
from edgetwin.devices.opcua.exchange import Lane
from edgetwin.devices.opcua.parts import slices
from edgetwin.devices.opcua.polling import Delivery, Read
from edgetwin.devices.opcua.survey import Node

_log = logging.getLogger(__name__)

MOST = 1000
SHORTEST = 100_000_000
_NEVER = 0
_TOLD = 5


class Vigil:
    """Watches over one subscription. ``doubt`` is told which tags to vouch for no more."""

    def __init__(
        self, tags: range, period: int, deliver: Delivery, doubt: Callable[[Sequence[int]], None]
    ) -> None:
        n = len(tags)
        self._tags = tags
        self._period = self._patience = period
        self._quiet_after = period * 11 // 10
        self._deliver = deliver
        self._doubt = doubt
        self._values: Floats = np.full(n, np.nan)
        self._quality = np.full(n, 255, np.uint8)
        self._objects: dict[int, Scalar | Array] = {}
        self._reported: Times = np.zeros(n, np.int64)
        self._suspect: Times = np.zeros(n, np.int64)
        table = deliver.batches.tags
        self._slack: Floats = np.array([own_band(table[tag]) for tag in tags])
        self._reads: list[Read] = []
        self._next = 0
        self._out = False
        self._last = deliver.mark()
        self._told: set[int] = set()

    def watch(self, nodes: Iterable[Node], lane: Lane, most: int, sampling: int) -> None:
        """Watch these from now on. ``sampling``: how often (ns) the server looks at its slowest."""
        self._patience = max(self._period, sampling)
        self._reads = [
            Read(
                np.array([node.tag for node in part], np.intp), lane.reader([n.place for n in part])
            )
            for part in slices(list(nodes), min(MOST, most, lane.max_nodes))
        ]

    def allow(self, bands: Mapping[int, float]) -> None:
        """So far may what is read be from what was reported, in the device's own numbers."""
        arrays = self._deliver.batches.arrays
        for first, band in bands.items():
            at = arrays.of(first)
            self._slack[at.start - self._tags.start : at.stop - self._tags.start] = band

    def reported(self, tags: NDArray[np.intp], columns: Columns) -> None:
        """Take note of what was reported: each tag once, all of them ours."""
        at = tags - self._tags.start
        self._deliver.batches.settle(tags, columns)
        self._values[at] = columns.values
        self._quality[at] = columns.quality
        self._reported[at] = self._deliver.mark()
        self._suspect[at] = _NEVER
        if self._objects or columns.objects:
            for tag in tags.tolist():
                self._objects.pop(tag, None)
            self._objects.update((int(tags[place]), value) for place, value in columns.objects)

    def look(self) -> None:
        """Read the next part, once a period."""
        now = self._deliver.mark()
        if self._out or not self._reads or now - self._last < max(self._period, SHORTEST) * 9 // 10:
            return
        self._last = now
        read = self._reads[self._next % len(self._reads)]
        self._next += 1
        if not (now - self._reported[read.tags - self._tags.start] > self._quiet_after).any():
            return
        self._out = True
        self._deliver.counters.requests += 1
        read.send(partial(self._compare, read, now), partial(self._fail, now))

    def _fail(self, sent: int, error: Exception) -> None:
        self._out = False
        self._deliver.trouble(error, sent)

    def _compare(self, read: Read, sent: int, columns: Columns, first: int) -> None:
        """What was read against what was reported."""
        tags = read.tags[first : first + len(columns.values)]
        self._out = first + len(tags) < len(read.tags)
        tags, columns = self._deliver.batches.arrays.spread(tags, columns)
        self._deliver.batches.settle(tags, columns)
        at = tags - self._tags.start
        odd = self._differs(at, tags, columns) & (self._reported[at] < sent)
        since = self._suspect[at]
        since[~odd] = _NEVER
        since[odd & (since == _NEVER)] = sent
        self._suspect[at] = since
        age = np.where(odd, self._deliver.mark() - since, 0)
        if (doubted := np.flatnonzero(age >= self._patience)).size:
            self._doubt(tags[doubted].tolist())
            self._deliver.give(tags[doubted], columns.some(doubted))
        if (mute := tags[age >= self._patience + 2 * self._period]).size:
            self._tell(mute.tolist())

    def _differs(
        self, at: NDArray[np.intp], tags: NDArray[np.intp], columns: Columns
    ) -> NDArray[np.bool_]:
        ours, theirs = self._values[at], columns.values
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        same |= np.abs(ours - theirs) <= self._slack[at]
        same &= self._quality[at] == columns.quality
        if self._objects or columns.objects:
            exact = dict(columns.objects)
            for place, tag in enumerate(tags.tolist()):
                same[place] &= self._objects.get(tag) == exact.get(place)
        odd: NDArray[np.bool_] = ~same
        return odd

    def _tell(self, mute: list[int]) -> None:
        """Have the items made anew, and say so once."""
        self._deliver.gone.update(mute)
        if new := [tag for tag in mute if tag not in self._told]:
            self._told.update(new)
            names = [self._deliver.batches.tags[tag].name for tag in new]
            more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
            _log.warning(
                "%s%s changed without a report from the server: read and subscribed anew",
                ", ".join(names[:_TOLD]),
                more,
            )
