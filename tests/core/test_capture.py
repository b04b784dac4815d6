"""Captures: the raw readings around an anomaly, whole, in order, in records of a bounded size."""

import numpy as np

from edgetwin.core import payload, received
from edgetwin.core.capture import MOST_VALUES, PART_BYTES, Capturer
from edgetwin.core.event import Event, EventKind
from edgetwin.core.frame import Frame, Reflect
from edgetwin.core.plan import CapturePlan, DetectorPlan
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.tags import Tag, TagTable

SECOND = 1_000_000_000
WALL = 1_732_278_000 * SECOND
ANOMALY = Event(EventKind.ANOMALY, "pump", "pump: not normal")


class Feed:
    """Scans of ``n`` tags of a device, each value its time in tenths of a second."""

    def __init__(self, n=4, watched=(0, 1), capture=None):
        self.tags = TagTable(tuple(Tag(i, f"skid/t{i}", device=0) for i in range(n + 2)))
        self.birth = payload.birth("g", 1, self.tags)
        plan = DetectorPlan("pump", watched, n, n + 1, capture=capture or CapturePlan())
        self.capturer = Capturer((plan,), self.tags)
        self.n, self.at, self.number, self.messages = n, 0, 0, []

    def turn(self, cause, *events):
        self.number += 1
        now = Instant(self.at * SECOND // 10, WALL + self.at * SECOND // 10)
        self.keep(self.capturer.take(Frame(self.number, now, cause, events=events)))

    def keep(self, parts):
        for part in parts:
            raw = payload.envelope(payload.capture(part, self.birth.id), "capture@1", 1, 1)
            assert len(raw) <= PART_BYTES
            self.messages.append(received.read(raw))

    def run(self, scans, quality=0):
        for _ in range(scans):
            self.at += 1
            row = np.full(self.n, float(self.at))
            self.turn(ReadingBatch(slice(0, self.n), row, quality))

    def values(self):
        found = {}
        for message in self.messages:
            for name, own in received.raw(message, received.read(self.birth.payload)).items():
                found.setdefault(name, []).extend(own)
        return found


def test_capture_holds_every_reading_before_and_after_and_no_other_tag():
    feed = Feed()
    feed.run(500)
    feed.turn(Reflect(), ANOMALY)
    feed.run(200)
    values = feed.values()
    assert set(values) == {"skid/t0", "skid/t1"}
    assert [value for _, value in values["skid/t0"]] == list(range(200, 601))
    start = WALL // 1_000_000
    assert all(at == start + 100 * value for at, value in values["skid/t1"])
    assert [m["part"] for m in feed.messages] == list(range(1, len(feed.messages) + 1))
    assert [m["final"] for m in feed.messages] == [False] * (len(feed.messages) - 1) + [True]
    assert {m["cut"] for m in feed.messages} == {False}
    assert {m["at"] for m in feed.messages} == {start + 50_000}


def test_a_large_asset_is_cut_into_parts_of_bounded_size():
    feed = Feed(3000, range(3000), CapturePlan(2 * SECOND, SECOND, 100_000_000))
    feed.run(40)
    feed.turn(Reflect(), ANOMALY)
    feed.run(40)
    values = feed.values()
    assert len(values) == 3000
    assert all(len(own) == 31 for own in values.values())
    assert len(feed.messages) > 10


def test_capture_ends_at_its_size_and_says_so():
    feed = Feed(100, range(100), CapturePlan(10 * SECOND, SECOND, 20_000))
    feed.run(200)
    feed.turn(Reflect(), ANOMALY)
    feed.run(50)
    assert feed.messages[-1]["cut"]
    assert feed.messages[-1]["final"]
    assert sum(len(str(m["rows"])) for m in feed.messages) < 25_000


def test_an_anomaly_meanwhile_makes_it_longer_and_not_two():
    feed = Feed()
    feed.run(100)
    feed.turn(Reflect(), ANOMALY)
    feed.run(50)
    feed.turn(Reflect(), ANOMALY)
    feed.run(300)
    assert [value for _, value in feed.values()["skid/t0"]] == list(range(1, 251))
    assert sum(m["final"] for m in feed.messages) == 1
    feed.turn(Reflect(), ANOMALY)
    feed.run(300)
    assert sum(m["final"] for m in feed.messages) == 2


def test_bad_readings_are_null_and_the_end_of_the_daemon_ends_it():
    feed = Feed()
    feed.run(3)
    feed.turn(Reflect(), ANOMALY)
    feed.run(2, quality=np.array([0, Quality.DEVICE_FAULT, 0, 0], np.uint8))
    feed.keep(feed.capturer.close())
    values = feed.values()
    assert [value for _, value in values["skid/t1"]] == [1, 2, 3, None, None]
    assert feed.messages[-1]["final"]


def test_nothing_is_kept_that_nobody_may_ask_for():
    feed = Feed(capture=CapturePlan(0, 0))
    feed.run(10)
    feed.turn(Reflect(), ANOMALY)
    feed.run(10)
    assert feed.messages == []


def test_the_ring_is_bounded_by_values_too():
    feed = Feed(10_000, range(10_000), CapturePlan(600 * SECOND, 0, 10_000))
    feed.run(100)
    assert feed.capturer._held <= MOST_VALUES
