"""The skid obeys physics: what rises, what falls, and that no energy comes from nowhere."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.anomaly import evaluate, fit
from edgetwin.core.laws.law import Band, Sample
from edgetwin.core.laws.pid import Pid
from edgetwin.core.plan import DetectorPlan
from edgetwin.demo.plant import SPEED_HIGH, SPEED_LOW, Fault, Hydraulics, Plant

STEP = 0.05

speeds = st.floats(SPEED_LOW, SPEED_HIGH)
positions = st.floats(5, 100)
dirt = st.floats(0, 20)


def run(plant: Plant, seconds: float) -> list:
    return [plant.step(STEP) for _ in range(round(seconds / STEP))]


def mean(rows: list, name: str) -> float:
    return float(np.mean([getattr(row, name) for row in rows]))


@given(speeds, positions, dirt)
def test_more_speed_gives_more_flow_and_more_pressure(speed, position, clog):
    skid = Hydraulics()
    slow = skid.working_point(speed, position, clog)
    fast = skid.working_point(speed * 1.1, position, clog)
    assert fast[0] > slow[0] or slow[0] == fast[0] == 0
    assert fast[1] > slow[1]


@given(speeds, positions, dirt)
def test_opening_the_valve_gives_more_flow_and_less_pressure(speed, position, clog):
    skid = Hydraulics()
    shut = skid.working_point(speed, position * 0.9, clog)
    wide = skid.working_point(speed, position, clog)
    assert wide[0] >= shut[0]
    assert wide[1] <= shut[1]


@given(speeds, positions, dirt)
def test_a_clog_takes_flow_and_adds_pressure_before_it(speed, position, clog):
    skid = Hydraulics()
    clean = skid.working_point(speed, position, clog)
    dirty = skid.working_point(speed, position, clog + 1)
    assert dirty[0] <= clean[0]
    assert dirty[1] >= clean[1]
    assert dirty[2] >= clean[2]


@given(speeds, positions)
def test_the_pump_lifts_no_more_than_its_curve(speed, position):
    skid = Hydraulics()
    _, discharge, suction = skid.working_point(speed, position, 0)
    assert discharge - suction <= skid.shut_off * (speed / 1450) ** 2 + 1e-9


def test_the_motor_takes_more_power_than_the_water_gets():
    for sensors in run(Plant(), 60):
        hydraulic = (sensors.discharge_pressure - sensors.suction_pressure) * sensors.flow / 36
        volts = 400 * min(1, sensors.speed_setpoint / 1450)
        drawn = math.sqrt(3) * volts * sensors.motor_current / 1000
        assert hydraulic < 0.8 * drawn


def test_left_alone_the_skid_keeps_near_its_pressure():
    rows = run(Plant(), 300)
    pressures = [row.discharge_pressure for row in rows]
    assert mean(rows, "discharge_pressure") == pytest.approx(4.2, abs=0.1)
    assert min(pressures) > 3.5
    assert max(pressures) < 4.9
    assert all(row.running for row in rows)


def test_the_shaft_follows_a_command_with_a_lag_and_a_ramp():
    plant = Plant()
    assert plant.command(1600.0)
    plant.step(STEP)
    assert plant.speed <= 1200 + 400 * STEP + 1e-9
    run(plant, 5)
    assert plant.speed == pytest.approx(1600, abs=1)
    assert plant.sensors.speed_setpoint == 1600


@pytest.mark.parametrize("speed", [599.9, 1750.1, math.nan, math.inf, -1.0])
def test_the_drive_refuses_a_speed_outside_its_range(speed):
    plant = Plant()
    assert not plant.command(speed)
    assert plant.sensors.speed_setpoint == 1200


def test_a_clog_shows_within_seconds_and_goes_again():
    plant = Plant()
    plant.command(1200.0)
    before = run(plant, 30)
    plant.suffer(Fault.CLOG)
    run(plant, 10)
    during = run(plant, 30)
    plant.suffer(Fault.HEAL)
    run(plant, 30)
    after = run(plant, 30)
    assert mean(during, "flow") < 0.8 * mean(before, "flow")
    assert mean(during, "discharge_pressure") > mean(before, "discharge_pressure") + 0.2
    assert mean(during, "valve_position") == pytest.approx(mean(before, "valve_position"), abs=5)
    assert mean(after, "flow") == pytest.approx(mean(before, "flow"), rel=0.08)


def test_a_frozen_sensor_shows_one_value_and_the_others_live_on():
    plant = Plant()
    run(plant, 5)
    plant.suffer(Fault.FREEZE)
    rows = run(plant, 5)
    assert len({row.discharge_pressure for row in rows}) == 1
    assert len({row.suction_pressure for row in rows}) == len(rows)
    plant.suffer(Fault.HEAL)
    assert len({row.discharge_pressure for row in run(plant, 5)}) == 100


def test_a_living_sensor_never_shows_the_same_value_twice_in_a_row():
    rows = run(Plant(), 120)
    for field in ("discharge_pressure", "flow", "temperature", "vibration"):
        shown = np.array([getattr(row, field) for row in rows], np.float32)
        longest = max(len(list(same)) for _, same in itertools.groupby(shown))
        assert longest <= 3  # the resolution of float32 may meet, not for long


def test_the_same_seed_gives_the_same_day():
    first, again, other = (run(Plant(seed), 10) for seed in (3, 3, 4))
    assert [dataclasses.astuple(row) for row in first] == [
        dataclasses.astuple(row) for row in again
    ]
    assert first[-1] != other[-1]


SCAN = 0.1
LIMIT = DetectorPlan("", (), 0, 0).limit
WATCHED = ("discharge_pressure", "suction_pressure", "motor_current", "valve_position")
WATCHED += ("flow", "temperature", "vibration", "speed_setpoint")


def control(plant: Plant, seconds: float, setpoint: float = 4.2) -> list:
    """The pressure loop of config/pump-skid.yaml, every 100 ms."""
    law = Pid(gain=150, integral_s=3)
    state, rows = None, []
    for _ in range(round(seconds / SCAN)):
        rows += run(plant, SCAN)
        sensors = rows[-1]
        sample = Sample(sensors.discharge_pressure, setpoint, SCAN)
        if state is None:
            state = law.start(sample, sensors.speed_setpoint)
        reach = 300 * SCAN
        band = Band(
            max(SPEED_LOW, sensors.speed_setpoint - reach),
            min(SPEED_HIGH, sensors.speed_setpoint + reach),
        )
        step = law.step(state, sample, band)
        state = step.state
        assert plant.command(step.mv)
    return rows


@pytest.mark.parametrize("seed", [1, 9, 10])
def test_the_loop_holds_the_pressure_closer_than_the_skids_own_switch(seed):
    plant = Plant(seed)
    alone = np.array([row.discharge_pressure for row in run(plant, 30)])
    control(plant, 5)
    held = np.array([row.discharge_pressure for row in control(plant, 30)])
    assert held.mean() == pytest.approx(4.2, abs=0.03)
    assert held.std() < 0.75 * alone.std()


def test_the_loop_reaches_a_new_setpoint_and_settles():
    plant = Plant()
    control(plant, 5)
    control(plant, 15, setpoint=5.0)
    assert mean(control(plant, 20, setpoint=5.0), "discharge_pressure") == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize("seed", [1, 9, 10])
def test_twenty_seconds_teach_a_detector_to_find_the_clog_and_nothing_else(seed):
    plant = Plant(seed)

    def looks(rows: list) -> np.ndarray:
        return np.array([[getattr(row, name) for name in WATCHED] for row in rows])[1::2]

    def scores(rows: np.ndarray) -> list:
        return [
            evaluate(learned, rows[k - 30 : k].astype(np.float32)) for k in range(30, len(rows))
        ]

    learned = fit(looks(run(plant, 20)), 30)
    healthy = looks(run(plant, 5) + control(plant, 20))
    assert max(score.value for score in scores(healthy)) < LIMIT
    plant.suffer(Fault.CLOG)
    sick = scores(np.concatenate([healthy[-30:], looks(control(plant, 8))]))
    first = next(k for k, score in enumerate(sick) if score.value > LIMIT)
    assert first * SCAN < 5
    named = [WATCHED[k] for k in np.argsort(-sick[first].shares)[:3]]
    assert "valve_position" in named
