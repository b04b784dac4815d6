"""Supervision: a device that is lost comes back; a driver that fails troubles nobody else."""

import asyncio
import gc
import itertools
import logging
from contextlib import asynccontextmanager
from time import thread_time_ns

import numpy as np
import pytest

from edgetwin.config import compile_text
from edgetwin.core.engine import Engine
from edgetwin.core.errors import DeviceLost
from edgetwin.core.plan import SECOND
from edgetwin.core.reading import Authority, Instant, ReadingBatch, WriteRequest
from edgetwin.runtime import clock
from edgetwin.runtime.field import Field
from edgetwin.runtime.relapse import Relapses
from edgetwin.runtime.scheduler import Job, Scheduler
from edgetwin.runtime.supervise import Shared, Supervisor, Time

CONFIG = """\
gateway: g
state: /nowhere
devices:
  bad: {driver: modbus, address: "127.0.0.1:1", scan: 20 ms, retry: 4 s,
        tags: {a: {at: 4x0001, type: uint16}}}
  good: {driver: modbus, address: "127.0.0.1:2", scan: 20 ms,
         tags: {b: {at: 4x0001, type: uint16}}}
"""
DEADLINE_S = 20


class Fault(Exception):
    """What no driver should raise."""


class News:
    """Whatever happens: a scan, a wait."""

    def __init__(self):
        self._event = asyncio.Event()

    def tell(self):
        self._event.set()

    async def until(self, fact):
        async with asyncio.timeout(DEADLINE_S):
            while not fact():
                self._event.clear()
                await self._event.wait()


class Honest:
    """A driver that answers each scan at once."""

    def __init__(self, sink, tag=0):
        self.sink = sink
        self.tag = tag
        self.scans = []
        self.gone = asyncio.Event()
        self.reachable = True
        self.news = News()

    async def connect(self):
        self.gone.clear()
        if not self.reachable:
            raise DeviceLost("bad: nobody there")

    async def lost(self):
        await self.gone.wait()
        raise DeviceLost("bad: it is gone")

    def start_scan(self, _group):
        self.scans.append(clock.monotonic_ns())
        self.sink.readings(ReadingBatch(slice(self.tag, self.tag + 1), np.array([1.0]), 0))
        self.news.tell()
        return True

    def start_write(self, request):
        raise AssertionError("nothing is written here")

    async def close(self):
        pass


class Faulty(Honest):
    """A driver with a bug in one place."""

    def __init__(self, sink, place):
        super().__init__(sink)
        self._place = place

    def _maybe(self, place):
        if place == self._place:
            raise Fault("a bug")

    async def connect(self):
        self._maybe("connect")
        await super().connect()

    async def lost(self):
        self._maybe("lost")
        if self._place == "silent end":
            return
        if self._place == "close":
            raise DeviceLost("bad: it is gone")
        await super().lost()

    def start_scan(self, group):
        self._maybe("scan")
        return super().start_scan(group)

    def start_write(self, request):
        self._maybe("write")

    async def close(self):
        self._maybe("close")


class VirtualTime:
    """Sleeping takes no time but on its own clock. Over after so many waits."""

    def __init__(self, most):
        self.now = 10**12
        self.waits = []
        self.over = asyncio.Event()
        self.news = News()
        self._most = most

    async def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += int(seconds * SECOND)
        self.news.tell()
        if len(self.waits) >= self._most:
            self.over.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    def parts(self):
        return Time(lambda: self.now, self.sleep)


def make_field():
    plan = compile_text(CONFIG, "g.yaml")
    return Field(Engine(plan, lambda *_: None), [], lambda: Instant(clock.monotonic_ns(), 0))


@asynccontextmanager
async def supervised(*supervisors):
    tasks = [asyncio.create_task(each.run()) for each in supervisors]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


@pytest.fixture
async def scheduler():
    made = Scheduler(clock.monotonic_ns)
    yield made
    made.close()


def lines(caplog, words):
    return [r.getMessage() for r in caplog.records if words in r.getMessage()]


# ---------------------------------------------------------------- how often


def waits_of(*gaps_s):
    """The waits in seconds after failures that come so long after the try before."""
    relapses, now, waits = Relapses(), 10**12, []
    for gap in gaps_s:
        now += int(gap * SECOND)
        waits.append(relapses.failed(now) / SECOND)
        now += int(waits[-1] * SECOND)
    return waits


def test_three_restarts_in_a_minute_then_one_try_a_minute():
    assert waits_of(0, 0, 0, 0, 0, 0) == [0.5, 1, 2, 60, 60, 60]


def test_a_failure_now_and_then_is_a_restart_each_time():
    assert waits_of(*[61] * 9) == [0.5] * 9


def test_the_fourth_within_a_minute_counts_though_they_are_spread():
    assert waits_of(0, 15, 15, 15) == [0.5, 1, 2, 60]


def test_a_try_that_lasts_a_minute_ends_the_quarantine():
    assert waits_of(0, 0, 0, 0, 59, 61, 0, 0, 0) == [0.5, 1, 2, 60, 60, 0.5, 1, 2, 60]


# ---------------------------------------------------------------- the driver's own failures


class Still:
    """A scheduler whose time never comes: what fails here does so before the first due time."""

    def every(self, period, run, offset=0, **_):
        return Job(period, run, 0)

    def cancel(self, job):
        pass


@pytest.mark.parametrize("place", ["connect", "lost", "silent end", "scan", "close", "make"])
async def test_driver_that_always_fails_is_quarantined_and_told_once(caplog, place):
    field, time, count = make_field(), VirtualTime(9), itertools.count()

    def make():
        next(count)
        if place == "make":
            raise Fault("a bug")
        return Faulty(field, place)

    bad = Supervisor(field.engine.plan.devices[0], make, Shared(field, Still()), 0, time.parts())
    with caplog.at_level(logging.INFO, "edgetwin"):
        async with supervised(bad):
            await asyncio.wait_for(time.over.wait(), DEADLINE_S)
            assert bad.health.quarantined
    assert time.waits == [0.5, 1, 2, 60, 60, 60, 60, 60, 60]
    assert bad.health.failures == next(count) == 9
    assert len(lines(caplog, "the driver failed; it starts again")) == 3
    assert len(lines(caplog, "it is tried again every 60 s")) == 1
    assert len(lines(caplog, "see the log")) == 1
    assert "the driver failed 4 times within 60 s" in bad.health.reason


async def test_driver_that_fails_in_a_write_answers_it_and_is_replaced(scheduler):
    field, time, results = make_field(), VirtualTime(1), []
    field.written = results.append
    wrong = Faulty(field, "write")
    plan = field.engine.plan.devices[0]
    bad = Supervisor(plan, lambda: wrong, Shared(field, scheduler), 0, time.parts())
    request = WriteRequest(7, 0, 1.0, Authority.TECHNICIAN, "test", "test", 1 << 62)
    async with supervised(bad):
        await wrong.news.until(lambda: wrong.scans)
        field._write(request)
        await asyncio.wait_for(time.over.wait(), DEADLINE_S)
    assert [result.number for result in results] == [7]
    assert "may or may not have taken it" in results[0].detail
    assert bad.health.failures == 1


async def note_holds(holds):
    """How much CPU time, ns, each turn of the event loop takes."""
    last = thread_time_ns()
    while True:
        await asyncio.sleep(0)
        last, before = thread_time_ns(), last
        holds.append(last - before)


async def test_a_thousand_failures_leave_the_others_on_their_grid(scheduler):
    field, time = make_field(), VirtualTime(1000)
    places = itertools.cycle(["connect", "lost", "scan", "close", "silent end"])
    devices = field.engine.plan.devices
    honest = Honest(field, tag=1)

    def make():
        return Faulty(field, next(places))

    bad = Supervisor(devices[0], make, Shared(field, scheduler), 0, time.parts())
    good = Supervisor(devices[1], lambda: honest, Shared(field, scheduler), 0)
    holds: list[int] = []
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.disable()  # a pass over all that the tests before have left is none of ours
    try:
        async with supervised(bad, good):
            looks = asyncio.create_task(note_holds(holds))
            await asyncio.wait_for(time.over.wait(), DEADLINE_S)
            looks.cancel()
    finally:
        gc.enable()
        logging.disable(logging.NOTSET)
    assert bad.health.failures == 1000
    assert good.health.losses == 0
    assert len(honest.scans) > 3
    assert len(holds) > 1000
    # by the processor's time: how long other programs keep us from it shows nothing of ours
    assert max(holds) < good.plan.groups[0].period, "a failure holds up the next scan of others"


# ---------------------------------------------------------------- losses


async def test_loss_is_told_once_and_the_way_back_with_time_and_tries(scheduler, caplog):
    field, time = make_field(), VirtualTime(7)
    driver = Honest(field)
    plan = field.engine.plan.devices[0]
    bad = Supervisor(plan, lambda: driver, Shared(field, scheduler), 0, time.parts())

    async def up(times):
        await driver.news.until(lambda: bad.health.connects == times)

    with caplog.at_level(logging.INFO, "edgetwin"):
        async with supervised(bad):
            await up(1)
            driver.reachable = False
            driver.gone.set()
            await time.news.until(lambda: len(time.waits) >= 5)
            driver.reachable = True
            await up(2)
    assert time.waits[:6] == [0.5, 1, 2, 4, 4, 4][: len(time.waits)]
    assert len(lines(caplog, "bad: it is gone")) == 1
    assert len(lines(caplog, "bad: nobody there")) == 1
    assert lines(caplog, "bad answers")[0] == "bad answers"
    (back,) = lines(caplog, "bad answers again")
    away, tries = sum(time.waits), len(time.waits)
    assert back == f"bad answers again, after {away:.1f} s and {tries} tries"
    assert (bad.health.losses, bad.health.failures) == (1, 0)


async def test_stopping_closes_the_driver(scheduler):
    field = make_field()
    driver = Honest(field)
    closed = asyncio.Event()

    async def close():
        closed.set()

    driver.close = close
    plan = field.engine.plan.devices[0]
    async with supervised(Supervisor(plan, lambda: driver, Shared(field, scheduler), 0)):
        await driver.news.until(lambda: driver.scans)
    assert closed.is_set()
