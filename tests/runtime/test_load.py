"""Overload: scans that cannot be done are left out by rule, counted, and told once."""

import asyncio
import logging
from contextlib import asynccontextmanager

import numpy as np
import pytest

from edgetwin.config import compile_text
from edgetwin.core.engine import Engine
from edgetwin.core.errors import DeviceLost
from edgetwin.core.event import EventKind
from edgetwin.core.plan import SECOND
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.runtime.field import Field
from edgetwin.runtime.frames import FrameQueue
from edgetwin.runtime.load import Load
from edgetwin.runtime.scheduler import Job, Lateness
from edgetwin.runtime.supervise import Shared, Supervisor, Time

MS = 1_000_000
PERIOD = 50 * MS
CONFIG = """\
gateway: g
state: /nowhere
control: {enabled: true}
devices:
  plc:
    driver: modbus
    address: 127.0.0.1:1
    scan: 50 ms
    tags:
      bulk: {at: 4x0001, type: uint16}
      pv: {at: 4x0100, type: uint16, scan: 10 ms}
      mv: {at: 4x0101, type: uint16, scan: 10 ms, write: {min: 0, max: 100}}
loops:
  l: {law: formula, is: pv, pv: plc/pv, sp: 0, mv: plc/mv, every: 10 ms, mode: shadow}
"""
LOOP, BULK = 0, 1  # scan groups, the short period first


class Plant:
    """A clock that stands until it is moved, jobs that run when they are told to."""

    def __init__(self):
        self.now = 1000 * SECOND
        self.plan = compile_text(CONFIG, "test.yaml")
        self.events = []
        self.field = Field(Engine(self.plan, None), [self], self.instant)
        self.lateness = Lateness()
        self.jobs = []
        self.slow = False
        self.asked = [0, 0]
        self.gone = asyncio.Event()
        self.scanned = asyncio.Event()

    def instant(self):
        return Instant(self.now, self.now)

    # the scheduler

    def every(self, period, run, offset=0, *, first=False):
        self.jobs.append(Job(period, run, self.now + period))
        return self.jobs[-1]

    def cancel(self, job):
        job.cancelled = True

    def pass_time(self, seconds):
        """Every job at each of its times, in order, and the engine's tick each 10 ms."""
        end = self.now + round(seconds * SECOND)
        while self.now < end:
            self.now += 10 * MS
            for job in self.jobs:
                if not job.cancelled and job.due <= self.now:
                    job.due += job.period
                    job.run()
            self.field.tick()

    # the driver

    async def connect(self):
        pass

    async def lost(self):
        self.scanned.set()
        await self.gone.wait()
        raise DeviceLost("plc: gone")

    async def close(self):
        pass

    def start_scan(self, group):
        """A slow device is still busy with the bulk three times of four."""
        self.asked[group] += 1
        if self.slow and group == BULK and self.asked[BULK] % 4:
            return False
        tags = self.plan.devices[0].groups[group].tags
        values = np.full(len(tags), float(self.asked[group]))
        self.field.readings(ReadingBatch(slice(tags.start, tags.stop), values))
        return True

    # the queue

    def put(self, frame):
        self.events += frame.events

    def told(self):
        events, self.events = self.events, []
        return events


@asynccontextmanager
async def running():
    plant = Plant()
    load = Load(plant.plan, plant)
    shared = Shared(plant.field, plant, load)
    supervisor = Supervisor(
        plant.plan.devices[0], lambda: plant, shared, 0, Time(lambda: plant.now)
    )
    task = asyncio.create_task(supervisor.run())
    async with asyncio.timeout(10):
        await plant.scanned.wait()
    plant.pass_time(0.1)
    plant.told()
    yield plant, supervisor, load
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def quality(plant, name):
    tag = next(t.index for t in plant.plan.tags if t.name == name)
    return plant.field.engine.twin.state(tag, plant.instant()).quality


async def test_a_slow_device_is_told_once_and_its_values_are_stale_between_the_scans(caplog):
    async with running() as (plant, supervisor, _):
        plant.slow = True
        with caplog.at_level(logging.INFO, "edgetwin"):
            plant.pass_time(60)
        assert quality(plant, "plc/bulk") is Quality.STALE
        assert quality(plant, "plc/pv") is Quality.GOOD
        (overrun,) = [e for e in plant.told() if e.kind is EventKind.OVERRUN]
        assert "plc: its scan every 50 ms (1 tag) does not keep up" in overrun.text
        assert len([r for r in caplog.records if "keep up" in r.message]) == 1
        assert len([r for r in caplog.records if "bulk" in r.message]) <= 1
        bulk = supervisor.health.classes[BULK]
        assert (bulk.all.due, bulk.all.skipped) == (1202, 900)
        assert supervisor.health.classes[LOOP].all.skipped == 0


async def test_its_recovery_is_told_with_the_count(caplog):
    async with running() as (plant, supervisor, _):
        plant.slow = True
        plant.pass_time(20)
        plant.slow = False
        plant.told()
        plant.pass_time(30)
        (over,) = [e for e in plant.told() if e.kind is EventKind.OVERRUN_OVER]
        assert dict(over.facts)["skipped"] == supervisor.health.classes[BULK].told.skipped
        assert quality(plant, "plc/bulk") is Quality.GOOD


async def test_a_bad_tag_is_told_though_its_class_is_overrun():
    async with running() as (plant, _, _):
        plant.slow = True
        plant.pass_time(5)
        plant.told()
        plant.slow, plant.gone = False, asyncio.Event()
        plant.jobs = [job for job in plant.jobs if job.period != PERIOD]
        tags = plant.plan.devices[0].groups[BULK].tags
        bad = np.full(len(tags), Quality.SENSOR_FAILURE, np.uint8)
        plant.field.readings(ReadingBatch(slice(tags.start, tags.stop), np.zeros(len(tags)), bad))
        plant.pass_time(2)
        assert [e.text for e in plant.told() if e.kind is EventKind.TAG_BAD] == [
            "plc/bulk is bad: sensor failure"
        ]


async def test_an_overloaded_gateway_thins_the_bulk_out_and_never_what_a_loop_needs(caplog):
    async with running() as (plant, supervisor, load):
        with caplog.at_level(logging.INFO, "edgetwin.load"):
            for _ in range(6):
                plant.lateness.woken += 100
                plant.lateness.late += 50
                plant.pass_time(1)
            assert load.level == 3  # three halvings: there is one class to shed
            plant.asked = [0, 0]
            plant.pass_time(8)
            assert plant.asked == [800, 20]
            assert supervisor.health.classes[LOOP].all.skipped == 0
            for _ in range(30):
                plant.lateness.woken += 100
                plant.pass_time(1)
        assert load.level == 0
        own = [r.levelname for r in caplog.records if r.name == "edgetwin.load"]
        assert own == ["WARNING", "INFO"]
        (event,) = [e for e in plant.told() if e.kind is EventKind.OVERRUN]
        assert "the gateway is overloaded and takes one in" in event.text


async def test_a_loop_that_is_hurt_by_a_busy_processor_is_helped_early():
    async with running() as (plant, supervisor, load):
        group = plant.plan.devices[0].groups[LOOP]
        for _ in range(3):
            supervisor.scanned(group, 100, 60, 1)
            plant.lateness.woken += 100
            plant.lateness.late += 8
            plant.pass_time(1)
        assert load.level == 2


@pytest.mark.parametrize("count", [1, 10_001, 30_000])
def test_a_queue_nobody_empties_stays_at_its_bound_and_counts(count):
    queue = FrameQueue()
    for _ in range(count):
        queue.put(FRAME)
    assert len(queue) == min(count, 10_000)
    assert queue.dropped == max(count - 10_000, 0)


FRAME = Engine(compile_text(CONFIG, "test.yaml"), None).turn(
    ReadingBatch(slice(0, 1), np.zeros(1)), Instant(1, 1)
)
