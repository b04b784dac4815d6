"""Scan groups of one device take turns: a short scan never waits behind the whole of a long one."""

import struct

import pytest

from edgetwin.core.plan import DevicePlan, ModbusSettings, ScanGroup
from edgetwin.core.quality import Quality
from edgetwin.devices.modbus import ModbusDriver

LONG, SHORT = 0, 1
BLOCKS = 40


@pytest.fixture
def play(virtual, conformance):
    """Run a story against a device with a long group (a block a tag) and a short one."""

    def run(story, window=1):
        device = virtual.Device()
        loop, sink = virtual.VirtualLoop(device), conformance.Recorder()
        tags = virtual.holding_tags([1] * (BLOCKS + 1))
        groups = (
            ScanGroup(LONG, 100_000_000, range(BLOCKS)),
            ScanGroup(SHORT, 10_000_000, range(BLOCKS, BLOCKS + 1)),
        )
        settings = ModbusSettings("device", in_flight=window, max_gap=0, timeout=100_000_000)
        plan = DevicePlan(0, "dev", "modbus", settings, groups)
        driver = ModbusDriver(plan, tags, sink, loop.now)

        async def whole():
            await driver.connect()
            await story(device, driver, sink)
            await driver.close()

        try:
            loop.run_until_complete(whole())
        finally:
            loop.close()

    return run


def order(device):
    """The blocks asked for, in order on the wire."""
    return [struct.unpack(">H", frame[8:10])[0] // 100 for frame in device.wire.sent]


@pytest.mark.parametrize("window", [1, 2, 8])
def test_a_short_scan_waits_for_no_more_than_the_window_and_as_many_again(play, window):
    async def story(device, driver, sink):
        driver.start_scan(LONG)
        driver.start_scan(SHORT)
        await sink.until(lambda: len(sink.values) == BLOCKS + 1, "both scans")
        assert order(device).index(BLOCKS) <= 2 * window
        assert sorted(order(device)) == list(range(BLOCKS + 1)), "each block once"

    play(story, window)


@pytest.mark.parametrize("window", [1, 4])
def test_the_window_stays_full_to_the_end_of_a_long_scan(play, window):
    async def story(device, driver, sink):
        is_open = []

        def answer(wire, reply):
            is_open.append(len(wire.sent) - len(sink.values))
            wire.deliver(reply, 0.001)

        device.answer = answer
        driver.start_scan(LONG)
        await sink.until(lambda: len(sink.values) == BLOCKS, "the scan")
        assert order(device) == list(range(BLOCKS))
        assert is_open[window - 1 :] == [window] * (BLOCKS - window + 1)

    play(story, window)


def test_a_line_that_is_lost_answers_every_read_of_a_long_scan_once(play):
    async def story(device, driver, sink):
        driver.start_scan(LONG)
        assert not driver.start_scan(LONG), "it is still out"
        device.wire.protocol.connection_lost(None)
        assert sink.quality == dict.fromkeys(range(BLOCKS), Quality.NO_COMMUNICATION)
        await driver.connect()
        assert driver.start_scan(LONG)
        await sink.until(lambda: len(sink.values) == BLOCKS, "the next scan")

    play(story)


def test_writes_still_go_before_what_is_not_yet_on_the_wire(play, conformance):
    async def story(device, driver, sink):
        driver.start_scan(LONG)
        driver.start_write(conformance.request_for(5, 9.0))
        await sink.until(lambda: len(sink.values) == BLOCKS, "the scan")
        assert [frame[7] for frame in device.wire.sent[:3]] == [3, 6, 3]

    play(story)
