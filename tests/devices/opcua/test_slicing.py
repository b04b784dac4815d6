"""Long replies hold the loop for a slice at a time, in order, and give nothing when damaged."""

import asyncio
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.slices import finish
from edgetwin.devices.opcua import lane, replies, wire
from edgetwin.devices.opcua.columns import MOST_AT_ONCE, MOST_EXACT, Columns
from edgetwin.devices.opcua.skip import WireError
from edgetwin.devices.opcua.slicing import SLICE, Slicer

ITEMS = 10_000
HEADER = struct.pack("<BBHqIIB", 1, 0, replies.READ_REPLY, 0, 0, 0, 0) + b"\xff" * 4 + b"\x00" * 3
DOUBLE, TEXT = struct.pack("<BBd", 1, 11, 2.5), struct.pack("<BBi", 1, 12, 3) + b"run"
STATE = struct.pack("<BBi", 1, 6, 4)
KINDS = {
    "numbers": (DOUBLE,),
    "texts": (TEXT,),
    "numbers and texts in turn": (DOUBLE, TEXT),
    "numbers of two types in turn": (DOUBLE, STATE),
}


def reply_of(*values: bytes, n: int = ITEMS) -> bytes:
    return HEADER + struct.pack("<i", n) + b"".join(values[i % len(values)] for i in range(n))


def news_of(*values: bytes) -> bytes:
    """A publish response with one data change, as a server sends it."""
    head = HEADER[:2] + struct.pack("<H", replies.PUBLISH_REPLY) + HEADER[4:]
    items = b"".join(struct.pack("<I", i) + values[i % len(values)] for i in range(ITEMS))
    change = struct.pack("<i", ITEMS) + items + struct.pack("<i", -1)
    kind = struct.pack("<BBHBi", 1, 0, replies.DATA_CHANGE, 1, len(change))
    message = struct.pack("<IqI", 5, 0, 1)[:12] + struct.pack("<i", 1) + kind + change
    return head + struct.pack("<IiB", 9, 0, 0) + message + b"\xff" * 8


@pytest.mark.parametrize("values", KINDS.values(), ids=KINDS)
def test_no_slice_of_ten_thousand_values_is_longer_than_allowed(values, monkeypatch):
    walked = []
    one = wire._Decoder._take_one

    def take_one(decoder, place):
        walked[-1] += 1
        return one(decoder, place)

    monkeypatch.setattr(wire._Decoder, "_take_one", take_one)
    found = []

    def whole():
        found.append((yield from replies.read_reply(reply_of(*values), ITEMS)))

    walked.append(0)
    for _ in whole():
        walked.append(0)  # noqa: PERF401 (it is looked at meanwhile)
    assert max(walked) <= SLICE
    assert len(found[0].values) == ITEMS
    for _, part in found[0].parts():
        assert len(part.values) <= MOST_AT_ONCE
        assert len(part.objects) <= MOST_EXACT


def test_long_array_counts_for_what_it_makes_us_walk():
    long = struct.pack("<BBi", 1, 0x80 | 12, 150) + struct.pack("<i", -1) * 150
    steps = replies.read_reply(reply_of(long, n=20), 20)
    assert sum(1 for _ in steps) == 19


@given(st.integers(0, 7000), st.sets(st.integers(0, 6999), max_size=1500))
def test_parts_are_the_whole_in_order(n, places):
    whole = Columns.empty(n)
    whole.values[:] = np.arange(n)
    whole.objects = [(place, f"at {place}") for place in sorted(places) if place < n]
    expected = list(whole.objects)
    seen, exact = [], []
    for first, part in whole.parts():
        assert first == len(seen)
        assert len(part.values) <= MOST_AT_ONCE
        assert len(part.objects) <= MOST_EXACT
        seen += part.values.tolist()
        exact += [(first + place, value) for place, value in part.objects]
    assert seen == whole.values.tolist()
    assert exact == expected


class Hub:
    """What is handed on, in order, and the turns of the loop in between."""

    def __init__(self):
        self.seen, self.failed = [], []
        self.slicer = Slicer()
        self.turns = 0

    def tick(self):
        self.turns += 1
        self.ticking = asyncio.get_running_loop().call_soon(self.tick)

    def read(self, reply: bytes, n: int, name: str):
        def take(columns, first):
            self.seen.append((name, first, len(columns.values), self.turns))

        self.slicer.start(lane.hand_on(replies.read_reply(reply, n), take), self.failed.append)

    async def done(self):
        over = asyncio.Event()

        def end():
            over.set()
            yield from ()

        self.slicer.start(end(), self.failed.append)
        self.tick()
        async with asyncio.timeout(10):
            await over.wait()
        self.ticking.cancel()


async def test_others_have_their_turn_between_the_slices_and_replies_keep_their_order():
    hub = Hub()
    hub.read(reply_of(TEXT), ITEMS, "long")
    hub.read(reply_of(DOUBLE, n=1), 1, "short")
    assert not hub.seen
    await hub.done()
    assert [name for name, *_ in hub.seen] == ["long"] * (ITEMS // MOST_EXACT) + ["short"]
    assert [first for _, first, *_ in hub.seen[:-1]] == list(range(0, ITEMS, MOST_EXACT))
    turns = [turn for *_, turn in hub.seen]
    assert len(set(turns)) == len(turns)
    assert turns[0] >= ITEMS // SLICE - 1


async def test_short_reply_is_handed_on_at_once():
    hub = Hub()
    hub.read(reply_of(DOUBLE, n=2000), 2000, "short")
    assert hub.seen == [("short", 0, 2000, 0)]


async def test_nothing_is_taken_from_a_reply_that_is_damaged_at_its_end():
    hub = Hub()
    hub.read(reply_of(TEXT)[:-1], ITEMS, "damaged")
    await hub.done()
    assert not hub.seen
    assert [type(error) for error in hub.failed] == [WireError]


async def test_nothing_is_handed_on_after_the_end_of_the_connection():
    hub = Hub()
    hub.read(reply_of(TEXT), ITEMS, "long")
    hub.slicer.close()
    await hub.done()
    assert not hub.seen
    assert not hub.failed


def test_notification_of_ten_thousand_items_is_acknowledged_with_its_last_part():
    news = finish(replies.publish_reply(news_of(DOUBLE, TEXT)))
    parts = list(news.parts())
    assert [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert np.concatenate([part.handles for part in parts]).tolist() == list(range(ITEMS))
    assert len(parts) == ITEMS // 2 // MOST_EXACT
