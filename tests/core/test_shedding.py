"""Shedding: the slowest first, what an alarm watches after it, what a loop needs never."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.config import compile_text
from edgetwin.core.shedding import Shedding, feeding

CONFIG = """\
gateway: g
state: /nowhere
control: {enabled: true}
devices:
  plc:
    driver: modbus
    address: 127.0.0.1:1
    scan: 50 ms
    tags:
      fast: {at: 4x0001, type: uint16}
      slow: {at: 4x0002, type: uint16, scan: 1 s}
      watched: {at: 4x0003, type: uint16, scan: 2 s, alarms: {high: {above: 5}}}
      raw: {at: 4x0004, type: uint16, scan: 20 ms}
      valve: {at: 4x0005, type: uint16, scan: 100 ms, write: {min: 0, max: 100}}
      ready: {at: 1x0001, scan: 500 ms}
assets:
  skid:
    tags: {x: plc/raw}
    derived: {pv: {is: x * 2}}
loops:
  l: {law: formula, is: pv, pv: skid/pv, sp: 0, mv: plc/valve, every: 20 ms, mode: auto,
      permissives: {ready: plc.ready}}
"""


@pytest.fixture(scope="module")
def plan():
    return compile_text(CONFIG, "test.yaml")


def rates(shedding, plan):
    """How rarely each tag is scanned, by name."""
    groups = plan.devices[0].groups
    return {plan.tags[t].name[4:]: shedding.one_in(g) for g in groups for t in g.tags}


def shed(plan, level):
    shedding = Shedding(plan)
    for _ in range(level + 1):
        shedding.look(100, 100)
    assert shedding.level == level
    return rates(shedding, plan)


def test_a_loop_needs_its_pv_its_mv_its_permissives_and_what_they_come_from(plan):
    measured = {plan.tags[tag].name for tag in feeding(plan)}
    assert {"plc/raw", "plc/valve", "plc/ready"} <= measured
    assert not measured & {"plc/fast", "plc/slow", "plc/watched"}


def test_steps_go_from_the_slowest_to_the_fastest_and_then_further(plan):
    free = {"fast": 1, "slow": 1, "watched": 1, "raw": 1, "valve": 1, "ready": 1}
    assert shed(plan, 1) == free | {"slow": 2}
    assert shed(plan, 2) == free | {"slow": 2, "fast": 2}
    assert shed(plan, 3) == free | {"slow": 2, "fast": 2, "watched": 2}
    assert shed(plan, 4) == free | {"slow": 4, "fast": 2, "watched": 2}
    assert shed(plan, 9) == free | {"slow": 8, "fast": 8, "watched": 8}


def test_there_is_a_last_step_and_loops_are_untouched_by_it(plan):
    shedding = Shedding(plan)
    for _ in range(100):
        shedding.look(100, 100)
    assert shedding.level == 9
    assert all(rates(shedding, plan)[name] == 1 for name in ("raw", "valve", "ready"))


def test_one_late_second_sheds_nothing(plan):
    shedding = Shedding(plan)
    for late in (100, 0) * 20:
        assert not shedding.look(100, late)


def test_a_loop_that_does_not_get_its_scans_needs_fewer_late_wake_ups(plan):
    shedding = Shedding(plan)
    assert not any(shedding.look(100, 10) for _ in range(10))
    assert [shedding.look(100, 10, hurt=True) for _ in range(3)] == [False, True, True]
    slow_device = Shedding(plan)
    assert not any(slow_device.look(100, 1, hurt=True) for _ in range(10))


def test_each_step_is_taken_back_after_ten_calm_seconds(plan):
    shedding = Shedding(plan)
    for _ in range(3):
        shedding.look(100, 60)
    assert shedding.level == 2
    assert [shedding.look(100, 1) for _ in range(20)].count(True) == 2
    assert shedding.level == 0


def test_what_is_late_follows_the_fastest_loop(plan):
    assert Shedding(plan).late_after == 10_000_000


@given(st.lists(st.integers(0, 100), max_size=60))
def test_the_level_never_leaves_its_bounds(plan, lates):
    shedding = Shedding(plan)
    for late in lates:
        before = shedding.level
        changed = shedding.look(100, late)
        assert abs(shedding.level - before) == int(changed)
        assert 0 <= shedding.level <= 9
