"""What a window adds up: how long a bit was on and off, how far a counter went.

*Bits.* The time between two good readings counts for the value of the earlier one. From the moment
a bit goes bad until it is read again nothing counts: on + off is the time it was known.

*Counters.* The increase is the sum of the steps from each good reading to the next, also over the
end of a window and over a spell without readings. A step back has two causes. With ``wraps`` set,
the counter is taken to have wrapped if that is the shorter way (it went on by less than half of its
range); else it was reset, and counts from zero again. What a counter did between a reset and the
last reading before it nobody knows; the increase never tells more than happened.
"""

import numpy as np

from edgetwin.core.members import Members
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Floats, Indices, Times
from edgetwin.core.tags import TagTable, ValueType
from edgetwin.core.twin import Twin

_UNKNOWN = -1


class TimeInState:
    """For each bit: ns known to be on, and off, since it was last taken out."""

    def __init__(self, tags: TagTable) -> None:
        self.members = Members([t.index for t in tags if t.type is ValueType.BIT], len(tags))
        n = len(self.members)
        self._state = np.full(n, _UNKNOWN, np.int8)
        self._since: Times = np.zeros(n, np.int64)
        self._spent: Times = np.zeros((2, n), np.int64)

    def measure(self, good: Indices, twin: Twin, now: int) -> None:
        """Good values came in at ``now``, monotonic ns."""
        columns, tags = self.members.among(good)
        values = twin.value[tags]
        if len(values):
            self._count(columns, now)
            self._state[columns] = values >= 0.5

    def forget(self, twin: Twin) -> None:
        """Some quality has changed: what is bad now is in no known state."""
        self._state[twin.quality[self.members.tags] >= Quality.UNCERTAIN] = _UNKNOWN

    def take_out(self, columns: Indices, now: int) -> tuple[Times, Times]:
        """Time on and time off of these columns up to ``now``; they begin anew."""
        self._count(columns, now)
        off, on = self._spent[0, columns].copy(), self._spent[1, columns].copy()
        self._spent[:, columns] = 0
        return on, off

    def _count(self, columns: Indices, now: int) -> None:
        state, spent = self._state[columns], now - self._since[columns]
        self._spent[0, columns] += np.where(state == 0, spent, 0)
        self._spent[1, columns] += np.where(state == 1, spent, 0)
        self._since[columns] = now


class Increase:
    """For each counter: how far it went since it was last taken out."""

    def __init__(self, tags: TagTable) -> None:
        counters = [(t.index, t.counter) for t in tags if t.counter]
        self.members = Members([index for index, _ in counters], len(tags))
        self._wraps: Floats = np.array([counter.wraps for _, counter in counters], float)
        self._last: Floats = np.full(len(counters), np.nan)
        self._sum: Floats = np.zeros(len(counters))
        self._known = np.zeros(len(counters), bool)

    def measure(self, good: Indices, twin: Twin) -> None:
        """Good values came in."""
        columns, tags = self.members.among(good)
        values = twin.value[tags]
        if not len(values):
            return
        step = values - self._last[columns]
        back = step < 0
        if back.any():
            wrapped = step + self._wraps[columns]
            is_wrap = wrapped < self._wraps[columns] / 2
            step = np.where(back, np.where(is_wrap, wrapped, np.maximum(values, 0.0)), step)
        known = step >= 0  # not for the first reading: NaN
        self._sum[columns] += np.where(known, step, 0.0)
        self._known[columns] |= known
        self._last[columns] = values

    def take_out(self, columns: Indices) -> Floats:
        """The increases of these columns, NaN where no two readings were; they begin anew."""
        increase: Floats = np.where(self._known[columns], self._sum[columns], np.nan)
        self._sum[columns], self._known[columns] = 0.0, False
        return increase
