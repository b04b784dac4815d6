"""What is normal over many machines, and what a few odd ones can do to it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.fleet.ranges import FEWEST_WINDOWS, KEPT, Gathering, Seen, fleet_edges

LEVEL, NOISE, BETWEEN = 4.2, 0.02, 0.05


def window(dice, level):
    values = level + NOISE * dice.standard_normal(20)
    return {"p": Seen(values.min(), values.mean(), values.max())}


def gathered(machines=40, odd=0, windows=FEWEST_WINDOWS * 2):
    dice = np.random.default_rng(1)
    made = Gathering("pump-40", 1000)
    for machine in range(machines):
        level = LEVEL + BETWEEN * dice.standard_normal() - (2.0 if machine < odd else 0.0)
        for _ in range(windows):
            made.take(f"gw-{machine}/pump", window(dice, level))
    return made


def test_ranges_hold_a_healthy_machine_and_not_a_worn_one():
    made = gathered(odd=4).ranges(made=7, least=10)
    assert (made.type, made.made, made.window, made.assets) == ("pump-40", 7, 1000, 40)
    edges = made.tags["p"]
    assert edges.low < edges.mean_low < LEVEL < edges.mean_high < edges.high
    assert edges.hold(LEVEL - 0.04, LEVEL, LEVEL + 0.04)
    assert not edges.hold(LEVEL - 1.04, LEVEL - 1.0, LEVEL - 0.96)


def test_too_few_machines_say_nothing():
    assert gathered(machines=9).ranges(1, least=10) is None
    assert gathered(machines=12, windows=FEWEST_WINDOWS - 1).ranges(1, least=10) is None


def test_windows_without_a_good_reading_are_left_out():
    made = Gathering("pump-40", 1000)
    nan = float("nan")
    for machine in range(20):
        for _ in range(FEWEST_WINDOWS):
            made.take(f"gw-{machine}/pump", {"p": Seen(nan, nan, nan), "q": Seen(1, 2, 3)})
    assert set(made.ranges(1, least=10).tags) == {"q"}


def test_only_the_last_windows_count():
    made = Gathering("pump-40", 1000)
    for machine in range(20):
        for n in range(2 * KEPT):
            level = 0.0 if n < KEPT else 100.0
            made.take(f"gw-{machine}/pump", {"p": Seen(level, level, level)})
    assert made.ranges(1, least=10).tags["p"].low == pytest.approx(100.0)


HEALTHY = [np.array([1.0, 2.0, 3.0, 4.0]) + n / 100 for n in range(11)]
ODD = st.lists(st.lists(st.floats(-1e9, 1e9), min_size=4, max_size=4).map(sorted), max_size=10)


@given(ODD)
def test_less_than_half_of_the_machines_cannot_move_the_ranges_far(odd):
    edges = fleet_edges([*HEALTHY, *map(np.array, odd)])
    least, most = HEALTHY[0], HEALTHY[-1]
    reach = 4 * 1.4826 * (most[0] - least[0]) + 0.02 * (most[3] - least[0])
    for edge, low, high in zip(
        (edges.low, edges.mean_low, edges.mean_high, edges.high), least, most, strict=True
    ):
        assert low - reach - 1e-9 <= edge <= high + reach + 1e-9
    assert edges.low <= edges.mean_low <= edges.mean_high <= edges.high
