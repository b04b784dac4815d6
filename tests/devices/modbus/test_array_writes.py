"""Arrays written as one, on a virtual clock: one request, each element answered for itself.

That what is written is held and read, for every type and order: see test_identity.
"""

from dataclasses import replace

import pytest

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.plan import WriteBy
from edgetwin.core.reading import WriteOutcome
from edgetwin.core.tags import Tag, TagTable, ValueType, WriteLimits

LIMITS = WriteLimits(-1e300, 1e300)
MS = 0.001


def array(name, first, size, kind, start, table=Table.HOLDING, **more):
    width = kind.registers
    return [
        Tag(
            start + n,
            f"plc/{name}_{n}",
            type=kind,
            address=ModbusAddress(table, first + n * width),
            device=0,
            write=LIMITS,
            array=f"plc/{name}",
            **more,
        )
        for n in range(size)
    ]


def requests_for(conformance, tags, values):
    pairs = zip(tags, values, strict=True)
    return [conformance.request_for(t, float(v), number=t + 1) for t, v in pairs]


@pytest.fixture
def play(virtual, conformance):
    """Run a story with a driver of these tags: ``await story(device, driver, sink, ask)``."""

    def run(story, tags, **settings):
        device = virtual.Device(answer=lambda wire, reply: None)
        loop = virtual.VirtualLoop(device)
        sink = conformance.Recorder()
        table = TagTable(tuple(tags))
        driver = virtual.make_driver(loop, sink, table, timeout=100_000_000, **settings)

        def ask(*values):
            driver.start_array(requests_for(conformance, range(len(values)), values))

        async def whole():
            await driver.connect()
            await story(device, driver, sink, ask)
            await driver.close()

        try:
            loop.run_until_complete(whole())
        finally:
            loop.close()

    return run


WORDS = array("w", 3, 3, ValueType.INT16, 0)
COILS = array("c", 3, 10, ValueType.BIT, 0, Table.COIL)


@pytest.mark.parametrize(
    ("tags", "by", "values", "request_bytes"),
    [
        (WORDS, WriteBy.SINGLE, (0, -2, 7), "01 10 0003 0003 06 0000 fffe 0007"),
        (WORDS, WriteBy.COMBINED, (0, -2, 7), "01 17 0003 0003 0003 0003 06 0000 fffe 0007"),
        (COILS, WriteBy.SINGLE, (1, 0, 1, 0, 0, 0, 0, 0, 0, 1), "01 0f 0003 000a 02 05 02"),
    ],
)
def test_neighbours_go_in_one_request(play, tags, by, values, request_bytes):
    async def story(device, driver, sink, ask):
        ask(*values)
        (frame,) = device.wire.sent
        assert frame[6:] == bytes.fromhex(request_bytes)

    play(story, tags, write_by=by)


@pytest.mark.parametrize(
    ("kind", "size", "settings", "counts"),
    [
        (ValueType.FLOAT64, 40, {}, [120, 40]),
        (ValueType.FLOAT64, 40, {"write_by": WriteBy.COMBINED}, [120, 40]),
        (ValueType.INT16, 100, {"max_registers": 64}, [64, 36]),
        (ValueType.INT32, 3, {"max_registers": 2}, [2, 2, 2]),
    ],
)
def test_what_is_longer_than_a_request_goes_in_as_few_as_possible(
    play, kind, size, settings, counts
):
    async def story(device, driver, sink, ask):
        device.answer = lambda wire, reply: wire.deliver(reply[:12], MS)
        ask(*range(size))
        await sink.until(lambda: len(sink.results) == size, "all results")
        combined = settings.get("write_by") is WriteBy.COMBINED
        place = slice(14, 16) if combined else slice(10, 12)
        frames = [f for f in device.wire.sent if f[7] in (16, 23)]
        assert [int.from_bytes(f[place], "big") for f in frames] == counts

    play(story, array("x", 0, size, kind, 0), **settings)


def test_a_device_that_changes_one_element_is_told_for_that_one(play):
    async def story(device, driver, sink, ask):
        device.fresh = lambda count: [1, 9, 3]
        device.answer = lambda wire, reply: wire.deliver(reply, MS)
        ask(1, 2, 3)
        await sink.until(lambda: len(sink.results) == 3, "all results")
        assert [r.outcome for r in sink.results] == [
            WriteOutcome.WRITTEN,
            WriteOutcome.NOT_VERIFIED,
            WriteOutcome.WRITTEN,
        ]
        assert sink.results[1].detail == "2 was written, 9 is read back"

    play(story, WORDS)


def test_a_refused_array_is_refused_in_the_devices_words_and_with_a_cure(play):
    async def story(device, driver, sink, ask):
        device.answer = lambda wire, reply: wire.deliver(
            reply[:4] + bytes([0, 3, 1, wire.sent[-1][7] | 0x80, 1]), MS
        )
        ask(1, 2, 3)
        await sink.until(lambda: len(sink.results) == 3, "all results")
        assert {r.outcome for r in sink.results} == {WriteOutcome.REFUSED}
        assert "illegal function" in sink.results[2].detail

    play(story, WORDS)


def test_an_array_of_which_one_element_does_not_fit_is_not_sent(play):
    async def story(device, driver, sink, ask):
        ask(1, 40_000, 3)
        assert device.wire.sent == []
        assert [r.outcome for r in sink.results] == [WriteOutcome.REFUSED] * 3
        assert "plc/w_1: 40000 lies outside" in sink.results[0].detail
        assert "No element was written" in sink.results[0].detail

    play(story, WORDS)


def test_a_part_of_an_array_is_written_element_by_element(play):
    async def story(device, driver, sink, ask):
        ask(1, 2)
        assert [f[7] for f in device.wire.sent] == [6]
        device.answer = lambda wire, reply: wire.deliver(reply, MS)

    play(story, WORDS)


def test_without_read_back_the_devices_word_counts(play):
    blind = [replace(tag, write=replace(LIMITS, read_back=False)) for tag in WORDS]

    async def story(device, driver, sink, ask):
        device.answer = lambda wire, reply: wire.deliver(reply, MS)
        ask(1, 2, 3)
        await sink.until(lambda: len(sink.results) == 3, "all results")
        assert {r.outcome for r in sink.results} == {WriteOutcome.WRITTEN}
        assert [f[7] for f in device.wire.sent] == [16]

    play(story, blind)


def test_a_silent_device_and_too_many_writes_are_no_communication(play):
    async def story(device, driver, sink, ask):
        ask(1, 2, 3)
        await sink.until(lambda: len(sink.results) == 3, "all results")
        assert {r.outcome for r in sink.results} == {WriteOutcome.NO_COMMUNICATION}
        await driver.close()
        ask(1, 2, 3)
        assert len(sink.results) == 6
        assert "not connected" in sink.results[-1].detail

    play(story, WORDS)


def test_more_writes_than_may_wait_are_answered_at_once(play):
    async def story(device, driver, sink, ask):
        ask(*range(60))
        assert len(sink.results) == 0
        ask(*range(60))
        assert len(sink.results) == 60
        assert "more than 100 writes" in sink.results[0].detail

    play(story, array("x", 0, 60, ValueType.INT16, 0))
