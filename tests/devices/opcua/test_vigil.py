"""Items that go mute while their subscription speaks are doubted, then made anew."""

import asyncio
import logging
from contextlib import asynccontextmanager

import numpy as np
import pytest

from edgetwin.core.quality import Quality
from edgetwin.core.tags import Tag, TagTable
from edgetwin.devices.opcua.batches import Batches
from edgetwin.devices.opcua.columns import Columns
from edgetwin.devices.opcua.counters import Counters
from edgetwin.devices.opcua.exchange import Place
from edgetwin.devices.opcua.polling import Delivery
from edgetwin.devices.opcua.stack import standard_node
from edgetwin.devices.opcua.survey import Node
from edgetwin.devices.opcua.vigil import MOST, Vigil

SECOND = 1_000_000_000
PERIOD_S = 0.2
N = 4


class Server:
    """A lane to nodes whose values are in ``holds``; the clock is the test's."""

    max_nodes = 4000

    def __init__(self, n):
        self.now = 10**12
        self.holds = np.arange(float(n))
        self.asked = []

    def reader(self, places):
        which = [place.node.Identifier for place in places]

        def read(take, _fail):
            self.asked += which
            columns = Columns.empty(len(which))
            columns.values[:], columns.types[:] = self.holds[which], 11
            for first, part in columns.parts():
                take(part, first)

        return read


class Bench:
    """A vigil over n items, each of them reported once."""

    def __init__(self, sink, n=N, deadband=0.0, sampling=0):
        self.server, self.sink, self.doubted = Server(n), sink, []
        tags = TagTable(tuple(Tag(i, f"plc/{i}", deadband=deadband) for i in range(n)))
        clock = lambda: self.server.now  # noqa: E731 (a clock is a function)
        self.deliver = Delivery(sink, Batches(tags), Counters(), clock, lambda error, sent: None)
        self.vigil = Vigil(range(n), SECOND, self.deliver, self.doubted.extend)
        nodes = [Node(i, Place(standard_node(i)), 11) for i in range(n)]
        self.vigil.watch(nodes, self.server, 5000, sampling)
        self.report(*range(n))

    def report(self, *tags):
        columns = Columns.empty(len(tags))
        columns.values[:], columns.types[:] = self.server.holds[list(tags)], 11
        self.vigil.reported(np.array(tags, np.intp), columns)

    def periods(self, count):
        for _ in range(count):
            self.server.now += SECOND
            self.vigil.look()


@pytest.fixture
def sink(conformance):
    return conformance.Recorder()


def test_item_that_changes_unreported_is_doubted_within_three_periods_and_its_value_taken(sink):
    bench = Bench(sink)
    bench.periods(2)
    bench.server.holds[1] = 7.0
    bench.periods(1)
    assert bench.doubted == []
    bench.periods(1)
    assert bench.doubted == [1]
    assert (sink.values[1], sink.quality[1]) == (7.0, Quality.GOOD)
    bench.periods(1)
    assert bench.deliver.gone == set()
    bench.periods(1)
    assert bench.deliver.gone == {1}


def test_what_is_reported_every_period_is_not_read(sink):
    bench = Bench(sink)
    for _ in range(9):
        bench.report(*range(N))
        bench.periods(1)
    assert bench.server.asked == []


def test_item_that_stops_reporting_is_doubted_within_three_periods_of_its_last_report(sink):
    bench = Bench(sink)
    for _ in range(5):
        bench.report(*range(N))
        bench.periods(1)
    bench.report(0, 1, 2)  # from here on the fourth is mute, and changes
    for step in range(3):
        bench.server.holds[3] = 50.0 + step
        bench.server.now += SECOND // 2
        bench.report(0, 1, 2)
        bench.server.now -= SECOND // 2
        bench.periods(1)
    assert set(bench.doubted) == {3}


def test_report_that_comes_late_ends_the_suspicion(sink):
    bench = Bench(sink)
    bench.periods(2)
    bench.server.holds[1] = 7.0
    bench.periods(1)
    bench.report(1)
    bench.periods(5)
    assert bench.doubted == []
    assert sink.values == {}


def test_values_that_change_and_are_reported_all_the_time_are_never_doubted(sink):
    bench = Bench(sink)
    for step in range(20):
        bench.periods(1)
        bench.server.holds[2] = 10.0 + step
        bench.periods(1)
        bench.report(2)
    assert bench.doubted == []


def test_slow_sampling_is_waited_for(sink):
    bench = Bench(sink, sampling=5 * SECOND)
    bench.server.holds[0] = 9.0
    bench.periods(6)
    assert bench.doubted == []
    bench.periods(1)
    assert bench.doubted == [0]


def test_change_within_the_deadband_is_no_reason_to_doubt(sink):
    bench = Bench(sink, deadband=0.5)
    bench.server.holds[:] += 0.5
    bench.periods(9)
    assert bench.doubted == []


def test_item_that_never_reported_is_doubted_too(sink):
    bench = Bench(sink)
    bench.vigil._quality[3] = 255
    bench.periods(3)
    assert bench.doubted == [3]


def test_reads_are_bounded_and_each_item_has_its_turn(sink):
    n = 2 * MOST + 500
    bench = Bench(sink, n)
    bench.periods(1)
    bench.server.asked.clear()
    bench.periods(3)
    assert sorted(bench.server.asked) == list(range(n))
    bench.server.now += SECOND // 2
    bench.vigil.look()
    assert len(bench.server.asked) == n, "it looks once a period, however often it is called"


# ---------------------------------------------------------------- a real server


@asynccontextmanager
async def in_use(driver):
    """Scans on a grid, as the supervisor starts them; the link is watched."""
    loop = asyncio.get_running_loop()
    watch = asyncio.create_task(driver.lost())

    def scan():
        nonlocal timer
        driver.start_scan(0)
        timer = loop.call_later(PERIOD_S, scan)

    timer = loop.call_soon(scan)
    try:
        yield watch
    finally:
        timer.cancel()
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


@pytest.fixture
async def faulty(server):
    process = type(server)("faulty_server.py")
    await process.start("3")
    yield process
    process.stop()


async def test_mute_item_shows_its_value_in_time_and_reports_again_by_itself(make, faulty, caplog):
    names = [f"nsu=urn:edgetwin:test:faulty;s={name}" for name in ("Still.0", "Still.1", "Count.0")]
    driver, sink = make(names, faulty.url, subscribe=True, period=int(PERIOD_S * SECOND))
    with caplog.at_level(logging.INFO, "edgetwin"):
        await driver.connect()
        async with in_use(driver):
            await sink.until(lambda: {0, 1, 2} <= sink.quality.keys(), "the first values")
            for number in (5.0, 6.0):
                await faulty.order("mute", "Still.0")
                began = asyncio.get_running_loop().time()
                await faulty.order("set", "Still.0", str(number))
                await sink.until(lambda n=number: sink.values[0] == n, "the mute item's value")
                assert asyncio.get_running_loop().time() - began < 3 * PERIOD_S + 1.0
                again = "the server has them now: plc/Still.0"
                await sink.until(lambda w=again: w in caplog.text, "its new item")
                caplog.clear()
                await faulty.order("set", "Still.0", str(number + 0.5))
                await sink.until(lambda n=number: sink.values[0] == n + 0.5, "the next value")
    assert set(sink.quality.values()) == {Quality.GOOD}
