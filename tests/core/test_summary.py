"""Summaries are views of frames: every case here is a list of frames and what it must amount to."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.frame import Confirmed, Frame, Link, Tick
from edgetwin.core.plan import ClassPlan
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.summary import Summariser
from edgetwin.core.tags import Counter, Tag, TagTable, ValueType

SECOND = 1_000_000_000
WALL = 1_732_278_000 * SECOND  # a multiple of 10 s


def table(n=3, **settings):
    return TagTable(tuple(Tag(i, f"skid/t{i}", device=0, **settings) for i in range(n)))


class Feed:
    """Numbers frames and stamps them, both clocks running together."""

    def __init__(self, summariser, wall=WALL, mono=77 * SECOND):
        self.summariser, self.wall, self.mono, self.number = summariser, wall, mono, 0
        self.done = []

    def __call__(self, at_s, cause, *inner):
        self.number += 1
        at = int(at_s * SECOND)
        frame = Frame(self.number, Instant(self.mono + at, self.wall + at), cause, inner)
        done = self.summariser.take(frame)
        self.done += done
        return done


def reading(*values, start=0, quality=0, objects=()):
    return ReadingBatch(
        slice(start, start + len(values)), np.array(values, float), quality, 0, objects
    )


def test_window_gives_count_min_max_mean_last_of_each_tag():
    feed = Feed(Summariser(table(2), 10 * SECOND))
    for at, a in ((1, 5.0), (2, 1.0), (3, 3.0)):
        feed(at, reading(a, -a))
    (window,) = feed(10, Tick())
    assert window.begin == WALL + SECOND
    assert window.end == WALL + 10 * SECOND
    assert window.tags.count.tolist() == [3, 3]
    assert window.tags.good.tolist() == [3, 3]
    assert window.tags.minimum.tolist() == [1.0, -5.0]
    assert window.tags.maximum.tolist() == [5.0, -1.0]
    assert window.tags.mean.tolist() == [3.0, -3.0]
    assert window.tags.last.tolist() == [3.0, -3.0]
    assert (window.first, window.final, window.lost) == (1, 3, 0)


def test_windows_end_on_the_wall_grid_and_follow_each_other_without_a_hole():
    feed = Feed(Summariser(table(1), 10 * SECOND), wall=WALL + 3 * SECOND)
    for at in range(40):
        feed(at, reading(at))
    assert [w.end - WALL for w in feed.done] == [10 * SECOND, 20 * SECOND, 30 * SECOND, 40 * SECOND]
    assert [w.begin for w in feed.done[1:]] == [w.end for w in feed.done[:-1]]
    assert sum(w.tags.count[0] for w in feed.done) == 37


def test_nothing_measured_differs_from_the_same_value_measured_again():
    feed = Feed(Summariser(table(2, period=60 * SECOND), 10 * SECOND))
    feed(0, reading(4.0, 4.0))
    feed(10, reading(4.0))
    (window,) = feed(20, Tick())
    assert window.tags.count.tolist() == [1, 0]
    assert window.tags.last[0] == 4.0
    empty = (window.tags.minimum, window.tags.maximum, window.tags.mean, window.tags.last)
    assert np.isnan([column[1] for column in empty]).all()
    assert window.tags.quality.tolist() == [Quality.GOOD, Quality.GOOD]


def test_confirmation_counts_as_the_same_value_measured_again():
    feed = Feed(Summariser(table(2), 10 * SECOND))
    feed(0, reading(4.0, 5.0))
    feed(10, Confirmed(range(1)))
    feed(19, Confirmed(range(1)))
    (window,) = feed(20, Tick())
    assert window.tags.count.tolist() == [2, 0]
    assert window.tags.mean[0] == 4.0
    assert window.tags.quality.tolist() == [Quality.GOOD, Quality.STALE]


def test_tag_that_stopped_coming_is_stale_at_the_end_of_the_window():
    feed = Feed(Summariser(table(1), 10 * SECOND))
    feed(0, reading(1.0))
    feed(7, reading(2.0))
    (window,) = feed(10.5, Tick())
    assert window.tags.quality[0] == Quality.STALE
    assert (window.tags.count[0], window.tags.last[0]) == (2, 2.0)


def test_bad_and_out_of_range_readings_count_but_are_in_no_statistic():
    feed = Feed(Summariser(table(3, low=0.0, high=10.0), 10 * SECOND))
    feed(1, reading(5.0, 5.0, 5.0))
    bad = np.array([Quality.DEVICE_FAULT, 0, 0], np.uint8)
    feed(2, reading(np.nan, 99.0, 6.0, quality=bad))
    (window,) = feed(10, Tick())
    assert window.tags.count.tolist() == [2, 2, 2]
    assert window.tags.good.tolist() == [1, 1, 2]
    assert window.tags.maximum.tolist() == [5.0, 5.0, 6.0]
    assert window.tags.mean.tolist() == [5.0, 5.0, 5.5]


def test_lost_device_spoils_its_tags():
    feed = Feed(Summariser(table(2, period=60 * SECOND), 10 * SECOND))
    feed(1, reading(5.0, 6.0))
    feed(2, Link(0, up=False, reason="gone"))
    (window,) = feed(10, Tick())
    assert window.tags.quality.tolist() == [Quality.NO_COMMUNICATION] * 2


def test_readings_made_inside_are_summarised_too():
    feed = Feed(Summariser(table(2), 10 * SECOND))
    feed(1, reading(5.0), reading(50.0, start=1))
    (window,) = feed(10, Tick())
    assert window.tags.last.tolist() == [5.0, 50.0]


def test_exact_last_value_of_a_large_integer_or_a_text_is_kept():
    feed = Feed(Summariser(table(2), 10 * SECOND))
    big = (1 << 63) + 1
    feed(1, reading(float(big), np.nan, objects=((0, big), (1, "open"))))
    (window,) = feed(10, Tick())
    assert window.tags.objects == ((0, big), (1, "open"))
    assert window.tags.good.tolist() == [1, 1]


def test_frames_dropped_on_the_way_are_counted_in_their_window():
    feed = Feed(Summariser(table(1), 10 * SECOND))
    feed(1, reading(1.0))
    feed.number += 7
    feed(2, reading(1.0))
    (window,) = feed(10, Tick())
    assert (window.first, window.final, window.lost) == (1, 9, 7)


def test_long_silence_gives_the_ended_window_and_one_empty_one():
    feed = Feed(Summariser(table(1), 10 * SECOND))
    feed(1, reading(1.0))
    done = feed(58, reading(2.0))
    assert [(w.begin - WALL, w.end - WALL) for w in done] == [
        (SECOND, 10 * SECOND),
        (10 * SECOND, 50 * SECOND),
    ]
    assert [w.tags.count[0] for w in done] == [1, 0]
    (after,) = feed(60, Tick())
    assert (after.begin - WALL, after.tags.count[0]) == (50 * SECOND, 1)


def test_clock_step_of_an_hour_makes_no_window_shorter_or_longer_than_half():
    feed = Feed(Summariser(table(1), 10 * SECOND))
    for at in range(15):
        feed(at, reading(1.0))
    feed.wall -= 3_604 * SECOND
    for at in range(15, 60):
        feed(at, reading(1.0))
    counts = [int(w.tags.count[0]) for w in feed.done]
    assert counts[0] == 10
    assert all(5 <= count <= 15 for count in counts)
    assert feed.done[-1].end % (10 * SECOND) == 0


def test_close_ends_the_window_early_and_only_once():
    feed = Feed(Summariser(table(1), 10 * SECOND))
    assert feed.summariser.close() == ()
    feed(1, reading(1.0))
    feed(4, Tick())
    (window,) = feed.summariser.close()
    assert window.end == WALL + 4 * SECOND
    assert window.tags.count[0] == 1
    assert feed.summariser.close() == ()


@given(
    st.lists(st.tuples(st.floats(0.01, 4.0), st.floats(-1e9, 1e9)), min_size=1, max_size=60),
    st.integers(1, 20),
)
def test_every_reading_is_in_exactly_one_window(steps, window_s):
    feed = Feed(Summariser(table(1), window_s * SECOND))
    at = 0.0
    for step, value in steps:
        at += step
        feed(at, reading(value))
    done = [*feed.done, *feed.summariser.close()]
    assert sum(int(w.tags.count[0]) for w in done) == len(steps)
    values = [v for _, v in steps]
    assert np.nanmin([w.tags.minimum[0] for w in done]) == min(values)
    assert np.nanmax([w.tags.maximum[0] for w in done]) == max(values)
    total = sum(w.tags.mean[0] * w.tags.good[0] for w in done if w.tags.good[0])
    assert total == pytest.approx(sum(values), rel=1e-9, abs=1e-3)
    assert all(a.end == b.begin for a, b in pairwise(done))


# ---------------------------------------------------------------- first and spread


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50),
    st.sampled_from([0.0, 1e9]),
    st.booleans(),
)
def test_deviation_and_first_are_those_of_numpy_also_on_a_large_level(values, level, by_index):
    feed = Feed(Summariser(table(2), 1000 * SECOND))
    for at, value in enumerate(values, 1):
        batch = reading(value + level, 0.0)
        if by_index:
            batch = ReadingBatch(np.array([0, 1]), batch.values)
        feed(at / 10, batch)
    (window,) = feed.summariser.close()
    held = np.array(values) + level
    assert window.tags.earliest[0] == held[0]
    assert window.tags.deviation[0] == pytest.approx(held.std(), rel=1e-6, abs=1e-3)
    assert window.tags.mean[0] == pytest.approx(held.mean(), rel=1e-12, abs=1e-6)


def test_the_first_of_each_window_is_its_own():
    feed = Feed(Summariser(table(1), 10 * SECOND))
    for at in range(30):
        feed(at, reading(float(at)))
    assert [w.tags.earliest[0] for w in feed.done] == [0.0, 10.0]
    assert feed.summariser.close()[0].tags.earliest[0] == 20.0


# ---------------------------------------------------------------- classes


def mixed():
    tags = [Tag(i, f"skid/t{i}", device=0, summary=s) for i, s in enumerate(("", "slow", None))]
    return Summariser(TagTable(tuple(tags)), 10 * SECOND, (ClassPlan("slow", 60 * SECOND),))


def test_a_class_has_its_own_windows_and_no_tag_is_in_two():
    feed = Feed(mixed())
    for at in range(60):
        feed(at, reading(float(at), float(at), float(at)))
    done = feed(60, Tick())
    assert [(w.set, len(w.tags.count)) for w in done] == [("", 1), ("slow", 1)]
    assert done[1].tags.count.tolist() == [60]
    assert done[1].tags.mean[0] == 29.5
    assert sum(int(w.tags.count[0]) for w in feed.done if not w.set) == 60
    assert (done[1].begin, done[1].end) == (WALL, WALL + 60 * SECOND)


# ---------------------------------------------------------------- bits


def bit():
    return TagTable((Tag(0, "skid/b", device=0, type=ValueType.BIT),))


def test_time_in_state_counts_for_the_earlier_of_two_readings_and_up_to_the_end():
    feed = Feed(Summariser(bit(), 10 * SECOND))
    for at, value in ((0, 0), (1, 0), (2, 1), (3, 1), (4, 0), (5, 0), (6, 1), (7, 1), (8, 1)):
        feed(at, reading(float(value)))
    feed(9, reading(1.0))
    (window,) = feed(10, reading(1.0))
    assert (window.tags.on.tolist(), window.tags.off.tolist()) == ([6 * SECOND], [4 * SECOND])


def test_nothing_counts_while_a_bit_is_not_known():
    feed = Feed(Summariser(bit(), 10 * SECOND))
    feed(0, reading(1.0))
    feed(1, reading(1.0))
    feed(2, Link(0, up=False, reason="gone"))
    feed(6, reading(0.0))
    feed(7, reading(0.0))
    feed(8, reading(0.0))
    (window,) = feed(10, reading(0.0))
    assert (window.tags.on.tolist(), window.tags.off.tolist()) == ([SECOND], [4 * SECOND])


# ---------------------------------------------------------------- counters


def counter(wraps=None):
    kind = Counter(wraps) if wraps else Counter()
    return TagTable((Tag(0, "skid/c", device=0, counter=kind, period=3600 * SECOND),))


@pytest.mark.parametrize(
    ("wraps", "values", "increase"),
    [
        (None, [10, 15, 21], 11),
        (None, [10, 15, 2, 4], 5 + 2 + 2),
        (65536, [65530, 65535, 4, 10], 16),
        (65536, [30000, 30010, 0, 7], 10 + 0 + 7),
        (None, [5], None),
        (None, [5, 5], 0),
    ],
    ids=["climbs", "is reset", "wraps", "is reset though it could wrap", "one reading", "stands"],
)
def test_increase_of_a_counter_that(wraps, values, increase):
    feed = Feed(Summariser(counter(wraps), 100 * SECOND))
    for at, value in enumerate(values):
        feed(at, reading(float(value)))
    (window,) = feed.summariser.close()
    got = window.tags.increase[0]
    assert np.isnan(got) if increase is None else got == increase


def test_increase_goes_on_over_windows_and_over_bad_readings():
    feed = Feed(Summariser(counter(), 10 * SECOND))
    feed(1, reading(100.0))
    feed(2, reading(np.nan, quality=np.array([Quality.DEVICE_FAULT], np.uint8)))
    feed(9, reading(103.0))
    feed(12, reading(110.0))
    feed(20, Tick())
    assert [w.tags.increase[0] for w in feed.done] == [3.0, 7.0]


@given(
    st.lists(st.integers(0, 20_000), min_size=2, max_size=40),
    st.sampled_from([65536, 10**9]),
    st.integers(0, 65535),
)
def test_increase_of_a_wrapping_counter_is_what_was_counted(steps, wraps, start):
    feed = Feed(Summariser(counter(wraps), 10 * SECOND))
    total = start
    for at, step in enumerate([0, *steps]):
        total += step
        feed(at, reading(float(total % wraps)))
    done = [*feed.done, *feed.summariser.close()]
    told = np.nansum([w.tags.increase[0] for w in done])
    assert told == total - start
