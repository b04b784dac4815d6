"""Reports are views of frames: which readings make points, and what a subscriber then knows."""

import numpy as np
import pytest

from edgetwin.core import payload, received
from edgetwin.core.follow import Follower
from edgetwin.core.frame import Confirmed, Frame, Link, Tick
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.report import MOST, Reporter
from edgetwin.core.tags import Report, ReportBy, Tag, TagTable, ValueType

SECOND = 1_000_000_000
WALL = 1_732_278_000 * SECOND
STEP = Report(ReportBy.STEP, 0.5, 60 * SECOND)
LINE = Report(ReportBy.LINE, 0.5, 60 * SECOND)


class Feed:
    """Follows frames of tags: by step, by line, not at all, a text; all of one device."""

    def __init__(self, span=10 * SECOND):
        tags = (
            Tag(0, "skid/step", device=0, report=STEP, summary=None),
            Tag(1, "skid/line", device=0, report=LINE, summary=None),
            Tag(2, "skid/none", device=0),
            Tag(3, "skid/text", device=0, type=ValueType.TEXT, report=STEP, summary=None),
        )
        self.tags = TagTable(tags)
        self.birth = payload.birth("g", 1, self.tags)
        self.follower = Follower(self.tags)
        self.reporter = Reporter(self.tags, span, self.follower)
        self.number, self.told = 0, []

    def __call__(self, at_s, cause):
        self.number += 1
        now = Instant(int(at_s * SECOND), WALL + int(at_s * SECOND))
        measured = self.follower.take(Frame(self.number, now, cause))
        told = self.reporter.measure(measured, now)
        self.told += [told] if told else []

    def points(self):
        """Everything told so far and at the end, by name, seconds since the start and value."""
        last = self.reporter.close()
        found = {}
        for told in [*self.told, *([last] if last else [])]:
            message = received.read(
                payload.envelope(payload.report(told, self.birth.id), "r", 1, 1)
            )
            for name, own in received.points(message, received.read(self.birth.payload)).items():
                found.setdefault(name, []).extend(
                    ((at - WALL // 1_000_000) / 1000, value) for at, value in own
                )
        return found


def values(*row, start=0, quality=0, text=None):
    objects = ((3, text),) if text else ()
    return ReadingBatch(slice(start, start + len(row)), np.array(row, float), quality, 0, objects)


def test_only_what_differs_by_more_than_the_bound_makes_points():
    feed = Feed()
    for at, value in enumerate((1.0, 1.2, 1.4, 1.6, 1.5, 3.0)):
        feed(at, values(value, 1.0, value))
    points = feed.points()
    assert points["skid/step"] == [(0, 1.0), (3, 1.6), (5, 3.0)]
    assert points["skid/line"] == [(0, 1.0), (5, 1.0)]
    assert set(points) == {"skid/step", "skid/line"}


def test_points_are_gathered_to_one_record_per_span():
    feed = Feed()
    for at in range(25):
        feed(at, values(float(at), 0.0))
    assert [len(told.points) for told in feed.told] == [11, 10]
    assert [(t.begin - WALL) // SECOND for t in feed.told] == [0, 10]


def test_too_many_points_go_out_at_once():
    feed = Feed(span=3600 * SECOND)
    for at in range(MOST + 2):
        feed(at / 10, values(float(at), 0.0))
    assert len(feed.told) == 1


def test_lost_device_ends_lines_with_a_point_without_a_value_and_they_begin_anew():
    feed = Feed()
    for at in range(4):
        feed(at, values(1.0, float(at)))
    feed(4, Link(0, up=False, reason="gone"))
    feed(5, Tick())
    feed(8, values(2.0, 7.0))
    points = feed.points()
    assert points["skid/step"] == [(0, 1.0), (4, None), (8, 2.0)]
    assert points["skid/line"] == [(0, 0.0), (3, 3.0), (4, None), (8, 7.0)]


def test_stale_and_bad_readings_end_lines_too():
    feed = Feed()
    feed(0, values(1.0, 1.0))
    feed(3, Tick())
    feed(4, values(1.0, 1.0))
    feed(5, values(np.nan, 1.0, quality=np.array([Quality.DEVICE_FAULT, 0], np.uint8)))
    points = feed.points()
    assert points["skid/step"] == [(0, 1.0), (3, None), (4, 1.0), (5, None)]
    assert points["skid/line"][:3] == [(0, 1.0), (3, None), (4, 1.0)]


def test_word_of_a_subscription_that_nothing_changed_is_the_value_measured_again():
    feed = Feed()
    for at in range(130):
        feed(at, values(1.0, 1.0) if at == 0 else Confirmed(range(2)))
    assert [value for _, value in feed.points()["skid/step"]] == [1.0, 1.0, 1.0]


def test_texts_are_told_when_they_change_or_the_heartbeat_is_due():
    feed = Feed()
    for at in range(70):
        feed(at, values(np.nan, start=3, text="open" if at < 5 else "shut"))
    assert feed.points()["skid/text"] == [(0, "open"), (5, "shut"), (65, "shut")]


def test_birth_says_how_to_read_the_points():
    told = received.read(Feed().birth.payload)
    assert told["tags"][1]["report"] == {"by": "line", "within": 0.5, "every": 60_000}
    assert told["tags"][1]["set"] is None
    assert "report" not in told["tags"][2]


def test_report_under_another_birth_is_refused():
    feed = Feed()
    with pytest.raises(ValueError, match="does not explain"):
        received.points({"birth": "other"}, received.read(feed.birth.payload))
