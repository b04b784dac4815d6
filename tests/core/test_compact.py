"""The form in which summaries wait on disk: the same numbers, whatever they are."""

import bz2
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetwin.core import compact, payload
from edgetwin.core.frame import Frame
from edgetwin.core.plan import SECOND
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.summary import Summariser
from edgetwin.core.tags import Tag, TagTable

WALL = 1_732_278_000 * SECOND


def window(rows, *, objects=()):
    """The summary of scans, each a row of values; NaN is a bad reading."""
    tags = TagTable(tuple(Tag(i, f"t{i}", device=0) for i in range(len(rows[0]))))
    summariser = Summariser(tags, 10 * SECOND)
    for number, row in enumerate(rows, 1):
        at = Instant(number * 1000, WALL + number * 1000)
        batch = ReadingBatch(slice(0, len(row)), np.array(row, float), objects=objects)
        summariser.take(Frame(number, at, batch))
    (summary,) = summariser.close()
    return summary


def numbers(body):
    """All columns of a summary's JSON."""
    content = json.loads(body)
    return {key: content[key] for key in ("count", "good", "quality", "min", "max", "mean", "std")}


def same(a, b, digits):
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=2 * 10.0**-digits, abs_tol=1e-300)


steps = st.sampled_from([1.0, 0.1, 0.01, 1e-4, 25 / 1024, 100 / 65536, 5.0])


@st.composite
def scans(draw):
    """Some scans of some tags, most with steps of their own, one without."""
    tags = draw(st.integers(5, 9))
    step = draw(st.lists(steps, min_size=tags, max_size=tags))
    raw = st.integers(-70_000, 70_000)
    row = st.lists(st.one_of(raw, raw, raw, st.just(math.nan)), min_size=tags, max_size=tags)
    rows = draw(st.lists(row, min_size=1, max_size=6))
    odd = draw(st.floats(-1e6, 1e6))
    return [[odd, *(r * s for r, s in zip(row[1:], step[1:], strict=True))] for row in rows]


@settings(max_examples=60)
@given(scans())
def test_what_comes_back_is_what_was_given_back_and_means_the_same(rows):
    summary = window(rows)
    stored, told = compact.squeeze(summary, "b1")
    back, birth = compact.expand(stored)
    sent = payload.summary(told, "b1")
    assert payload.summary(back, birth) == sent
    before, after = numbers(payload.summary(summary, "b1")), numbers(sent)
    for name in ("count", "good", "quality"):
        assert before[name] == after[name]
    for name in ("min", "max", "mean", "std"):
        digits = 4 if name == "std" else 9
        pairs = zip(before[name], after[name], strict=True)
        assert all(same(a, b, digits - 1 if name == "std" else digits) for a, b in pairs), name


def test_exact_integers_and_texts_come_back():
    summary = window([[1.0, 2.0, 3.0, 4.0]] * 3, objects=((1, "zu \udc80"), (2, 1 << 60)))
    stored, told = compact.squeeze(summary, "b1")
    assert payload.summary(compact.expand(stored)[0], "b1") == payload.summary(told, "b1")
    assert compact.expand(stored)[0].tags.objects == summary.tags.objects


@pytest.mark.parametrize("value", [math.inf, 1e300, 1e-320, math.pi])
def test_a_tag_that_has_no_steps_keeps_its_numbers(value):
    summary = window([[0.5, 1.5, 2.5, 3.5, value], [0.5, 1.5, 2.5, 4.5, value]])
    stored, _ = compact.squeeze(summary, "b1")
    back = compact.expand(stored)[0].tags
    for name in ("minimum", "maximum", "last", "earliest"):
        np.testing.assert_array_equal(getattr(back, name), getattr(summary.tags, name))


def test_window_without_readings_comes_back_empty():
    summary = window([[math.nan] * 4])
    stored, told = compact.squeeze(summary, "b1")
    assert np.isnan(told.tags.mean).all()
    assert payload.summary(told, "b1") == payload.summary(summary, "b1")
    assert compact.expand(stored)[1] == "b1"


def test_noise_without_steps_is_left_to_others():
    dice = np.random.default_rng(1)
    assert compact.squeeze(window(dice.normal(size=(5, 8)).tolist()), "b1") is None


def test_a_thousand_sensors_of_tenths_take_a_fifth_of_their_json():
    dice = np.random.default_rng(1)
    walk = np.cumsum(dice.integers(-3, 4, (100, 1000)), axis=0) + dice.integers(0, 4096, 1000)
    summary = window(np.round(walk * 0.1, 10).tolist())
    stored, _ = compact.squeeze(summary, "b1")
    body = payload.summary(summary, "b1")
    assert len(stored) < len(body) / 4.8
    assert len(stored) < 0.7 * len(bz2.compress(body, 1))
