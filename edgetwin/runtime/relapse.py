"""How often a driver may fail by itself before it is only tried now and then."""

from collections import deque

from edgetwin.core.plan import SECOND

RESTARTS = 3
WITHIN = 60 * SECOND
QUARANTINE = 60 * SECOND
_WAITS = (SECOND // 2, SECOND, 2 * SECOND)


class Relapses:
    """The failures of one driver. Three restarts within a minute, then one try a minute.

    The quarantine is over when a try has lasted a minute.
    """

    def __init__(self) -> None:
        self.quarantined = False
        self._failed: deque[int] = deque(maxlen=RESTARTS + 1)
        self._tried = 0

    def failed(self, now: int) -> int:
        """Note a failure at ``now`` (monotonic ns); how long to wait before the next try, ns."""
        if self.quarantined and now - self._tried < WITHIN:
            return self._wait(now, QUARANTINE)
        if self.quarantined:
            self._failed.clear()
        self._failed.append(now)
        recent = sum(now - each < WITHIN for each in self._failed)
        self.quarantined = recent > RESTARTS
        return self._wait(now, QUARANTINE if self.quarantined else _WAITS[recent - 1])

    def _wait(self, now: int, wait: int) -> int:
        self._tried = now + wait
        return wait
