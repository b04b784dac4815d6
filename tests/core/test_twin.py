import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.tags import Tag, TagKind, TagTable
from edgetwin.core.twin import Twin

MS = 1_000_000
SECOND = 1000 * MS


def at(ms):
    """An instant whose wall clock is far from its monotonic one."""
    return Instant(ms * MS, 1_700_000_000 * SECOND + ms * MS)


def twin_of(count=3, **settings):
    tags = (Tag(i, f"rig/t{i}", **{"period": 100 * MS, **settings}) for i in range(count))
    return Twin(TagTable(tuple(tags)))


def batch(*values, start=0, **columns):
    return ReadingBatch(slice(start, start + len(values)), np.array(values, float), **columns)


def qualities(*words):
    return np.array(words, np.uint8)


# ---------------------------------------------------------------- what a reading does


def test_never_read_tag_has_no_value_no_times_and_no_age():
    state = twin_of().state(1, at(5000))
    assert math.isnan(state.value)
    assert (state.quality, state.age, state.arrival_time) == (Quality.NOT_YET_READ, -1, 0)


def test_reading_at_the_very_first_instant_counts_as_read():
    twin = twin_of(1)
    twin.apply(batch(1.0), at(0))
    assert twin.state(0, at(0)).age == 0


def test_good_reading_is_known_with_value_both_times_and_age():
    twin = twin_of(unit="bar")
    twin.apply(batch(1.5, 2.5, start=1, source_time=77), at(1000))
    state = twin.state(2, at(1040))
    assert (state.value, state.quality, state.unit) == (2.5, Quality.GOOD, "bar")
    assert (state.source_time, state.arrival_time) == (77, at(1000).wall)
    assert state.age == 40 * MS
    assert twin.state(0, at(1040)).quality is Quality.NOT_YET_READ


def test_readings_may_be_scattered_indices():
    twin = twin_of()
    scattered = ReadingBatch(np.array([2, 0]), np.array([5.0, 6.0]))
    twin.apply(scattered, at(0))
    assert twin.value[[0, 2]].tolist() == [6.0, 5.0]


@pytest.mark.parametrize("bad", [Quality.NO_COMMUNICATION, qualities(0x83, 0x83, 0x83)])
def test_bad_reading_keeps_last_value_and_times(bad):
    twin = twin_of()
    twin.apply(batch(1.0, 2.0, 3.0, source_time=7), at(0))
    twin.apply(batch(9.0, 9.0, 9.0, quality=bad, source_time=8), at(50))
    state = twin.state(1, at(60))
    assert (state.value, state.quality) == (2.0, Quality.NO_COMMUNICATION)
    assert (state.source_time, state.arrival_time, state.age) == (7, at(0).wall, 60 * MS)


def test_bad_among_good_harms_only_itself():
    twin = twin_of()
    twin.apply(batch(1.0, 2.0, 3.0), at(0))
    mixed = qualities(Quality.GOOD, Quality.DEVICE_FAULT, Quality.UNCERTAIN)
    twin.apply(batch(4.0, 5.0, 6.0, quality=mixed, source_time=np.array([1, 2, 3])), at(50))
    assert twin.value.tolist() == [4.0, 2.0, 6.0]
    assert twin.quality.tolist() == mixed.tolist()
    assert twin.source_time.tolist() == [1, 0, 3]


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("limits", [{}, {"low": -1.0, "high": 1.0}])
def test_what_is_no_number_is_bad_and_never_stored(odd, limits):
    twin = twin_of(**limits)
    twin.apply(batch(0.5, 0.5, 0.5), at(0))
    twin.apply(batch(0.6, odd, 0.6), at(50))
    assert twin.quality.tolist() == [Quality.GOOD, Quality.NOT_A_NUMBER, Quality.GOOD]
    assert twin.value.tolist() == [0.6, 0.5, 0.6]


def test_value_outside_its_range_is_uncertain_but_a_worse_word_of_the_driver_stays():
    twin = twin_of(low=0.0, high=10.0)
    words = qualities(Quality.GOOD, Quality.SUBSTITUTED, Quality.DEVICE_FAULT)
    twin.apply(batch(11.0, 11.0, 11.0, quality=words), at(0))
    expected = [Quality.OUT_OF_RANGE, Quality.SUBSTITUTED, Quality.DEVICE_FAULT]
    assert twin.quality.tolist() == expected


def test_judging_does_not_alter_the_batch():
    words = qualities(Quality.GOOD, Quality.GOOD, Quality.GOOD)
    twin_of().apply(batch(math.nan, 1.0, 1.0, quality=words), at(0))
    assert words.tolist() == [0, 0, 0]


# ---------------------------------------------------------------- the lane of objects


def test_text_and_large_integers_are_good_although_float_cannot_hold_them():
    twin = twin_of()
    twin.apply(batch(math.nan, 2.0**60, 1.0, objects=((0, "run"), (1, 2**60 + 1))), at(0))
    assert [twin.state(i, at(0)).value for i in range(3)] == ["run", 2**60 + 1, 1.0]
    assert twin.quality.tolist() == [0, 0, 0]


def test_object_of_an_earlier_reading_does_not_outlive_it():
    twin = twin_of()
    twin.apply(batch(2.0**60, objects=((0, 2**60 + 1),)), at(0))
    twin.apply(batch(5.0), at(50))
    assert twin.state(0, at(50)).value == 5.0


def test_bad_reading_keeps_the_last_object():
    twin = twin_of()
    twin.apply(batch(math.nan, 1.0, objects=((0, "run"),)), at(0))
    words = qualities(Quality.DEVICE_FAULT, Quality.GOOD)
    twin.apply(batch(math.nan, 2.0, quality=words, objects=((0, "???"),)), at(50))
    assert twin.state(0, at(50)).value == "run"


# ---------------------------------------------------------------- age


def test_value_is_stale_after_two_periods_and_not_before():
    twin = twin_of()
    twin.apply(batch(1.0, 2.0, 3.0), at(0))
    assert not twin.age_out(at(200))
    assert twin.age_out(at(201))
    assert not twin.age_out(at(202))
    assert twin.quality.tolist() == [Quality.STALE] * 3
    assert twin.value.tolist() == [1.0, 2.0, 3.0]


def test_stale_shows_at_once_even_before_a_tick_has_marked_it():
    twin = twin_of()
    twin.apply(batch(1.0, 2.0, 3.0), at(0))
    assert twin.is_stale(0, at(201))
    assert twin.state(0, at(201)).quality is Quality.STALE
    assert twin.snapshot(at(201)).quality.tolist() == [Quality.STALE] * 3
    assert twin.quality.tolist() == [Quality.GOOD] * 3


def test_derived_tags_do_not_age_by_themselves():
    twin = twin_of(kind=TagKind.DERIVED)
    twin.apply(batch(1.0, 2.0, 3.0), at(0))
    assert not twin.age_out(at(10**9))


def test_confirmed_value_stays_fresh_with_its_old_times():
    twin = twin_of()
    twin.apply(batch(1.0, 2.0, 3.0), at(0))
    twin.confirm(range(1, 2), at(190))
    twin.age_out(at(250))
    assert twin.quality.tolist() == [Quality.STALE, Quality.GOOD, Quality.STALE]
    assert twin.state(1, at(250)).arrival_time == at(0).wall


def test_confirmation_brings_back_what_had_only_gone_stale():
    twin = twin_of()
    twin.apply(batch(1.0, 2.0, 3.0, quality=qualities(0, Quality.UNCERTAIN, 0)), at(0))
    twin.age_out(at(300))
    twin.spoil([2], Quality.NO_COMMUNICATION)
    twin.confirm(range(3), at(310))
    expected = [Quality.GOOD, Quality.UNCERTAIN, Quality.NO_COMMUNICATION]
    assert twin.quality.tolist() == expected


def test_confirmation_does_not_bring_back_what_the_driver_itself_called_stale():
    twin = twin_of(1)
    twin.apply(batch(1.0), at(0))
    twin.age_out(at(300))
    twin.apply(batch(1.0, quality=Quality.STALE), at(310))
    twin.confirm(range(1), at(320))
    assert twin.quality.tolist() == [Quality.STALE]


def test_spoiled_tag_keeps_value_and_times():
    twin = twin_of()
    twin.apply(batch(1.0, 2.0, 3.0), at(0))
    twin.spoil(range(1, 3), Quality.NO_COMMUNICATION)
    state = twin.state(1, at(10))
    assert (state.value, state.quality) == (2.0, Quality.NO_COMMUNICATION)
    assert state.arrival_time == at(0).wall


# ---------------------------------------------------------------- frozen sensors


def test_sensor_that_shows_the_same_for_too_long_is_frozen_until_it_changes():
    twin = twin_of(1, frozen_after=SECOND)
    for ms in range(0, 2000, 100):
        twin.apply(batch(4.2), at(ms))
        twin.age_out(at(ms + 1))
        assert twin.quality[0] == (Quality.GOOD if ms < 1000 else Quality.FROZEN)
    twin.apply(batch(4.3), at(2000))
    assert twin.quality[0] == Quality.GOOD


def test_frozen_sensor_is_still_frozen_after_an_outage():
    twin = twin_of(1, frozen_after=SECOND)
    twin.apply(batch(4.2), at(0))
    twin.spoil([0], Quality.NO_COMMUNICATION)
    twin.apply(batch(4.2), at(1500))
    assert twin.quality[0] == Quality.FROZEN


def test_only_watched_tags_freeze():
    tags = (Tag(0, "rig/a", frozen_after=SECOND), Tag(1, "rig/b"))
    twin = Twin(TagTable(tags))
    for ms in range(0, 2000, 100):
        twin.apply(batch(4.2, 4.2), at(ms))
    assert twin.quality.tolist() == [Quality.FROZEN, Quality.GOOD]


# ---------------------------------------------------------------- snapshots


def test_snapshot_cannot_change_any_more():
    twin = twin_of()
    twin.apply(batch(1.0, 2.0), at(0))
    snapshot = twin.snapshot(at(30))
    twin.apply(batch(9.0, 9.0, 9.0), at(40))
    assert snapshot.value[:2].tolist() == [1.0, 2.0]
    assert snapshot.age.tolist() == [30 * MS, 30 * MS, -1]
    with pytest.raises(ValueError, match="read-only"):
        snapshot.value[0] = 3.0


# ---------------------------------------------------------------- properties

any_float = st.floats(allow_nan=True, allow_infinity=True)
any_quality = st.sampled_from([int(q) for q in Quality])
readings = st.lists(st.tuples(any_float, any_quality), min_size=3, max_size=3)
steps = st.tuples(
    st.sampled_from(["apply", "apply good", "confirm", "age out", "spoil"]),
    readings,
    st.integers(0, 150),
)


@given(st.lists(steps, max_size=30), st.sampled_from([0, 300 * MS]))
@settings(max_examples=300)
def test_nothing_stale_or_bad_ever_looks_fresh(script, frozen_after):
    twin, ms = twin_of(low=-1e6, frozen_after=frozen_after), 0
    vouched = [-(10**9)] * 3
    for action, row, wait in script:
        ms += wait
        before = twin.snapshot(at(ms))
        _perform(twin, action, row, at(ms), vouched)
        after = twin.snapshot(at(ms))
        _check_one_step(before, after, [ms - v for v in vouched])
        assert (after.quality == [twin.state(i, at(ms)).quality for i in range(3)]).all()


def _perform(twin, action, row, now, vouched):
    if action.startswith("apply"):
        row = [(value, word if action == "apply" else 0) for value, word in row]
        values, words = zip(*row, strict=True)
        twin.apply(batch(*values, quality=qualities(*words)), now)
        for i, (value, word) in enumerate(row):
            if math.isfinite(value) and word < Quality.BAD:
                vouched[i] = now.mono // MS
    elif action == "confirm":
        twin.confirm(range(3), now)
        vouched[:] = [now.mono // MS] * 3
    elif action == "age out":
        twin.age_out(now)
    else:
        twin.spoil([0, 2], Quality.NO_COMMUNICATION)


def _check_one_step(before, after, silence_ms):
    for i in range(3):
        usable = after.quality[i] < Quality.BAD
        if usable:
            assert silence_ms[i] <= 200
            assert math.isfinite(after.value[i])
            assert after.value[i] >= -1e6 or after.quality[i] != Quality.GOOD
        if not usable and after.quality[i] != Quality.FROZEN:
            assert np.array_equal(after.value[i], before.value[i], equal_nan=True)
            assert after.arrival_time[i] == before.arrival_time[i]
