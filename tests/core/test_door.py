"""Points tell every reading within the bound: for any readings, steps of time and clock steps."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgetwin.core.door import Doors, Point, Steps, rebuild
from edgetwin.core.tags import Report, ReportBy

MS = 1_000_000
LONG = 10**6 * MS

readings = st.lists(
    st.tuples(
        st.integers(1, 5000),
        st.floats(-1e6, 1e6) | st.floats(-2, 2) | st.integers(-3, 3).map(float),
    ),
    min_size=1,
    max_size=80,
)
bounds = st.sampled_from([0.0, 0.001, 0.037, 0.5, 1.0, 20.0, 1234.5]) | st.floats(1e-3, 1e4)


def told(by, within, series, every=LONG, final=True):
    """The points for (ms, value) of one tag, as a reporter would ask for them."""
    way = (Doors if by is ReportBy.LINE else Steps)([Report(by, within, every)])
    points = []
    for at, value in series:
        points += way.take(slice(0, 1), np.array([value]), at)
    return points + (way.end(range(1)) if final else [])


def timed(steps, start=1_732_278_000_000):
    at, series = start, []
    for step, value in steps:
        at += step
        series.append((at, value))
    return series


def error(by, points, series):
    known = rebuild(points, by, [at for at, _ in series])
    return np.abs(known - np.array([value for _, value in series]))


@pytest.mark.parametrize("by", ReportBy)
@given(steps=readings, within=bounds)
@example(steps=[(1, 0.0), (1, 1.0), (1, 0.0)], within=0.5)
@example(steps=[(1, 0.0), (100, 0.9), (1, -0.9), (1, 0.9)], within=1.0)
def test_every_reading_is_told_within_the_bound(by, steps, within):
    series = timed(steps)
    points = told(by, within, series)
    scale = max(abs(value) for _, value in series)
    assert (error(by, points, series) <= within * (1 + 1e-9) + 1e-9 * scale).all()
    assert all(a.at <= b.at for a, b in pairwise(points))
    assert len(points) <= len(series) + 1


@pytest.mark.parametrize("by", ReportBy)
@given(steps=readings, within=bounds, every_s=st.integers(1, 20))
def test_there_is_a_point_at_least_every_heartbeat_or_reading(by, steps, within, every_s):
    series = timed(steps)
    points = told(by, within, series, every_s * 1000 * MS)
    scale = max(abs(value) for _, value in series)
    assert (error(by, points, series) <= within * (1 + 1e-9) + 1e-9 * scale).all()
    longest = max(step for step, _ in steps)
    for a, b in pairwise(points):
        assert b.at - a.at < every_s * 1000 + longest


@pytest.mark.parametrize("by", ReportBy)
def test_same_value_measured_again_is_another_point_and_nothing_measured_is_none(by):
    way = (Doors if by is ReportBy.LINE else Steps)([Report(by, 0.1, 1000 * MS)])
    points = []
    for at in range(0, 3001, 100):
        points += way.take(slice(0, 1), np.array([4.2]), at)
    points += way.end(range(1), 5000)
    assert [p.value for p in points][:-1] == [4.2] * (len(points) - 1)
    assert len(points) >= 4
    assert points[-1] == Point(0, 5000, None)
    known = rebuild(points, by, [0, 1500, 3000, 5000, 6000])
    assert known[:3].tolist() == [4.2] * 3
    assert np.isnan(known[3:]).all()
    assert way.end(range(1), 7000) == []


def test_noise_on_a_slope_within_the_bound_is_one_line():
    chance = np.random.default_rng(1)
    series = [(at, 0.001 * at + chance.uniform(-0.4, 0.4)) for at in range(0, 100_000, 100)]
    points = told(ReportBy.LINE, 1.0, series)
    assert len(points) <= 5
    assert error(ReportBy.LINE, points, series).max() <= 1.0


def test_values_have_no_more_decimals_than_the_bound_is_worth():
    series = timed([(100, 4.123456789 + 0.3 * n) for n in range(20)])
    for by in ReportBy:
        for point in told(by, 0.05, series):
            assert point.value == round(point.value, 3)


@given(
    steps=st.lists(
        st.tuples(st.integers(-3000, 3000), st.floats(-100, 100)), min_size=1, max_size=60
    ),
    within=st.sampled_from([0.0, 0.5, 10.0]),
)
def test_clock_steps_cost_points_but_never_the_bound(steps, within):
    """Each stretch on which the clock went forward is told within the bound."""
    series = timed(steps)
    way = Doors([Report(ReportBy.LINE, within, LONG)])
    stretches, points = [[]], [[]]
    for at, value in series:
        if stretches[-1] and at < stretches[-1][-1][0]:
            stretches.append([])
            points.append([])
        for point in way.take(slice(0, 1), np.array([value]), at):
            late = len(stretches) > 1 and not stretches[-1] and point.at != at
            points[-2 if late else -1].append(point)
        stretches[-1].append((at, value))
    points[-1] += way.end(range(1))
    for own, stretch in zip(points, stretches, strict=True):
        by_time = {at: value for at, value in stretch if [t for t, _ in stretch].count(at) == 1}
        known = rebuild(own, ReportBy.LINE, list(by_time))
        assert (np.abs(known - np.array(list(by_time.values()))) <= within + 1e-6).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from(ReportBy))
def test_many_tags_at_once_are_told_like_each_alone(seed, by):
    chance = np.random.default_rng(seed)
    reports = [Report(by, within, 3000 * MS) for within in (0.0, 0.1, 1.0, 5.0)]
    rows = np.cumsum(chance.normal(size=(40, 4)), axis=0)
    way = (Doors if by is ReportBy.LINE else Steps)(reports)
    together = []
    for number, row in enumerate(rows):
        which = np.flatnonzero(chance.random(4) < 0.7)
        if len(which) == 4:
            together += way.take(slice(0, 4), row, number * 100)
        else:
            together += way.take(which, row[which], number * 100)
        rows[number, ~np.isin(range(4), which)] = np.nan
    together += way.end(range(4))
    for column, report in enumerate(reports):
        series = [(n * 100, v) for n, v in enumerate(rows[:, column]) if not np.isnan(v)]
        alone = told(by, report.within, series, report.every)
        assert [(p.at, p.value) for p in together if p.tag == column] == [
            (p.at, p.value) for p in alone
        ]
