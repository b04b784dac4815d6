import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgetwin.core.laws.law import Band, Sample
from edgetwin.core.laws.pid import Pid

WIDE = Band(-1e9, 1e9)
NAN = math.nan


class Tank:
    """A first-order plant: pv goes to k * mv with time constant tau."""

    def __init__(self, k=2.0, tau=5.0, pv=0.0):
        self.k, self.tau, self.pv, self.peak = k, tau, pv, pv

    def run(self, mv, dt):
        self.pv += (self.k * mv - self.pv) * -math.expm1(-dt / self.tau)
        self.peak = max(self.peak, self.pv)


def drive(pid, tank, sp, steps, *, mv=0.0, dt=0.1, limits=WIDE, rate=math.inf):
    """Run a loop; gives all outputs. ``dt`` may be a function of the step."""
    state, outputs = pid.start(Sample(tank.pv, sp, 0.1), mv), []
    for i in range(steps):
        h = dt(i) if callable(dt) else dt
        band = Band(max(limits.low, mv - rate * h), min(limits.high, mv + rate * h))
        step = pid.step(state, Sample(tank.pv, sp, h), band)
        state, mv = step.state, step.mv
        tank.run(mv, h)
        outputs.append(mv)
    return outputs


# ---------------------------------------------------------------- it controls


@pytest.mark.parametrize(
    "pid",
    [
        Pid(1.0, 5.0),
        Pid(2.0, 4.0, 0.5),
        Pid(0.5, 2.0, 0.2, filter_n=3.0),
    ],
)
def test_step_response_settles_without_offset(pid):
    tank = Tank()
    outputs = drive(pid, tank, sp=10.0, steps=1000)
    assert tank.pv == pytest.approx(10.0, abs=1e-3)
    assert outputs[-1] == pytest.approx(5.0, abs=1e-3)


def test_negative_gain_controls_a_plant_that_acts_in_reverse():
    tank = Tank(k=-2.0)
    drive(Pid(-1.0, 5.0), tank, sp=10.0, steps=1000)
    assert tank.pv == pytest.approx(10.0, abs=1e-3)


def test_positive_gain_raises_the_output_while_pv_is_below_sp():
    pid = Pid(3.0)
    state = pid.start(Sample(4.0, 4.0, 0.1), 50.0)
    assert pid.step(state, Sample(3.0, 4.0, 0.1), WIDE).mv == 53.0
    assert pid.step(state, Sample(5.0, 4.0, 0.1), WIDE).mv == 47.0


def test_without_integral_the_output_that_stood_stays_as_bias():
    pid = Pid(1.0)
    state = pid.start(Sample(4.0, 4.0, 0.1), 50.0)
    for _ in range(100):
        step = pid.step(state, Sample(3.0, 4.0, 0.1), WIDE)
        state = step.state
    assert step.mv == 51.0


def test_uneven_dt_settles_as_well():
    tank = Tank()
    drive(Pid(1.0, 5.0, 0.3), tank, sp=10.0, steps=600, dt=lambda i: (0.05, 0.1, 0.4)[i % 3])
    assert tank.pv == pytest.approx(10.0, abs=1e-3)


def test_integral_depends_on_time_and_not_on_the_number_of_steps():
    pid = Pid(2.0, 5.0)
    ends = []
    for dt, steps in ((0.1, 100), (0.5, 20)):
        state = pid.start(Sample(3.0, 4.0, dt), 0.0)
        for _ in range(steps):
            step = pid.step(state, Sample(3.0, 4.0, dt), WIDE)
            state = step.state
        ends.append(step.mv)
    assert ends[0] == pytest.approx(ends[1])
    assert ends[0] == pytest.approx(2.0 * 10.0 / 5.0)  # gain * error * time / integral_s


def test_derivative_acts_on_the_measurement_and_not_on_a_new_setpoint():
    pid = Pid(1.0, 0.0, 2.0)
    state = pid.start(Sample(5.0, 5.0, 0.1), 0.0)
    assert pid.step(state, Sample(5.0, 8.0, 0.1), WIDE).mv == 3.0  # the proportional part alone
    rising = pid.step(state, Sample(5.1, 5.0, 0.1), WIDE)
    assert rising.mv < -0.1
    # slope * derivative_s is what it comes to once the filter has settled
    state, pv = rising.state, 5.1
    for _ in range(200):
        pv += 0.1
        step = pid.step(state, Sample(pv, pv, 0.1), WIDE)
        state = step.state
    assert step.mv == pytest.approx(-2.0, rel=1e-2)


# ---------------------------------------------------------------- it does not wind up


@pytest.mark.parametrize("pid", [Pid(1.0, 1.0), Pid(5.0, 0.5), Pid(0.1, 0.2)])
@pytest.mark.parametrize("start_pv", [0.0, 90.0])
def test_output_leaves_a_limit_with_the_first_step_after_the_error_changed_sign(pid, start_pv):
    band = Band(0.0, 10.0)
    state, sp = pid.start(Sample(start_pv, 50.0, 0.1), 10.0), 50.0
    for _ in range(1000):
        step = pid.step(state, Sample(0.0, sp, 0.1), band)
        state = step.state
    assert step.mv == 10.0
    assert pid.step(state, Sample(sp + 0.01, sp, 0.1), band).mv < 10.0


def test_output_leaves_the_lower_limit_as_quickly():
    pid, band = Pid(2.0, 1.0), Band(0.0, 10.0)
    state = pid.start(Sample(5.0, 5.0, 0.1), 5.0)
    for _ in range(1000):
        step = pid.step(state, Sample(9.0, 5.0, 0.1), band)
        state = step.state
    assert step.mv == 0.0
    assert pid.step(state, Sample(4.99, 5.0, 0.1), band).mv > 0.0


def test_saturated_start_overshoots_little():
    tank = Tank()
    drive(Pid(3.0, 2.0), tank, 10.0, 600, limits=Band(0.0, 6.0))
    assert tank.peak < 10.6
    assert tank.pv == pytest.approx(10.0, abs=1e-2)


def test_rate_limit_delays_the_proportional_kick_but_does_not_forget_it():
    pid, mv = Pid(10.0, 1e6), 0.0
    state = pid.start(Sample(5.0, 5.0, 0.1), mv)
    for _ in range(60):
        step = pid.step(state, Sample(5.0, 6.0, 0.1), Band(mv - 0.2, mv + 0.2))
        state, mv = step.state, step.mv
    assert mv == pytest.approx(10.0, abs=1e-3)


def test_rate_limited_loop_settles_without_offset():
    tank = Tank()
    outputs = drive(Pid(2.0, 4.0), tank, 10.0, 1500, rate=1.0, limits=Band(0.0, 20.0))
    assert tank.pv == pytest.approx(10.0, abs=1e-2)
    steps = [abs(b - a) for a, b in zip([0.0, *outputs], outputs, strict=False)]
    assert max(steps) <= 0.1 + 1e-9


# ---------------------------------------------------------------- it starts without a bump

moderate = st.floats(-1e3, 1e3)


@given(moderate, moderate, moderate, moderate.filter(bool))
def test_first_step_moves_by_no_more_than_one_step_of_the_integral(pv, sp, mv, gain):
    pid = Pid(gain, 10.0, 1.0)
    sample = Sample(pv, sp, 0.1)
    first = pid.step(pid.start(sample, mv), sample, WIDE)
    assert abs(first.mv - mv) <= abs(gain * (sp - pv)) * 0.1 / 10.0 + 1e-6


# ---------------------------------------------------------------- it survives bad samples


@pytest.mark.parametrize(
    "sample",
    [
        Sample(NAN, 5.0, 0.1),
        Sample(4.0, NAN, 0.1),
        Sample(math.inf, 5.0, 0.1),
        Sample(4.0, 5.0, 0.0),
        Sample(4.0, 5.0, -1.0),
        Sample(4.0, 5.0, NAN),
        Sample(1e308, -1e308, 1e300),
    ],
)
def test_sample_that_is_none_changes_nothing(sample):
    pid = Pid(1e3, 1.0, 1.0)
    state = pid.start(Sample(4.0, 5.0, 0.1), 50.0)
    held = pid.step(state, sample, WIDE)
    assert held.mv == 50.0
    assert held.state == state


def test_start_on_a_sample_that_is_none_still_keeps_the_output():
    pid = Pid(1.0, 1.0, 1.0)
    step = pid.step(pid.start(Sample(NAN, 5.0, 0.1), 50.0), Sample(5.0, 5.0, 0.1), WIDE)
    assert step.mv == 50.0


anything = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(anything, anything, anything), max_size=20), moderate, moderate)
def test_output_is_always_a_number_inside_the_band(samples, low, high):
    assume(low < high)
    pid, band = Pid(7.0, 2.0, 1.0), Band(low, high)
    state = pid.start(Sample(1.0, 2.0, 0.1), low)
    for pv, sp, dt in samples:
        step = pid.step(state, Sample(pv, sp, dt), band)
        assert band.low <= step.mv <= band.high
        state = step.state


def test_state_of_another_law_is_refused():
    with pytest.raises(TypeError, match="PidState"):
        Pid(1.0).step(3.0, Sample(1.0, 1.0, 0.1), WIDE)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"gain": 0.0}, "gain"),
        ({"gain": NAN}, "gain"),
        ({"gain": 1.0, "integral_s": -1.0}, "integral_s"),
        ({"gain": 1.0, "derivative_s": math.inf}, "derivative_s"),
        ({"gain": 1.0, "filter_n": 0.0}, "filter_n"),
    ],
)
def test_settings_no_loop_can_work_with_are_refused_by_name(settings, word):
    with pytest.raises(ValueError, match=word):
        Pid(**settings)
