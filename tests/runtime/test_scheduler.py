"""The grid: due times never drift, late ones are counted."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.schedule import next_due
from edgetwin.runtime import clock
from edgetwin.runtime.scheduler import Scheduler
from edgetwin.runtime.timer import KernelTimer, LoopTimer

MS = 1_000_000


@given(st.integers(0, 10**12), st.integers(1, 10**9), st.integers(0, 10**12))
def test_next_due_stays_on_the_grid_and_lies_ahead(previous, period, late):
    now = previous + late
    due = next_due(previous, period, now)
    assert due.at > now
    assert (due.at - previous) % period == 0
    assert due.at - period <= now or due.missed == 0
    assert (due.at - previous) // period == due.missed + 1


async def test_jobs_run_on_their_grids():
    scheduler = Scheduler(clock.monotonic_ns)
    done = asyncio.Event()
    seen = []

    def fast():
        seen.append("fast")
        if seen.count("fast") == 20:
            done.set()

    begun = clock.monotonic_ns()
    job = scheduler.every(5 * MS, fast)
    scheduler.every(20 * MS, lambda: seen.append("slow"))
    await asyncio.wait_for(done.wait(), 5)
    passed = clock.monotonic_ns() - begun
    scheduler.close()
    assert passed >= 19 * 5 * MS
    assert 20 + job.missed >= passed // (5 * MS) - 1
    assert 3 <= seen.count("slow") <= 6 + job.missed // 4


async def test_a_busy_loop_misses_due_times_and_counts_them():
    scheduler = Scheduler(clock.monotonic_ns)
    done = asyncio.Event()
    runs = []

    def busy():
        runs.append(clock.monotonic_ns())
        if len(runs) == 1:
            while clock.monotonic_ns() < runs[0] + 35 * MS:
                pass
        else:
            done.set()

    job = scheduler.every(10 * MS, busy, 10 * MS)
    await asyncio.wait_for(done.wait(), 5)
    scheduler.close()
    assert job.missed >= 2
    assert len(runs) == 2


async def test_a_cancelled_job_never_runs_again():
    scheduler = Scheduler(clock.monotonic_ns)
    done = asyncio.Event()
    job = scheduler.every(MS, lambda: pytest.fail("a cancelled job ran"), 2 * MS)
    scheduler.cancel(job)
    scheduler.every(20 * MS, done.set, 20 * MS)
    await asyncio.wait_for(done.wait(), 5)
    scheduler.close()


@pytest.mark.parametrize("kind", [KernelTimer, LoopTimer])
async def test_both_timers_ring_once_and_not_before_their_time(kind):
    rung = asyncio.Event()
    at = []

    def ring():
        at.append(clock.monotonic_ns())
        rung.set()

    timer = kind(asyncio.get_running_loop(), ring)
    wanted = clock.monotonic_ns() + 10 * MS
    timer.set(wanted - 5 * MS)
    timer.set(wanted)
    await asyncio.wait_for(rung.wait(), 5)
    timer.close()
    assert len(at) == 1
    assert at[0] >= wanted - MS


async def test_a_job_that_is_to_be_first_goes_before_the_others_of_its_time():
    scheduler = Scheduler(clock.monotonic_ns)
    done = asyncio.Event()
    seen = []
    scheduler.every(5 * MS, lambda: seen.append("scan"))
    scheduler.every(10 * MS, lambda: seen.append("tick"), first=True)
    scheduler.every(10 * MS, lambda: (seen.append("slow"), len(seen) > 20 and done.set()))
    await asyncio.wait_for(done.wait(), 5)
    scheduler.close()
    ticks = [i for i, what in enumerate(seen) if what == "tick"]
    assert len(ticks) >= 3
    assert all(seen[i + 1 : i + 3] == ["scan", "slow"] for i in ticks)
