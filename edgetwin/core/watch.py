"""Tells once when devices are lost and found, and when tags go bad and are good again.

A flapping tag must not flood anybody: qualities are compared once a second, and all tags of a
device that went the same way become one event. A device that cannot be reached is told once for
each reason: while it boots, the reasons follow each other; while it is gone, they repeat. While a
scan class is overrun its tags go stale and come back with each scan: that is told as the overrun.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from edgetwin.core.event import Event, EventKind
from edgetwin.core.frame import Link, Overrun
from edgetwin.core.plan import SECOND, GatewayPlan
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant
from edgetwin.core.tags import TagKind, TagTable
from edgetwin.core.twin import Twin

_NAMED = 5
_REASONS = 5


class QualityWatch:
    """Compares the twin's qualities with what was told last."""

    def __init__(self, plan: GatewayPlan) -> None:
        self._tags: TagTable = plan.tags
        self._devices = plan.devices
        self._measured = np.array([t.kind is TagKind.MEASURED for t in plan.tags], bool)
        self._told_bad = np.zeros(len(plan.tags), bool)
        self._overrun = np.zeros(len(plan.tags), bool)
        self._down: set[int] = {device.index for device in plan.devices}
        self._told_reasons: dict[int, set[str]] = defaultdict(set)
        self._next = 0

    def link(self, link: Link) -> bool:
        """Note a device found or lost. Says whether that is news."""
        device, told = link.device, self._told_reasons[link.device]
        if link.up:
            news = device in self._down
            self._down.discard(device)
            told.clear()
            return news
        self._down.add(device)
        for group in self._devices[device].groups:
            self._overrun[group.tags.start : group.tags.stop] = False
        news = link.reason not in told and len(told) < _REASONS
        if news:
            told.add(link.reason)
        return news

    def overrun(self, cause: Overrun) -> None:
        """Note a scan class that does not keep up, or does again."""
        tags = self._devices[cause.device].groups[cause.group].tags
        self._overrun[tags.start : tags.stop] = cause.over

    def is_down(self, device: int) -> bool:
        """Whether a device is known to be lost, or was never found."""
        return device in self._down

    def compare(self, twin: Twin, now: Instant) -> list[Event]:
        """The events due, at most once a second. The tags of a lost device wait."""
        if now.mono < self._next:
            return []
        self._next = now.mono + SECOND
        bad = (twin.quality >= Quality.BAD) & self._measured
        bad &= twin.quality != Quality.NOT_YET_READ
        told_as_overrun = self._overrun & (twin.quality == Quality.STALE)
        changed = np.flatnonzero((bad != self._told_bad) & ~told_as_overrun)
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for tag in changed.tolist():
            device = self._tags[tag].device
            if device not in self._down:
                groups[device, int(twin.quality[tag]) if bad[tag] else 0].append(tag)
                self._told_bad[tag] = bad[tag]
        return [self._event(device, Quality(q), tags) for (device, q), tags in groups.items()]

    def _event(self, device: int, quality: Quality, tags: list[int]) -> Event:
        name = self._devices[device].name
        kind = EventKind.TAG_BAD if quality.is_bad else EventKind.TAG_GOOD
        text = f"{self._names(tags)} {'is' if len(tags) == 1 else 'are'} {quality.words}"
        return Event(kind, name, text, (("quality", quality.words), ("tags", len(tags))))

    def _names(self, tags: Iterable[int]) -> str:
        names = [self._tags[tag].name for tag in tags]
        more = len(names) - _NAMED
        return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
