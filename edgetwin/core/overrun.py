"""Whether scan classes keep up: which due scans were skipped, and when that is worth telling.

A scan class is a scan group of one device: what is read together, every so often. A scan that is
due while the last one is still out is skipped and counted, never queued. Single skipped scans are
what a busy network does; a class is in *overrun* when a fifth of a window's scans were skipped, and
keeps up again when hardly one was for ten seconds. So each overrun is told once, and its end.
"""

from dataclasses import dataclass

from edgetwin.core.event import Event, EventKind
from edgetwin.core.frame import Overrun
from edgetwin.core.plan import SECOND, DevicePlan
from edgetwin.core.units import format_duration

_WINDOW, _SCANS = SECOND, 10
"""What is judged together: so long, and so many due times at least."""

_BEGINS, _ENDS = 5, 50
"""One skipped scan of so many begins an overrun; its end allows no more than one of so many."""

_CALM = 10 * SECOND


@dataclass(slots=True)
class _Count:
    """Due times and how many of them were skipped."""

    due: int = 0
    skipped: int = 0

    def add(self, due: int, skipped: int) -> None:
        self.due += due
        self.skipped += skipped


class Punctuality:
    """One scan class: ``due`` and ``skipped`` since the start, and ``over``: it does not keep up.

    ``told`` counts the scans of the present overrun, from the window that showed it.
    """

    def __init__(self) -> None:
        self.all = _Count()
        self.told = _Count()
        self.over = False
        self._window = _Count()
        self._begun = self._calm_since = -1

    def note(self, due: int, skipped: int, now: int) -> bool:
        """Note due times (monotonic ns ``now``). Says whether ``over`` has changed."""
        self.all.add(due, skipped)
        self._window.add(due, skipped)
        if self.over:
            self.told.add(due, skipped)
        if self._begun < 0:
            self._begun = now
        if now - self._begun < _WINDOW or self._window.due < _SCANS:
            return False
        window, begun, self._window, self._begun = self._window, self._begun, _Count(), now
        return self._has_calmed(window, begun, now) if self.over else self._has_begun(window)

    def _has_begun(self, window: _Count) -> bool:
        if window.skipped * _BEGINS < window.due:
            return False
        self.over, self.told, self._calm_since = True, window, -1
        return True

    def _has_calmed(self, window: _Count, begun: int, now: int) -> bool:
        if window.skipped * _ENDS > window.due:
            self._calm_since = -1
            return False
        if self._calm_since < 0:
            self._calm_since = begun
        self.over = now - self._calm_since < _CALM
        return not self.over

    def forget(self) -> None:
        """Its device is lost: what comes after is judged anew."""
        self.over, self._window, self._begun = False, _Count(), -1


def overrun_event(cause: Overrun, device: DevicePlan) -> Event:
    """What to tell of it, once."""
    group = device.groups[cause.group]
    period = format_duration(group.period)
    tags = f"{len(group.tags)} tag{'' if len(group.tags) == 1 else 's'}"
    facts = (
        ("scan", period),
        ("tags", len(group.tags)),
        ("due", cause.due),
        ("skipped", cause.skipped),
        ("thinned", cause.thinned),
    )
    if not cause.over:
        text = (
            f"{device.name}: its scan every {period} ({tags}) keeps up again; "
            f"{cause.skipped} of {cause.due} were skipped meanwhile"
        )
        return Event(EventKind.OVERRUN_OVER, device.name, text, facts)
    why = (
        f"the gateway is overloaded and takes one in {cause.thinned}"
        if cause.thinned > 1
        else "its answers take longer than that"
    )
    text = (
        f"{device.name}: its scan every {period} ({tags}) does not keep up, {cause.skipped} of "
        f"{cause.due} were skipped: {why}. Values go stale. Scan more slowly, or fewer tags"
    )
    return Event(EventKind.OVERRUN, device.name, text, facts)
