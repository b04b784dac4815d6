"""Everything that happens on a grid: one heap of due times, one timer.

A job runs at offset + k periods of the monotonic clock, never earlier. When the loop was busy and
due times went by, they are counted, not made up for.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgetwin.core.schedule import next_due
from edgetwin.runtime.timer import open_timer


@dataclass(slots=True, eq=False)
class Job:
    """Something done every ``period`` ns. ``missed`` counts due times that went by unserved."""

    period: int
    run: Callable[[], None]
    due: int
    missed: int = 0
    cancelled: bool = False
    rank: int = 1

    def __lt__(self, other: "Job") -> bool:
        """Earlier first; of two at one time that of the lower rank, then the more frequent."""
        return (self.due, self.rank, self.period) < (other.due, other.rank, other.period)


_REMEMBERED = 10_000
_QUANTILES = (50.0, 99.0, 99.9)


class Lateness:
    """How late the scheduler is woken. ``late`` counts wake-ups more than ``limit`` ns late."""

    def __init__(self) -> None:
        self.limit = 5_000_000
        self.woken = 0
        self.late = 0
        # The newest wins: these are figures for a person to look at.
        self._last: deque[int] = deque(maxlen=_REMEMBERED)

    def note(self, ns: int) -> None:
        """Remember one wake-up."""
        self.woken += 1
        self._last.append(ns)
        if ns > self.limit:
            self.late += 1

    def quantiles_us(self) -> dict[str, float]:
        """p50, p99 and p99.9 of the last wake-ups in microseconds; empty before the first."""
        if not self._last:
            return {}
        values = np.percentile(np.fromiter(self._last, np.int64), _QUANTILES) / 1000
        return {f"p{q:g}": round(float(v), 1) for q, v in zip(_QUANTILES, values, strict=True)}


class Scheduler:
    """Runs jobs on their grids, in the event loop, one after the other."""

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._now = monotonic_ns
        self._jobs: list[Job] = []
        self.lateness = Lateness()
        self._timer = open_timer(self._ring)

    def every(
        self, period: int, run: Callable[[], None], offset: int = 0, *, first: bool = False
    ) -> Job:
        """Run a job at each multiple of ``period`` on the clock, plus ``offset``, all in ns.

        It must not raise nor block. Jobs of one period share their wake-ups, whenever they began;
        a job that is to be ``first`` goes before the others of its time.
        """
        now = self._now()
        due = next_due(offset % period, period, now).at
        job = Job(period, run, due, rank=0 if first else 1)
        heapq.heappush(self._jobs, job)
        self._timer.set(self._jobs[0].due)
        return job

    def cancel(self, job: Job) -> None:
        """Never run a job again."""
        job.cancelled = True

    def close(self) -> None:
        """Run nothing any more."""
        self._jobs.clear()
        self._timer.close()

    def _ring(self) -> None:
        now = self._now()
        if self._jobs and self._jobs[0].due <= now:
            self.lateness.note(now - self._jobs[0].due)
        try:
            self._run_due(now)
        finally:  # a job that fails is the event loop's to report; the others keep their grid
            if self._jobs:
                self._timer.set(self._jobs[0].due)

    def _run_due(self, now: int) -> None:
        while self._jobs and self._jobs[0].due <= now:
            job = heapq.heappop(self._jobs)
            if job.cancelled:
                continue
            job.due, missed = next_due(job.due, job.period, now)
            job.missed += missed
            heapq.heappush(self._jobs, job)
            job.run()
