"""Summaries are views of frames: every case here is a list of frames and what it must amount to."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.frame import Confirmed, Frame, Link, Tick
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.summary import Summariser
from edgetwin.core.tags import Tag, TagTable

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
    assert window.count.tolist() == [3, 3]
    assert window.good.tolist() == [3, 3]
    assert window.minimum.tolist() == [1.0, -5.0]
    assert window.maximum.tolist() == [5.0, -1.0]
    assert window.mean.tolist() == [3.0, -3.0]
    assert window.last.tolist() == [3.0, -3.0]
    assert (window.first, window.final, window.lost) == (1, 3, 0)


def test_windows_end_on_the_wall_grid_and_follow_each_other_without_a_hole():
    feed = Feed(Summariser(table(1), 10 * SECOND), wall=WALL + 3 * SECOND)
    for at in range(40):
        feed(at, reading(at))
    assert [w.end - WALL for w in feed.done] == [10 * SECOND, 20 * SECOND, 30 * SECOND, 40 * SECOND]
    assert [w.begin for w in feed.done[1:]] == [w.end for w in feed.done[:-1]]
    assert sum(w.count[0] for w in feed.done) == 37


def test_nothing_measured_differs_from_the_same_value_measured_again():
    feed = Feed(Summariser(table(2, period=60 * SECOND), 10 * SECOND))
    feed(0, reading(4.0, 4.0))
    feed(10, reading(4.0))
    (window,) = feed(20, Tick())
    assert window.count.tolist() == [1, 0]
    assert window.last[0] == 4.0
    assert np.isnan([window.minimum[1], window.maximum[1], window.mean[1], window.last[1]]).all()
    assert window.quality.tolist() == [Quality.GOOD, Quality.GOOD]


def test_confirmation_counts_as_the_same_value_measured_again():
    feed = Feed(Summariser(table(2), 10 * SECOND))
    feed(0, reading(4.0, 5.0))
    feed(10, Confirmed(range(1)))
    feed(19, Confirmed(range(1)))
    (window,) = feed(20, Tick())
    assert window.count.tolist() == [2, 0]
    assert window.mean[0] == 4.0
    assert window.quality.tolist() == [Quality.GOOD, Quality.STALE]


def test_tag_that_stopped_coming_is_stale_at_the_end_of_the_window():
    feed = Feed(Summariser(table(1), 10 * SECOND))
    feed(0, reading(1.0))
    feed(7, reading(2.0))
    (window,) = feed(10.5, Tick())
    assert window.quality[0] == Quality.STALE
    assert (window.count[0], window.last[0]) == (2, 2.0)


def test_bad_and_out_of_range_readings_count_but_are_in_no_statistic():
    feed = Feed(Summariser(table(3, low=0.0, high=10.0), 10 * SECOND))
    feed(1, reading(5.0, 5.0, 5.0))
    bad = np.array([Quality.DEVICE_FAULT, 0, 0], np.uint8)
    feed(2, reading(np.nan, 99.0, 6.0, quality=bad))
    (window,) = feed(10, Tick())
    assert window.count.tolist() == [2, 2, 2]
    assert window.good.tolist() == [1, 1, 2]
    assert window.maximum.tolist() == [5.0, 5.0, 6.0]
    assert window.mean.tolist() == [5.0, 5.0, 5.5]


def test_lost_device_spoils_its_tags():
    feed = Feed(Summariser(table(2, period=60 * SECOND), 10 * SECOND))
    feed(1, reading(5.0, 6.0))
    feed(2, Link(0, up=False, reason="gone"))
    (window,) = feed(10, Tick())
    assert window.quality.tolist() == [Quality.NO_COMMUNICATION] * 2


def test_readings_made_inside_are_summarised_too():
    feed = Feed(Summariser(table(2), 10 * SECOND))
    feed(1, reading(5.0), reading(50.0, start=1))
    (window,) = feed(10, Tick())
    assert window.last.tolist() == [5.0, 50.0]


def test_exact_last_value_of_a_large_integer_or_a_text_is_kept():
    feed = Feed(Summariser(table(2), 10 * SECOND))
    big = (1 << 63) + 1
    feed(1, reading(float(big), np.nan, objects=((0, big), (1, "open"))))
    (window,) = feed(10, Tick())
    assert window.objects == ((0, big), (1, "open"))
    assert window.good.tolist() == [1, 1]


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
    assert [w.count[0] for w in done] == [1, 0]
    (after,) = feed(60, Tick())
    assert (after.begin - WALL, after.count[0]) == (50 * SECOND, 1)


def test_clock_step_of_an_hour_makes_no_window_shorter_or_longer_than_half():
    feed = Feed(Summariser(table(1), 10 * SECOND))
    for at in range(15):
        feed(at, reading(1.0))
    feed.wall -= 3_604 * SECOND
    for at in range(15, 60):
        feed(at, reading(1.0))
    counts = [int(w.count[0]) for w in feed.done]
    assert counts[0] == 10
    assert all(5 <= count <= 15 for count in counts)
    assert feed.done[-1].end % (10 * SECOND) == 0


def test_close_ends_the_window_early_and_only_once():
    feed = Feed(Summariser(table(1), 10 * SECOND))
    assert feed.summariser.close() is None
    feed(1, reading(1.0))
    feed(4, Tick())
    window = feed.summariser.close()
    assert window.end == WALL + 4 * SECOND
    assert window.count[0] == 1
    assert feed.summariser.close() is None


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
    done = [*feed.done, feed.summariser.close()]
    assert sum(int(w.count[0]) for w in done) == len(steps)
    values = [v for _, v in steps]
    assert np.nanmin([w.minimum[0] for w in done]) == min(values)
    assert np.nanmax([w.maximum[0] for w in done]) == max(values)
    total = sum(w.mean[0] * w.good[0] for w in done if w.good[0])
    assert total == pytest.approx(sum(values), rel=1e-9, abs=1e-3)
    assert all(a.end == b.begin for a, b in pairwise(done))
