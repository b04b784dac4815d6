import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.derive import MAX_CACHED_SLICES, Deriver
from edgetwin.core.expression import parse_expression
from edgetwin.core.plan import DerivedPlan
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.tags import Tag, TagKind, TagTable
from edgetwin.core.twin import Twin

NOW = Instant(1_000, 2_000)
MEASURED = ("p", "q", "n")


def rig(**formulas):
    """A twin with the measured tags p, q, n and one derived tag a formula, and their deriver."""
    names = (*MEASURED, *formulas)
    tags = TagTable(
        tuple(
            Tag(i, name, kind=TagKind.MEASURED if name in MEASURED else TagKind.DERIVED, low=-1e6)
            for i, name in enumerate(names)
        )
    )
    plans = []
    for name, text in formulas.items():
        expression = parse_expression(text)
        inputs = tuple(names.index(each) for each in expression.names)
        plans.append(DerivedPlan(names.index(name), expression, inputs))
    return Twin(tags), Deriver(tuple(plans))


def measure(twin, p=1.0, q=2.0, n=3.0, quality=0, source_time=0):
    twin.apply(ReadingBatch(slice(0, 3), np.array([p, q, n]), quality, source_time), NOW)


def test_derived_tag_is_computed_when_an_input_came_in():
    twin, deriver = rig(power="p * q / 2")
    measure(twin, 4.0, 6.0)
    batch = deriver.after(slice(0, 3), twin)
    assert batch.tags.tolist() == [3]
    assert batch.values.tolist() == [12.0]
    assert batch.quality.tolist() == [Quality.GOOD]


def test_only_what_depends_on_touched_tags_is_computed():
    twin, deriver = rig(power="p * q", speed="n * 2", both="power + speed", twice="2 * both")
    measure(twin)
    assert deriver.after(slice(2, 3), twin).tags.tolist() == [4, 5, 6]
    assert deriver.after(np.array([2]), twin).tags.tolist() == [4, 5, 6]
    assert deriver.after(np.array([3]), twin).tags.tolist() == [5, 6]


def test_nothing_is_computed_when_nothing_depends_on_what_came_in():
    twin, deriver = rig(power="p * q")
    measure(twin)
    assert deriver.after(slice(2, 3), twin) is None
    assert deriver.after(np.array([2], np.intp), twin) is None
    assert Deriver(()).after(slice(0, 3), twin) is None
    assert Deriver(()).all(twin) is None


def test_derived_of_derived_sees_the_new_value_in_the_same_batch():
    twin, deriver = rig(power="p * q", twice="2 * power")
    measure(twin, 4.0, 6.0)
    batch = deriver.after(slice(0, 1), twin)
    assert batch.values.tolist() == [24.0, 48.0]
    assert math.isnan(twin.value[3])  # the engine applies, not the deriver
    twin.apply(batch, NOW)
    assert twin.value[3:].tolist() == [24.0, 48.0]


@pytest.mark.parametrize(
    "worst", [Quality.STALE, Quality.NO_COMMUNICATION, Quality.NOT_YET_READ, Quality.FROZEN]
)
def test_bad_in_is_bad_out_with_the_same_reason_and_no_value(worst):
    twin, deriver = rig(power="p * q", twice="2 * power")
    measure(twin)
    twin.apply(deriver.all(twin), NOW)
    twin.spoil([1], worst)
    batch = deriver.all(twin)
    assert np.isnan(batch.values).all()
    assert batch.quality.tolist() == [worst, worst]
    twin.apply(batch, NOW)
    assert twin.value[3] == 2.0  # the last good one, marked bad


def test_uncertain_in_is_uncertain_out_with_a_value():
    twin, deriver = rig(power="p * q")
    measure(twin, quality=np.array([0, Quality.SUBSTITUTED, 0], np.uint8))
    batch = deriver.all(twin)
    assert (batch.values[0], batch.quality[0]) == (2.0, Quality.SUBSTITUTED)


def test_good_inputs_without_a_result_give_not_a_number_and_this_spreads():
    twin, deriver = rig(ratio="p / q", twice="ratio * 2")
    measure(twin, 1.0, 0.0)
    batch = deriver.all(twin)
    assert batch.quality.tolist() == [Quality.NOT_A_NUMBER] * 2


def test_value_outside_the_range_of_a_derived_tag_is_uncertain_also_for_what_depends_on_it():
    twin, deriver = rig(power="p * -1e7", twice="power / 1e7")
    measure(twin)
    batch = deriver.all(twin)
    assert batch.quality.tolist() == [Quality.OUT_OF_RANGE] * 2
    assert batch.values.tolist() == [-1e7, -1.0]


def test_source_time_is_that_of_the_oldest_input():
    twin, deriver = rig(power="p * q", all_of_them="power + n")
    measure(twin, source_time=np.array([50, 40, 30]))
    assert deriver.all(twin).source_time.tolist() == [40, 30]


def test_constant_is_good_from_the_start():
    twin, deriver = rig(limit="2 * pi")
    batch = deriver.all(twin)
    assert (batch.values[0], batch.quality[0]) == (2 * math.pi, Quality.GOOD)


def test_cache_of_slices_is_bounded():
    twin, deriver = rig(power="p * q")
    for stop in range(3, 3 + 2 * MAX_CACHED_SLICES):
        deriver.after(slice(3, stop), twin)
    assert len(deriver._by_slice) <= MAX_CACHED_SLICES


values = st.floats(-1e3, 1e3)
words = st.lists(st.sampled_from([int(q) for q in Quality]), min_size=3, max_size=3)


@given(st.tuples(values, values, values), words)
def test_derived_quality_is_never_better_than_that_of_any_input(row, quality):
    twin, deriver = rig(power="p * q", ratio="power / n", chosen="p if n > 0 else q")
    measure(twin, *row, quality=np.array(quality, np.uint8))
    batch = deriver.after(slice(0, 3), twin)
    worst = np.maximum.accumulate(twin.quality[:3])
    assert (batch.quality >= [worst[1], worst[2], worst[2]]).all()
    assert (np.isnan(batch.values) == (batch.quality >= Quality.BAD)).all()
