"""Scan classes that do not keep up: told once, counted, and told when it is over."""

import pytest

from edgetwin.core.event import EventKind
from edgetwin.core.frame import Overrun
from edgetwin.core.overrun import Punctuality, overrun_event
from edgetwin.core.plan import SECOND, DevicePlan, ScanGroup

MS = 1_000_000
PERIOD = 50 * MS
DEVICE = DevicePlan(0, "plc", "modbus", None, (ScanGroup(0, PERIOD, range(1000)),))


def run(punctuality, seconds, skipped_in, at=0):
    """So many seconds of a class at 50 ms in which of each second so many are skipped."""
    changes = []
    for second in range(seconds):
        for k in range(20):
            now = at + second * SECOND + (k + 1) * PERIOD
            skipped = int(k < skipped_in)
            if punctuality.note(1, skipped, now):
                changes.append((now, punctuality.over, punctuality.told.skipped))
    return changes


def test_a_scan_skipped_now_and_then_is_counted_and_not_told():
    punctuality = Punctuality()
    assert run(punctuality, 60, 3) == []
    assert (punctuality.all.due, punctuality.all.skipped) == (1200, 180)


def test_overrun_is_told_once_however_long_it_lasts():
    punctuality = Punctuality()
    assert len(run(punctuality, 600, 15)) == 1
    assert punctuality.over
    assert punctuality.all.skipped == 9000
    assert 8900 < punctuality.told.skipped <= 9000


def test_overrun_ends_after_ten_calm_seconds_and_tells_how_many_it_skipped():
    punctuality = Punctuality()
    run(punctuality, 5, 20)
    ((when, over, skipped),) = run(punctuality, 30, 0, at=5 * SECOND)
    assert not over
    assert 14 * SECOND < when <= 17 * SECOND
    assert 80 <= skipped <= 100


def test_a_bad_second_among_calm_ones_makes_the_ten_begin_anew():
    punctuality = Punctuality()
    run(punctuality, 3, 20)
    assert run(punctuality, 8, 0, at=3 * SECOND) == []
    assert run(punctuality, 1, 20, at=11 * SECOND) == []
    assert run(punctuality, 9, 0, at=12 * SECOND) == []
    assert len(run(punctuality, 4, 0, at=21 * SECOND)) == 1


def test_a_slow_class_is_judged_by_ten_scans():
    punctuality = Punctuality()
    changes = [punctuality.note(1, 1, n * 60 * SECOND) for n in range(30)]
    assert changes.index(True) == 9
    assert changes.count(True) == 1


def test_a_lost_device_ends_it_without_a_word():
    punctuality = Punctuality()
    run(punctuality, 3, 20)
    punctuality.forget()
    assert not punctuality.over
    assert run(punctuality, 30, 0, at=3 * SECOND) == []


@pytest.mark.parametrize(
    ("cause", "kind", "words"),
    [
        (Overrun(0, 0, True, 20, 12), EventKind.OVERRUN, "answers take longer"),
        (Overrun(0, 0, True, 20, 12, 4), EventKind.OVERRUN, "takes one in 4"),
        (Overrun(0, 0, False, 900, 70), EventKind.OVERRUN_OVER, "70 of 900 were skipped"),
    ],
)
def test_the_event_names_the_class_the_count_and_the_cause(cause, kind, words):
    event = overrun_event(cause, DEVICE)
    assert event.kind is kind
    assert event.subject == "plc"
    assert words in event.text
    assert "every 50 ms (1000 tags)" in event.text
    assert dict(event.facts)["skipped"] == cause.skipped
