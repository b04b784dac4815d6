import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.anomaly import Alarm, AlarmRule, evaluate, fit
from edgetwin.core.errors import ModelError
from edgetwin.core.plan import DetectorPlan, rows_needed

SECOND = 1_000_000_000
WINDOW = 30
LIMIT = DetectorPlan("", (), 0, 0).limit


def healthy(rows=400, tags=5, seed=1, wander=0.0):
    """Correlated noise about a level; with ``wander`` the last tag drifts by itself."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, tags)) @ rng.normal(size=(tags, tags)) + 10.0 * np.arange(tags)
    values[:, -1] += wander * np.cumsum(rng.normal(size=rows))
    return values


def last_window(rows):
    return rows[-WINDOW:].astype(np.float32)


# ---------------------------------------------------------------- the fit


def test_fresh_healthy_rows_score_about_as_high_as_the_training_rows():
    rows = healthy(1000)
    learned = fit(rows[:400], WINDOW)
    scores = [evaluate(learned, last_window(rows[:end])).value for end in range(430, 1000, 10)]
    assert np.quantile(scores, 0.95) < LIMIT
    assert np.median(scores) < 1.0


@pytest.mark.parametrize("faulty", range(5))
def test_tag_that_leaves_its_level_is_named_first(faulty):
    rows = healthy(500)
    learned = fit(rows[:400], WINDOW)
    rows[-WINDOW:, faulty] += 6 * rows[:400, faulty].std()
    score = evaluate(learned, last_window(rows))
    assert score.value > LIMIT
    assert int(np.argmax(score.shares)) == faulty


def excess(rows, tag, step):
    """The score of a window at the training mean, one tag of it a step away."""
    window = np.tile(rows.mean(axis=0), (WINDOW, 1))
    window[:, tag] += step
    return evaluate(fit(rows, WINDOW), window).value


def test_tag_that_wanders_by_itself_gets_wider_limits_than_noise_of_the_same_size():
    calm, wandering = healthy(400), healthy(400, wander=0.5)
    steps = [4 * rows[:, -1].std() for rows in (calm, wandering)]
    assert excess(calm, -1, steps[0]) > LIMIT
    assert excess(wandering, -1, steps[1]) < LIMIT / 2


def test_wandering_tag_does_not_hide_what_its_neighbours_do():
    rng = np.random.default_rng(7)
    calm = rng.normal(size=(400, 4))
    wandering = calm.copy()
    wandering[:, 3] = np.cumsum(calm[:, 3])
    for rows in (calm, wandering):
        assert excess(rows, 0, 4.0) > LIMIT


def test_machine_that_goes_on_warming_up_as_it_did_is_normal():
    rows = healthy(700)
    rows[:, 2] += np.linspace(0, 50, 700)
    learned = fit(rows[:400], WINDOW)
    scores = [evaluate(learned, last_window(rows[:end])).value for end in range(430, 700, 10)]
    assert max(scores) < LIMIT


@given(
    seed=st.integers(0, 50),
    level=st.floats(-100, 100),
    factor=st.floats(0.01, 100),
)
def test_score_does_not_depend_on_units(seed, level, factor):
    rows = healthy(200, 3, seed)
    window = rows[-WINDOW:] + 0.5
    plain = evaluate(fit(rows, WINDOW), window)
    other = evaluate(fit(rows * factor + level, WINDOW), window * factor + level)
    assert other.value == pytest.approx(plain.value, rel=1e-6)
    assert other.shares == pytest.approx(plain.shares, abs=1e-6)


@given(seed=st.integers(0, 100), size=st.floats(0, 1e6))
def test_shares_are_parts_of_one(seed, size):
    rows = healthy(150, 4, seed)
    window = rows[-WINDOW:] + size * np.array([1.0, 0, 0, 0])
    score = evaluate(fit(rows, WINDOW), window)
    assert np.isfinite(score.value)
    assert (score.shares >= 0).all()
    assert score.shares.sum() == pytest.approx(1.0)


def test_constant_tag_breaks_nothing_and_is_named_when_it_moves():
    rows = healthy(400)
    rows[:, 2] = 50.0
    learned = fit(rows, WINDOW)
    assert evaluate(learned, last_window(rows)).value < LIMIT
    moved = rows.copy()
    moved[-WINDOW:, 2] = 60.0
    score = evaluate(learned, last_window(moved))
    assert score.value > LIMIT
    assert int(np.argmax(score.shares)) == 2


def test_nothing_but_constant_tags_can_be_learned():
    rows = np.full((200, 3), 7.0)
    learned = fit(rows, WINDOW)
    still, moved = rows[-WINDOW:].astype(np.float32), rows[-WINDOW:].astype(np.float32)
    moved[:, 1] = 8.0
    assert evaluate(learned, still).value < 1
    assert evaluate(learned, moved).value > LIMIT


def test_single_tag_can_be_learned():
    rows = healthy(400, tags=1)
    learned = fit(rows, WINDOW)
    assert evaluate(learned, last_window(rows)).value < LIMIT
    moved = last_window(rows) + np.float32(8 * rows.std())
    assert evaluate(learned, moved).value > LIMIT


@pytest.mark.parametrize(("window", "rows"), [(1, 40), (2, 40), (5, 40), (60, 240)])
def test_any_window_length_can_be_learned_from_the_fewest_rows(window, rows):
    values = healthy(rows)
    score = evaluate(fit(values, window), values[-window:].astype(np.float32))
    assert np.isfinite(score.value)


@pytest.mark.parametrize(("window", "rows"), [(1, 40), (10, 40), (11, 44), (1000, 4000)])
def test_rows_needed_hold_four_windows(window, rows):
    assert rows_needed(window) == rows


def test_too_few_rows_are_refused_with_the_number_needed():
    with pytest.raises(ModelError, match="119 rows are too few"):
        fit(healthy(119), WINDOW)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_hold_no_number_are_refused_with_their_place(value):
    rows = healthy(200)
    rows[17, 3] = value
    with pytest.raises(ModelError, match="row 17, column 3"):
        fit(rows, WINDOW)


# ---------------------------------------------------------------- the alarm rule


def run(rule, scores, step_s=1.0):
    """The rule's answers to scores that come in at equal steps."""
    alarm, answers = Alarm(), []
    for i, score in enumerate(scores):
        alarm = rule.step(alarm, score, int(i * step_s * SECOND))
        answers.append(alarm.on)
    return answers


@pytest.mark.parametrize(
    ("scores", "on"),
    [
        ([0.9, 1.0, 1.1], [False, False, True]),
        ([1.0, 2.0, 1.1, 1.01, 0.99], [False, True, True, True, False]),
        ([2.0, 4.0, 2.1, 1.9], [True, True, True, False]),
        ([2.0, 0.9, 1.3, 1.4], [True, False, False, True]),
        ([100.0, 40.0, 3.1, 2.9], [True, True, True, False]),
    ],
    ids=[
        "starts above the limit, not at it",
        "stays while the score falls to half of its peak",
        "the peak may come later",
        "the next one needs 1.5 times the score at the end",
        "an extreme peak does not end it while the score is far out",
    ],
)
def test_alarm_rule(scores, on):
    assert run(AlarmRule(1.0), scores) == on


def test_raised_bar_sinks_back_to_the_limit_with_time():
    rule = AlarmRule(1.0)
    alarm = rule.step(Alarm(), 8.0, 0)
    alarm = rule.step(alarm, 2.0, 10 * SECOND)
    assert not alarm.on
    assert rule.bar(alarm, 10 * SECOND) == pytest.approx(3.0)
    assert rule.bar(alarm, 310 * SECOND) == pytest.approx(1 + 2 / np.e)
    assert rule.bar(alarm, 7200 * SECOND) == pytest.approx(1.0)


@given(peak=st.floats(1.01, 1e6), low=st.floats(0, 0.999))
def test_second_fault_as_strong_as_the_first_is_seen_at_once(peak, low):
    rule = AlarmRule(1.0)
    alarm = rule.step(Alarm(), peak, 0)
    alarm = rule.step(alarm, low * 0.5 * min(peak, 6.0), SECOND)
    assert not alarm.on
    assert rule.step(alarm, peak, 2 * SECOND).on


@given(peak=st.floats(1.01, 1e6))
def test_fault_of_twice_the_limit_hides_for_seven_minutes_at_most(peak):
    rule = AlarmRule(1.0)
    alarm = rule.step(Alarm(), peak, 0)
    alarm = rule.step(alarm, 0.499 * min(peak, 6.0), SECOND)
    assert rule.step(alarm, 2.0, 1 * SECOND + int(1.3 * 300) * SECOND).on


@given(st.lists(st.floats(0, 20), max_size=60), st.floats(0.1, 100))
def test_start_of_the_clock_changes_nothing(scores, step_s):
    rule = AlarmRule(1.5)
    plain, shifted, offset = Alarm(), Alarm(), 10**15
    for i, score in enumerate(scores):
        now = int(i * step_s) * SECOND
        plain = rule.step(plain, score, now)
        shifted = rule.step(shifted, score, now + offset)
        assert plain.on == shifted.on
