"""The one place that reads the clocks."""

import time

from edgetwin.core.reading import Instant
from edgetwin.core.tuples import new


def now() -> Instant:
    """This moment on both clocks."""
    return new(Instant, (time.monotonic_ns(), time.time_ns()))


def monotonic_ns() -> int:
    """This moment on the clock that never steps; the same clock as ``Instant.mono``."""
    return time.monotonic_ns()


def cpu_seconds() -> float:
    """CPU time (user + system) this process has used, all threads."""
    return time.process_time()


def utc(wall_ns: int) -> str:
    """A wall-clock stamp for people: ``2026-11-22 12:04:31Z``."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(wall_ns // 1_000_000_000))
