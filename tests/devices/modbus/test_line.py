"""The lane on a virtual clock: order, window, deadlines, and the turn in which a reply is used."""

import asyncio
import struct
from itertools import pairwise

import pytest

from edgetwin.core.errors import DeviceLost
from edgetwin.core.quality import Quality
from edgetwin.core.reading import WriteOutcome

MS = 0.001


@pytest.fixture
def play(virtual, conformance):
    """Run a story: ``await story(loop, device, driver, sink)`` against a silent device."""

    def run(story, sizes=(2,), **settings):
        device = virtual.Device(answer=lambda wire, reply: None)
        loop = virtual.VirtualLoop(device)
        sink = conformance.Recorder()
        settings = {"timeout": 100_000_000, "max_gap": 0, **settings}
        driver = virtual.make_driver(loop, sink, virtual.holding_tags(list(sizes)), **settings)

        async def whole():
            await driver.connect()
            await story(loop, device, driver, sink)
            await driver.close()

        try:
            loop.run_until_complete(whole())
        finally:
            loop.close()

    return run


def reply_to(frame, words):
    data = struct.pack(f">{len(words)}H", *words)
    return frame[:4] + struct.pack(">HBBB", 3 + len(data), 1, 3, len(data)) + data


def exception_to(frame, code):
    return frame[:4] + bytes([0, 3, 1, frame[7] | 0x80, code])


def test_a_reply_is_decoded_and_a_write_sent_before_the_callback_of_its_bytes_returns(
    play, conformance
):
    async def story(loop, device, driver, sink):
        class React(conformance.Recorder):
            def readings(self, batch):
                super().readings(batch)
                driver.start_write(conformance.request_for(1, batch.values[0] + 1))

        react = React()
        sink.readings = react.readings
        driver.start_scan(0)
        wire = device.wire
        (asked,) = wire.sent
        wire.protocol.data_received(reply_to(asked, [41, 2]))  # no await from here on
        assert react.values == {0: 41.0, 1: 2.0}
        assert wire.sent[1][7:] == b"\x06\x00\x01\x00\x2a"

    play(story)


def test_a_write_overtakes_every_read_that_is_not_yet_on_the_wire(play, conformance):
    async def story(loop, device, driver, sink):
        driver.start_scan(0)
        driver.start_write(conformance.request_for(0, 5.0))
        wire = device.wire
        assert len(wire.sent) == 1, "one at a time"
        wire.protocol.data_received(reply_to(wire.sent[0], [1, 1]))
        assert wire.sent[1][7] == 6, "the write goes before the second block"
        wire.protocol.data_received(wire.sent[1])
        assert wire.sent[2][7] == 3, "and its read-back too"
        wire.protocol.data_received(reply_to(wire.sent[2], [5]))
        assert sink.results[0].outcome is WriteOutcome.WRITTEN
        assert struct.unpack(">HH", wire.sent[3][8:12]) == (100, 3)

    play(story, sizes=(2, 3))


@pytest.mark.parametrize("window", [1, 2, 4])
def test_no_more_requests_are_open_than_the_window_allows(play, window):
    async def story(loop, device, driver, sink):
        driver.start_scan(0)
        wire = device.wire
        for done in range(6):
            assert len(wire.sent) == min(done + window, 6)
            wire.protocol.data_received(reply_to(wire.sent[done], [0] * (done + 1)))
        assert len({frame[:2] for frame in wire.sent}) == 6, "each with an id of its own"
        assert driver.start_scan(0)

    play(story, sizes=(1, 2, 3, 4, 5, 6), in_flight=window)


def test_the_device_gets_its_pause_between_two_requests(play):
    async def story(loop, device, driver, sink):
        asked_at = []
        device.answer = lambda wire, reply: (
            asked_at.append(loop.time()),
            wire.deliver(reply, 5 * MS),
        )
        driver.start_scan(0)
        await sink.until(lambda: len(sink.values) == 6, "three blocks")
        gaps = [b - a for a, b in pairwise(asked_at)]
        assert gaps == pytest.approx([25 * MS, 25 * MS], abs=MS / 5)

    play(story, sizes=(1, 2, 3), pause=20_000_000)


def test_a_late_reply_is_dropped_and_never_answers_the_next_request(play):
    async def story(loop, device, driver, sink):
        driver.start_scan(0)
        await sink.until(lambda: 0 in sink.quality, "the timeout")
        assert sink.quality[0] is Quality.NO_COMMUNICATION
        driver.start_scan(0)
        wire = device.wire
        wire.protocol.data_received(reply_to(wire.sent[0], [111, 111]))
        assert sink.quality[0] is Quality.NO_COMMUNICATION
        wire.protocol.data_received(reply_to(wire.sent[1], [222, 222]))
        assert sink.values[0] == 222.0
        assert (driver.counters.timeouts, driver.counters.late) == (1, 1)

    play(story)


def test_three_silences_in_a_row_lose_the_device_and_name_the_unit_id(play):
    async def story(loop, device, driver, sink):
        began = loop.time()
        lost = asyncio.ensure_future(driver.lost())
        while not lost.done():
            driver.start_scan(0)
            await asyncio.sleep(5 * MS)
        with pytest.raises(DeviceLost, match=r"dev at device:502: .* `unit: 1` is the device's"):
            await lost
        assert loop.time() - began == pytest.approx(0.3, abs=0.03)

    play(story)


def test_a_silence_now_and_then_loses_nothing(play):
    async def story(loop, device, driver, sink):
        for n in range(9):
            driver.start_scan(0)
            if n % 3 == 2:
                device.wire.protocol.data_received(reply_to(device.wire.sent[n], [n, n]))
            await asyncio.sleep(0.11)
        assert driver.counters.timeouts == 6
        assert driver.start_scan(0)

    play(story)


@pytest.mark.parametrize("code", [10, 11])
def test_a_gateway_without_the_unit_is_told_in_a_clear_sentence(play, code):
    async def story(loop, device, driver, sink):
        device.answer = lambda wire, reply: wire.deliver(exception_to(reply, code), MS)
        lost = asyncio.ensure_future(driver.lost())
        while not lost.done():
            driver.start_scan(0)
            await asyncio.sleep(5 * MS)
        with pytest.raises(DeviceLost, match="unit 1 cannot be reached behind the gateway"):
            await lost
        assert sink.quality[0] is Quality.DEVICE_FAULT

    play(story)


@pytest.mark.parametrize(("code", "words"), [(2, "illegal data address"), (4, "device failure")])
def test_an_exception_to_a_write_is_a_refusal_in_words(play, conformance, code, words):
    async def story(loop, device, driver, sink):
        driver.start_write(conformance.request_for(0, 5.0))
        device.wire.protocol.data_received(exception_to(device.wire.sent[0], code))
        (result,) = sink.results
        assert result.outcome is WriteOutcome.REFUSED
        assert words in result.detail

    play(story)


def test_a_device_that_holds_something_else_than_written_is_not_verified(play, conformance):
    async def story(loop, device, driver, sink):
        driver.start_write(conformance.request_for(0, 5.0))
        wire = device.wire
        wire.protocol.data_received(wire.sent[0])
        wire.protocol.data_received(reply_to(wire.sent[1], [4]))
        (result,) = sink.results
        assert result.outcome is WriteOutcome.NOT_VERIFIED
        assert result.read_back == 4.0
        assert "5" in result.detail
        assert "4" in result.detail

    play(story)


@pytest.mark.parametrize("echoed", [False, True])
def test_an_open_write_is_answered_when_the_stream_cannot_be_trusted(play, conformance, echoed):
    async def story(loop, device, driver, sink):
        driver.start_write(conformance.request_for(0, 5.0))
        wire = device.wire
        if echoed:
            wire.protocol.data_received(wire.sent[0])
        wire.protocol.data_received(b"junk and more junk")
        (result,) = sink.results
        told = WriteOutcome.NOT_VERIFIED if echoed else WriteOutcome.NO_COMMUNICATION
        assert result.outcome is told
        assert "no Modbus TCP" in result.detail

    play(story)


def test_a_write_expires_while_it_waits_behind_a_slow_read(play, conformance):
    async def story(loop, device, driver, sink):
        driver.start_scan(0)
        soon = loop.now().mono + 20_000_000
        driver.start_write(conformance.request_for(0, 5.0, expires=soon))
        await asyncio.sleep(50 * MS)
        device.wire.protocol.data_received(reply_to(device.wire.sent[0], [1, 1]))
        (result,) = sink.results
        assert result.outcome is WriteOutcome.EXPIRED
        assert len(device.wire.sent) == 1

    play(story)


def test_the_hundred_and_first_waiting_write_is_answered_at_once(play, conformance):
    async def story(loop, device, driver, sink):
        for number in range(101):
            driver.start_write(conformance.request_for(0, 5.0, number))
        (result,) = sink.results
        assert (result.number, result.outcome) == (100, WriteOutcome.NO_COMMUNICATION)

    play(story)


def test_a_reply_in_single_bytes_is_read(play):
    async def story(loop, device, driver, sink):
        driver.start_scan(0)
        for byte in reply_to(device.wire.sent[0], [258, 772]):
            device.wire.protocol.data_received(bytes([byte]))
        assert sink.values == {0: 258.0, 1: 772.0}

    play(story)


def test_ids_go_on_counting_over_connections(play):
    async def story(loop, device, driver, sink):
        driver.start_scan(0)
        old = device.wire.sent[0]
        await driver.connect()
        driver.start_scan(0)
        device.wire.protocol.data_received(reply_to(old, [111, 111]))
        assert 0 not in sink.values or sink.quality[0] is Quality.NO_COMMUNICATION

    play(story)
