"""Everything that happens on a grid: one heap of due times, one timer.

A job runs at offset + k periods of the monotonic clock, never earlier. When the loop was busy and
due times went by, they are counted, not made up for.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

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


class Scheduler:
    """Runs jobs on their grids, in the event loop, one after the other."""

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._now = monotonic_ns
        self._jobs: list[Job] = []
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
        try:
            self._run_due(self._now())
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
