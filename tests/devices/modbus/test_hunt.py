"""The hunt for addresses that a device does not have, on a virtual clock: what it costs."""

import struct

import pytest

from edgetwin.core.quality import Quality

MS = 0.001
PERIOD_S = 0.1  # of virtual.make_driver's group


class Hunted:
    """A device that refuses some requests, and a driver that scans it: ``cost`` of each scan."""

    def __init__(self, virtual, conformance, sizes, **settings):
        self.device = virtual.Device(answer=self._answer)
        self.loop = virtual.VirtualLoop(self.device)
        self.sink = conformance.Recorder()
        settings = {"timeout": 100_000_000, "max_gap": 0, **settings}
        self.tags = virtual.holding_tags(list(sizes))
        self.driver = virtual.make_driver(self.loop, self.sink, self.tags, **settings)
        self.refuses = lambda first, count: False
        self.code = 2
        self.cost = []

    def _answer(self, wire, reply):
        first, count = struct.unpack(">HH", wire.sent[-1][8:12])
        if self.refuses(first, count):
            reply = reply[:4] + bytes([0, 3, 1, reply[7] | 0x80, self.code])
        wire.deliver(reply, MS)

    def run(self, story):
        async def whole():
            await self.driver.connect()
            await story(self)
            await self.driver.close()

        try:
            self.loop.run_until_complete(whole())
        finally:
            self.loop.close()

    async def scan(self):
        before = self.driver.counters.requests
        assert self.driver.start_scan(0)
        (scan,) = self.driver._groups.values()
        await self.sink.until(lambda: not scan.is_out, "the end of the scan")
        self.cost.append(self.driver.counters.requests - before)

    @property
    def bad(self):
        return [i for i, q in sorted(self.sink.quality.items()) if q is not Quality.GOOD]


@pytest.fixture
def hunted(virtual, conformance):
    return lambda sizes, **settings: Hunted(virtual, conformance, sizes, **settings)


@pytest.mark.parametrize("place", [0, 1, 61, 62, 63, 124, 125, 249, 333, 374, 375, 498, 499])
def test_one_illegal_address_among_500_costs_20_requests_once_and_one_ever_after(
    hunted, caplog, place
):
    async def story(it):
        it.refuses = lambda first, count: first <= place < first + count
        for _ in range(5):
            it.sink.heard.clear()
            await it.scan()
        assert len(it.sink.heard) == 499
        assert it.bad == [place]
        assert it.sink.quality[place] is Quality.CONFIG_ERROR
        assert it.cost[0] <= 4 + 20
        assert max(it.cost[1:]) <= 5, "four blocks, and one more around the hole"
        (record,) = caplog.records
        assert f"4x{place + 1:04d}" in record.getMessage()

    hunted([500]).run(story)


def test_ten_illegal_addresses_are_each_told_once_and_all_others_stay_good(hunted, caplog):
    places = [3, 4, 77, 120, 200, 201, 202, 310, 444, 499]

    async def story(it):
        it.refuses = lambda first, count: any(first <= p < first + count for p in places)
        for _ in range(4):
            await it.scan()
        assert it.bad == places
        assert it.cost[-1] <= 10, "seven holes in four blocks"
        assert len(caplog.records) == 10

    hunted([500]).run(story)


def test_an_illegal_address_in_the_gap_between_two_tags_costs_neither(hunted):
    async def story(it):
        it.refuses = lambda first, count: first <= 50 < first + count
        for _ in range(4):
            await it.scan()
        assert it.bad == []
        assert it.cost == [3, 2, 2, 2]

    hunted([2, 3], max_gap=100).run(story)


@pytest.mark.parametrize(("most", "fewest"), [(124, 2), (100, 2), (60, 3), (32, 4), (7, 18)])
@pytest.mark.parametrize("code", [2, 3])
def test_a_device_that_takes_less_than_it_should_settles_in_few_requests(
    hunted, caplog, most, fewest, code
):
    async def story(it):
        it.code = code
        it.refuses = lambda first, count: count > most
        for _ in range(10):
            await it.scan()
        assert it.bad == []
        assert it.cost[-1] <= 2 * fewest
        assert it.cost[-1] == it.cost[-2]
        assert caplog.records == []

    hunted([125]).run(story)


def test_a_device_that_refuses_everything_while_it_restarts_is_read_whole_again(hunted, caplog):
    async def story(it):
        it.refuses = lambda first, count: True
        await it.scan()
        assert len(it.bad) == 20
        it.refuses = lambda first, count: False
        scans = round(60 / PERIOD_S)
        for _ in range(scans + 3):
            await it.scan()
        assert it.bad == []
        assert it.cost[-1] == 1
        assert sum(it.cost[1:scans]) <= 1

    hunted([20]).run(story)


def test_what_a_device_does_not_have_is_asked_for_again_once_a_minute_and_told_once(hunted, caplog):
    async def story(it):
        it.refuses = lambda first, count: first <= 7 < first + count
        for _ in range(round(180 / PERIOD_S)):
            await it.scan()
        assert it.bad == [7]
        assert sum(it.cost[2:]) == 2 * len(it.cost[2:]) + 3
        assert len(caplog.records) == 1

    hunted([20]).run(story)


def test_the_new_connection_asks_for_one_request_more_and_tells_nothing_twice(hunted, caplog):
    async def story(it):
        it.refuses = lambda first, count: first <= 7 < first + count
        await it.scan()
        await it.scan()
        await it.driver.connect()
        await it.scan()
        await it.scan()
        assert it.cost[1:] == [2, 3, 2]
        assert len(caplog.records) == 1

    hunted([20]).run(story)
