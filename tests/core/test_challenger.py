"""The challenger counts beside the detector, and does nothing else."""

import numpy as np
import pytest

from edgetwin.core.challenger import Challenger
from edgetwin.core.event import EventKind
from edgetwin.core.plan import SECOND
from edgetwin.core.ranges import Edges, Ranges
from edgetwin.core.summary import Columns, Summary
from edgetwin.core.tags import Tag, TagTable, TypedAsset

TAGS = TagTable(
    (Tag(0, "s/slow", summary="slow"), Tag(1, "s/p"), Tag(2, "s/q"), Tag(3, "pump/verdict"))
)
PUMP = TypedAsset("pump", "pump-40", {"p": 1, "q": 2, "slow": 0}, verdict=3)
RANGES = Ranges("pump-40", 100, 1000, 40, {"p": Edges(0, 1, 3, 4), "slow": Edges(0, 1, 3, 4)})
NORMAL, ODD = 2.0, 9.0


def summary(p=NORMAL, verdict=0.0, *, number=0, length=SECOND, of="", q=ODD):
    values = np.array([p] if of else [p, q, verdict])
    n = len(values)
    counts = np.ones(n, np.int64)
    none = np.zeros(0)
    columns = Columns(counts, counts, *[values] * 6, none, none, none, np.zeros(n, np.uint8), ())
    begin = number * SECOND
    return Summary(of, begin, begin + length, 1, 2, 0, columns)


@pytest.fixture
def challenger():
    made = Challenger(PUMP, TAGS, 4 * SECOND)
    assert made.install(RANGES)
    return made


def counts(agreement):
    return agreement.both, agreement.neither, agreement.challenger, agreement.detector


def test_it_says_nothing_before_it_has_ranges():
    made = Challenger(PUMP, TAGS, SECOND)
    assert made.judge(summary(ODD)) is None
    assert made.total.windows == 0


@pytest.mark.parametrize(
    ("p", "verdict", "found"),
    [
        (ODD, 1.0, (1, 0, 0, 0)),
        (NORMAL, 0.0, (0, 1, 0, 0)),
        (ODD, 0.0, (0, 0, 1, 0)),
        (NORMAL, 1.0, (0, 0, 0, 1)),
        (float("nan"), float("nan"), (0, 1, 0, 0)),
    ],
)
def test_a_window_is_counted_by_who_found_it_not_normal(challenger, p, verdict, found):
    challenger.judge(summary(p, verdict))
    assert counts(challenger.total) == found


def test_tags_without_a_range_do_not_matter(challenger):
    challenger.judge(summary(q=1e9))
    assert challenger.total.neither == 1


def test_windows_of_another_length_are_not_judged(challenger):
    challenger.judge(summary(ODD, length=10 * SECOND))
    challenger.judge(summary(ODD, length=SECOND // 3))
    assert challenger.total.windows == 0


def test_a_class_of_tags_is_judged_by_its_own_summaries(challenger):
    challenger.judge(summary(ODD, of="slow"))
    assert counts(challenger.total) == (0, 0, 1, 0)


def test_now_and_then_it_tells_how_the_two_agreed_and_counts_anew(challenger):
    told = [challenger.judge(summary(ODD if n % 2 else NORMAL, number=n)) for n in range(8)]
    assert [bool(each) for each in told] == [False, False, False, True] * 2
    event = told[3]
    assert (event.kind, event.subject) == (EventKind.CHALLENGER, "pump")
    assert dict(event.facts) == {
        "windows": 4,
        "both": 0,
        "neither": 2,
        "challenger": 2,
        "detector": 0,
        "tag": "p",
        "assets": 40,
        "made": 100,
    }
    assert "only the fleet of pump-40 (40 machines) found 2 not normal" in event.text
    assert challenger.total.windows == 8


def test_only_newer_ranges_take_over(challenger):
    older = Ranges("pump-40", 99, 1000, 4, {})
    assert not challenger.install(RANGES)
    assert not challenger.install(older)
    assert challenger.ranges is RANGES
    assert challenger.install(Ranges("pump-40", 101, 1000, 41, {}))


def test_a_machine_that_nobody_watches_is_judged_all_the_same():
    made = Challenger(TypedAsset("pump", "pump-40", {"p": 1}), TAGS, SECOND)
    made.install(RANGES)
    made.judge(summary(ODD, 1.0))
    assert counts(made.total) == (0, 0, 1, 0)
