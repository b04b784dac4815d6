"""Which scans are left out when the gateway itself has too much to do.

A device that is slow sheds by itself: a scan that is still out is not asked for again. What is here
is for the case that the processor is too slow: then the event loop wakes late, for control too.
Once a second it is looked at how late. While a quarter of the wake-ups come too late, or only a
twentieth but what a loop needs skips a fifth of its scans, one step more is shed each second, and
one less after ten seconds in which none of that was seen::

    steps       1            2            3            4      …
    classes     slowest /2   faster /2    slowest /4   faster /4 … /8

Safety goes before freshness: a class that feeds a loop is never shed, and one that an alarm watches
only after all others of its step. What is thinned so far that it goes stale is shown stale.
"""

from edgetwin.core.plan import GatewayPlan, ScanGroup

_EARLIEST, _LATEST = 5_000_000, 25_000_000
"""Bounds of what counts as late: half the period of the fastest loop, within these."""

_MANY, _FEW = 4, 20
_PATIENCE = 2
_CALM = 10
_FACTORS = (2, 4, 8)


class Shedding:
    """Decides how rarely each scan class is scanned. ``level`` counts the steps taken."""

    def __init__(self, plan: GatewayPlan) -> None:
        """All classes are scanned at each due time."""
        needed, watched = feeding(plan), {alarm.tag for alarm in plan.alarms}
        groups = [g for device in plan.devices for g in device.groups]
        self._rank = {  # of those that may be shed; the first are shed first
            _key(g): (not watched.isdisjoint(g.tags), -g.period)
            for g in groups
            if needed.isdisjoint(g.tags)
        }
        ranks = sorted(set(self._rank.values()))
        self._steps = [(factor, rank) for factor in _FACTORS for rank in ranks]
        fastest = min((loop.every for loop in plan.loops), default=2 * _LATEST)
        self.late_after = min(max(fastest // 2, _EARLIEST), _LATEST)
        self.level = 0
        self._late_looks = self._calm_looks = 0

    def is_spared(self, group: ScanGroup) -> bool:
        """Whether a loop needs this class."""
        return _key(group) not in self._rank

    def look(self, woken: int, late: int, *, hurt: bool = False) -> bool:
        """Judge the last second's wake-ups, and how many were late. Says whether it changed.

        ``hurt``: a loop did not get the scans it needs.
        """
        before = self.level
        if late * (_FEW if hurt else _MANY) >= max(woken, 1):
            self._calm_looks = 0
            self._late_looks += 1
            if self._late_looks >= _PATIENCE:
                self.level = min(self.level + 1, len(self._steps))
        else:
            self._late_looks = 0
            self._calm_looks = self._calm_looks + 1 if late * _FEW <= woken else 0
            if self._calm_looks >= _CALM:
                self._calm_looks = 0
                self.level = max(self.level - 1, 0)
        return self.level != before

    def one_in(self, group: ScanGroup) -> int:
        """How many due times of a class make one scan."""
        rank = self._rank.get(_key(group)) if self.level else None
        if rank is None:
            return 1
        return max((f for f, each in self._steps[: self.level] if each == rank), default=1)


def _key(group: ScanGroup) -> int:
    """Groups are ranges of the twin that do not overlap."""
    return group.tags.start


def feeding(plan: GatewayPlan) -> frozenset[int]:
    """All tags that a loop looks at, and what these are derived from."""
    inputs = {each.tag: each.inputs for each in plan.derived}
    found: set[int] = set()
    wanted = [tag for loop in plan.loops for tag in (loop.pv, loop.mv, *loop.inputs)]
    wanted += [loop.sp for loop in plan.loops if loop.sp_is_tag and isinstance(loop.sp, int)]
    wanted += [tag for loop in plan.loops for _, _, tags in loop.permissives for tag in tags]
    while wanted:
        tag = wanted.pop()
        if tag not in found:
            found.add(tag)
            wanted += inputs.get(tag, ())
    return frozenset(found)
