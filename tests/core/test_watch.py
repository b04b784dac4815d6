"""Told once: devices lost and found, tags gone bad and good again."""

import pytest

from edgetwin.core.frame import Link
from edgetwin.core.plan import SECOND, DevicePlan, GatewayPlan, ScanGroup
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.tags import Tag, TagTable
from edgetwin.core.twin import Twin
from edgetwin.core.watch import QualityWatch

TAGS = TagTable(tuple(Tag(i, f"plc/t{i}", device=0, period=SECOND) for i in range(7)))
PLAN = GatewayPlan(
    "g", None, TAGS, (DevicePlan(0, "plc", "modbus", None, (ScanGroup(0, SECOND, range(7)),)),)
)


@pytest.fixture
def watch():
    return QualityWatch(PLAN)


def test_a_device_never_reached_is_told_once_for_each_reason(watch):
    told = [watch.link(Link(0, up=False, reason=why)) for why in ("refused", "refused", "silent")]
    assert told == [True, False, True]


def test_alternating_reasons_are_told_once_each_until_the_device_is_back(watch):
    reasons = ["silent", "refused"] * 3
    assert sum(watch.link(Link(0, up=False, reason=why)) for why in reasons) == 2
    assert watch.link(Link(0, up=True))
    assert not watch.link(Link(0, up=True))
    assert watch.link(Link(0, up=False, reason="silent"))


def test_a_reason_that_never_reads_the_same_is_not_told_for_ever(watch):
    told = sum(watch.link(Link(0, up=False, reason=f"error {n}")) for n in range(100))
    assert told == 5


def test_tags_of_one_device_that_go_bad_together_are_one_event_with_five_names(watch):
    twin = Twin(TAGS)
    now = Instant(SECOND, SECOND)
    watch.link(Link(0, up=True))
    twin.apply(ReadingBatch(slice(0, 7), [1.0] * 7), now)
    assert watch.compare(twin, now) == []
    twin.spoil(range(7), Quality.DEVICE_FAULT)
    (event,) = watch.compare(twin, Instant(3 * SECOND, 0))
    assert event.text == "plc/t0, plc/t1, plc/t2, plc/t3, plc/t4 and 2 more are bad: device fault"
