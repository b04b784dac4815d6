"""Watches how late the event loop wakes, and thins scans out when it is too late for control."""

import logging

from edgetwin.core.plan import SECOND, GatewayPlan, ScanGroup
from edgetwin.core.shedding import Shedding
from edgetwin.runtime.scheduler import Scheduler

log = logging.getLogger("edgetwin.load")

_HURTS = 5  # one scan of so many that a loop needs was skipped
_ENOUGH = 20  # wake-ups that say something about a span of time


class Load:
    """The shedding of one daemon (``core.shedding``), fed from its scheduler once a second."""

    def __init__(self, plan: GatewayPlan, scheduler: Scheduler) -> None:
        self._lateness = scheduler.lateness
        self._shedding = Shedding(plan)
        self._lateness.limit = self._shedding.late_after
        self._seen = self._seen_late = 0
        self._due = self._skipped = 0  # of what loops need, since the last look
        scheduler.every(SECOND, self._look)

    @property
    def level(self) -> int:
        """How many steps are shed."""
        return self._shedding.level

    def one_in(self, group: ScanGroup) -> int:
        """How many due times of a scan class make one scan."""
        return self._shedding.one_in(group)

    def scanned(self, group: ScanGroup, due: int, skipped: int) -> None:
        """Count due scans, and those of them that were skipped."""
        if self._shedding.is_spared(group):
            self._due += due
            self._skipped += skipped

    def _look(self) -> None:
        woken = self._lateness.woken - self._seen
        if woken < _ENOUGH:
            return
        late = self._lateness.late - self._seen_late
        self._seen, self._seen_late = self._lateness.woken, self._lateness.late
        hurt = self._skipped * _HURTS >= max(self._due, 1)
        self._due = self._skipped = 0
        before = self.level
        if self._shedding.look(woken, late, hurt=hurt):
            self._tell(before, late / woken)

    def _tell(self, before: int, share: float) -> None:
        """The first step and the last one back; those between are told by the scan classes."""
        limit = self._lateness.limit / 1e6
        if not before:
            log.warning(
                "overloaded: %.0f %% of all wake-ups come over %g ms late. Scans are thinned out, "
                "those that feed no loop and the slowest first. Scan more slowly, or fewer tags",
                100 * share,
                limit,
            )
        elif not self.level:
            log.info("no longer overloaded: all tags are scanned as configured")
