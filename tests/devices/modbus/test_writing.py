"""Writes on a virtual clock: the bytes of each function, and a refusal that names the cure."""

from dataclasses import replace

import numpy as np
import pytest

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.plan import WriteBy
from edgetwin.core.quality import Quality
from edgetwin.core.reading import WriteOutcome
from edgetwin.core.tags import TagTable, ValueType, WriteLimits

MS = 0.001
LIMITS = WriteLimits(-1e9, 1e9)
COIL = {"address": ModbusAddress(Table.COIL, 3), "type": ValueType.BIT}
TEXT = {
    "address": ModbusAddress(Table.HOLDING, 3),
    "type": ValueType.TEXT,
    "length": 3,
    "write": WriteLimits(0, 1, texts=("AUTO", "Öl")),
}
BIT = {"address": ModbusAddress(Table.HOLDING, 3, 9), "type": ValueType.BIT}
WORD = {"address": ModbusAddress(Table.HOLDING, 3), "type": ValueType.INT16}
PAIR = {"address": ModbusAddress(Table.HOLDING, 3), "type": ValueType.INT32}


@pytest.fixture
def play(virtual, conformance):
    """Run a story with a driver of one tag: ``await story(device, driver, sink, tag)``."""

    def run(story, form, **settings):
        device = virtual.Device(answer=lambda wire, reply: None)
        loop = virtual.VirtualLoop(device)
        sink = conformance.Recorder()
        (tag,) = virtual.holding_tags([1]).tags
        tags = TagTable((replace(tag, **{"write": LIMITS, **form}),))
        driver = virtual.make_driver(loop, sink, tags, timeout=100_000_000, **settings)

        async def whole():
            await driver.connect()
            await story(device, driver, sink)
            await driver.close()

        try:
            loop.run_until_complete(whole())
        finally:
            loop.close()

    return run


@pytest.mark.parametrize(
    ("form", "by", "value", "request_bytes"),
    [
        (COIL, WriteBy.SINGLE, 1, "01 05 0003 ff00"),
        (COIL, WriteBy.COMBINED, 0, "01 05 0003 0000"),
        (COIL, WriteBy.MULTIPLE, 1, "01 0f 0003 0001 01 01"),
        (COIL, WriteBy.MULTIPLE, 0, "01 0f 0003 0001 01 00"),
        (WORD, WriteBy.SINGLE, -2, "01 06 0003 fffe"),
        (WORD, WriteBy.MULTIPLE, -2, "01 10 0003 0001 02 fffe"),
        (WORD, WriteBy.COMBINED, -2, "01 17 0003 0001 0003 0001 02 fffe"),
        (PAIR, WriteBy.SINGLE, 65537, "01 10 0003 0002 04 0001 0001"),
        (PAIR, WriteBy.COMBINED, 65537, "01 17 0003 0002 0003 0002 04 0001 0001"),
        (TEXT, WriteBy.SINGLE, 0, "01 10 0003 0003 06 4155 544f 0000"),
        (TEXT, WriteBy.COMBINED, 1, "01 17 0003 0003 0003 0003 06 c396 6c00 0000"),
        ({**TEXT, "order": "BA"}, WriteBy.MULTIPLE, 0, "01 10 0003 0003 06 5541 4f54 0000"),
        (BIT, WriteBy.SINGLE, 1, "01 16 0003 fdff 0200"),
        (BIT, WriteBy.MULTIPLE, 0, "01 16 0003 fdff 0000"),
    ],
)
def test_the_bytes_are_those_of_the_standard(play, conformance, form, by, value, request_bytes):
    wanted = bytes.fromhex(request_bytes)

    async def story(device, driver, sink):
        driver.start_write(conformance.request_for(0, float(value)))
        (frame,) = device.wire.sent
        assert frame[2:6] == len(wanted).to_bytes(4, "big")
        assert frame[6:] == wanted

    play(story, form, write_by=by)


@pytest.mark.parametrize(
    ("form", "by", "cure"),
    [
        (COIL, WriteBy.SINGLE, "Try `write_by: multiple`, which uses function 15"),
        (WORD, WriteBy.SINGLE, "Try `write_by: multiple`, which uses function 16"),
        (WORD, WriteBy.COMBINED, "Try `write_by: single`"),
        (BIT, WriteBy.SINGLE, "One bit of a register takes function 22"),
    ],
)
def test_a_device_that_does_not_know_the_function_is_told_with_another_way(
    play, conformance, form, by, cure
):
    async def story(device, driver, sink):
        device.answer = lambda wire, reply: wire.deliver(
            reply[:4] + bytes([0, 3, 1, wire.sent[-1][7] | 0x80, 1]), MS
        )
        driver.start_write(conformance.request_for(0, 1.0))
        await sink.until(lambda: bool(sink.results), "the result")
        (result,) = sink.results
        assert result.outcome is WriteOutcome.REFUSED
        assert "illegal function" in result.detail
        assert cure in result.detail

    play(story, form, write_by=by)


def test_a_device_that_shows_no_value_after_a_write_is_not_verified(play, conformance):
    async def story(device, driver, sink):
        device.fresh = lambda count: [0x8000]
        device.answer = lambda wire, reply: wire.deliver(reply, MS)
        driver.start_write(conformance.request_for(0, 5.0))
        await sink.until(lambda: bool(sink.results), "the result")
        (result,) = sink.results
        assert result.outcome is WriteOutcome.NOT_VERIFIED
        assert result.detail == "5 was written, no value is read back"

    play(story, {**WORD, "no_value": (0x8000,)})


@pytest.mark.parametrize(
    ("words", "outcome", "read_back", "detail"),
    [
        ([0x4155, 0x544F, 0], WriteOutcome.WRITTEN, 0.0, ""),
        ([0xC396, 0x6C00, 0], WriteOutcome.NOT_VERIFIED, 1.0, "'AUTO' was written, 'Öl' is read"),
        ([0x4155, 0, 0], WriteOutcome.NOT_VERIFIED, -1.0, "'AUTO' was written, 'AU' is read back"),
    ],
)
def test_a_text_is_compared_as_text(play, conformance, words, outcome, read_back, detail):
    async def story(device, driver, sink):
        device.fresh = lambda count: words
        device.answer = lambda wire, reply: wire.deliver(reply, MS)
        driver.start_write(conformance.request_for(0, 0.0))
        await sink.until(lambda: bool(sink.results), "the result")
        (result,) = sink.results
        assert (result.outcome, result.read_back) == (outcome, read_back)
        assert detail in result.detail

    play(story, TEXT)


def test_a_scan_says_that_the_device_has_no_value(play):
    async def story(device, driver, sink):
        device.answer = lambda wire, reply: wire.deliver(reply, MS)
        for word, quality in ((0x8000, Quality.NO_VALUE), (7, Quality.GOOD)):
            device.fresh = lambda count, word=word: [word]
            sink.heard.clear()
            driver.start_scan(0)
            await sink.until(lambda: bool(sink.heard), "the scan")
            assert sink.quality[0] is quality
            assert np.isnan(sink.values[0]) == (quality is Quality.NO_VALUE)

    play(story, {**WORD, "no_value": (0x8000,)})
