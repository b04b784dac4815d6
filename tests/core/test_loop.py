import math
import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from edgetwin.core.event import EventKind
from edgetwin.core.expression import parse_expression
from edgetwin.core.guard import Guard
from edgetwin.core.laws.formula import Formula
from edgetwin.core.laws.pid import Pid
from edgetwin.core.loop import EMPTY, Loop
from edgetwin.core.plan import Fail, Fallback, LoopPlan, Mode
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch, WriteOutcome, WriteResult
from edgetwin.core.tags import Tag, TagKind, TagTable, WriteLimits
from edgetwin.core.twin import Twin

MS = 1_000_000
PV, MV, SP, RUNNING = range(4)
OWN = (4, 5, 6)
SCAN = 100


class Skid:
    """A pump (speed in, pressure out), its twin, a guard and one loop, on a virtual clock in ms.

    ``scan`` is what the engine does when readings come in; ``pass_time`` ticks without any.
    """

    def __init__(self, *, control=True, limits=None, standing=1000.0, **plan):
        limits = limits or WriteLimits(600.0, 1750.0, rate=50.0)
        self.tags = TagTable(
            (
                Tag(PV, "skid/pressure", period=SCAN * MS, unit="bar"),
                Tag(MV, "skid/speed", period=SCAN * MS, unit="1/min", write=limits),
                Tag(SP, "skid/target", period=SCAN * MS),
                Tag(RUNNING, "skid/running", period=SCAN * MS),
                *(Tag(i, f"loop/t{i}", kind=TagKind.LOOP) for i in OWN),
            )
        )
        self.twin = Twin(self.tags)
        self.guard = Guard(self.tags, control=control)
        self.loop = Loop(0, _plan(plan), self.tags, self.guard)
        self.ms = 0
        self.pressure, self.speed = 4.0, standing
        self.target, self.running = 4.0, 1.0
        self.events, self.writes, self.answers = [], [], []
        self.outcome = WriteOutcome.WRITTEN
        self.quality = [0, 0, 0, 0]

    @property
    def now(self):
        return Instant(self.ms * MS, 1_700_000_000_000 * MS + self.ms * MS)

    @property
    def kinds(self):
        return [event.kind for event in self.events]

    def take(self, turn):
        """What the engine does with a turn: hand out the writes; the device answers at once."""
        self.events += turn.events
        for request in turn.writes:
            self.writes.append((self.ms, request.value))
            self.answers.append(request)
        if self.outcome is not None:
            while self.answers:
                self.answer(self.answers.pop())
        self.twin.apply(self.loop.outputs(self.now), self.now)

    def answer(self, request):
        kept = self.outcome is WriteOutcome.WRITTEN
        self.speed = request.value if kept else self.speed
        known = self.outcome in (WriteOutcome.WRITTEN, WriteOutcome.NOT_VERIFIED)
        read_back = self.speed if known else math.nan
        result = WriteResult(request.number, MV, self.outcome, read_back)
        self.guard.settle(result, self.now)
        self.take(self.loop.written(result, self.now))

    def scan(self, count=1, dt=SCAN):
        for _ in range(count):
            self.ms += dt
            self.pressure += (self.speed / 250.0 - self.pressure) * -math.expm1(-dt / 2000)
            values = np.array([self.pressure, self.speed, self.target, self.running])
            quality = np.array(self.quality, np.uint8)
            self.twin.apply(ReadingBatch(slice(0, 4), values, quality), self.now)
            self.take(self.loop.step(self.twin, self.now))
        return self

    def pass_time(self, ms, tick=10):
        for _ in range(0, ms, tick):
            self.ms += tick
            self.twin.age_out(self.now)
            self.take(self.loop.tick(self.twin, self.now))
        return self

    def ask(self, mode):
        self.take(self.loop.request(mode, "ann", self.twin, self.now))
        return self

    def shown(self):
        """The loop's own tags: setpoint, output, mode."""
        return [self.twin.value.item(tag) for tag in OWN]

    def shown_quality(self):
        return [self.twin.quality.item(tag) for tag in OWN]


def _plan(changes):
    plan = LoopPlan(
        name="pressure",
        law=Pid(100.0, 4.0),
        pv=PV,
        sp=4.2,
        sp_is_tag=False,
        mv=MV,
        every=SCAN * MS,
        mode=Mode.AUTO,
        on_fault=Fail(),
        on_stop=Fail(),
        permissives=(),
        sp_tag=OWN[0],
        out_tag=OWN[1],
        mode_tag=OWN[2],
    )
    return replace(plan, **changes)


TO_LOW = Fail(Fallback.VALUE, 900.0)
ONLY_RUNNING = (("pump runs", parse_expression("running"), (RUNNING,)),)


# ---------------------------------------------------------------- start and modes


def test_nothing_is_written_before_three_good_scans():
    skid = Skid().scan(3)
    assert skid.writes == []
    assert skid.scan().writes != []


def test_first_write_starts_from_the_mv_that_stands_at_the_pace_of_the_rate():
    skid = Skid(standing=1234.0).scan(4)
    assert abs(skid.writes[0][1] - 1234.0) <= 50.0 * 0.1 + 1e-9


def test_loop_in_auto_brings_pv_to_sp_inside_limits_and_rate():
    skid = Skid().scan(400)
    assert skid.pressure == pytest.approx(4.2, abs=0.01)
    assert skid.events == []
    for (t0, before), (t1, after) in pairwise(skid.writes):
        assert abs(after - before) <= 50.0 * (t1 - t0) / 1000 + 1e-6


def test_restart_a_hundred_times_in_closed_loop_never_bumps():
    skid = Skid().scan(100)
    for extra in range(100):
        before = skid.speed
        fresh = Skid(standing=before)
        fresh.pressure = skid.pressure
        fresh.scan(4)
        assert all(abs(value - before) <= 5.0 + 1e-9 for _, value in fresh.writes)
        skid.scan(1 + extra % 3)


def test_loop_that_is_off_computes_and_writes_nothing():
    skid = Skid(mode=Mode.OFF).scan(20).pass_time(500)
    assert (skid.writes, skid.events) == ([], [])
    assert skid.shown()[2] == 0.0
    assert skid.shown_quality()[1] == Quality.NOT_YET_READ


def test_shadow_shows_what_it_would_write_next_and_writes_nothing():
    skid = Skid(mode=Mode.SHADOW).scan(200)
    assert skid.writes == []
    sp, out, mode = skid.shown()
    assert (sp, mode) == (4.2, 1.0)
    # one step of the integral above the mv that stands: it does not wind up while it cannot act
    assert 1000.0 < out < 1001.0
    shadow_out = out
    skid.ask(Mode.AUTO).scan()
    assert skid.writes[0][1] == pytest.approx(shadow_out, abs=0.1)


def test_mode_change_is_told_with_who():
    skid = Skid(mode=Mode.SHADOW).scan(5).ask(Mode.AUTO)
    assert skid.events[0].kind is EventKind.LOOP_MODE
    assert skid.events[0].text == "loop pressure: goes from shadow to auto, by ann"
    assert skid.events[0].facts == (("by", "ann"), ("mode", "auto"))
    assert skid.ask(Mode.AUTO).kinds == [EventKind.LOOP_MODE]


def test_auto_needs_the_control_switch():
    skid = Skid(control=False).scan(10)
    assert skid.loop.mode is Mode.SHADOW
    skid.ask(Mode.AUTO).scan(10)
    assert skid.loop.mode is Mode.SHADOW
    assert skid.writes == []
    assert (
        "stays in shadow: control is off. Write 'control: {enabled: true}'" in skid.events[0].text
    )


def test_loop_switched_off_waits_for_three_good_scans_again():
    skid = Skid().scan(10).ask(Mode.OFF).scan(5)
    count = len(skid.writes)
    assert skid.shown_quality()[1] == Quality.BAD
    skid.ask(Mode.AUTO).scan(3)
    assert len(skid.writes) == count
    skid.scan()
    assert len(skid.writes) == count + 1


def test_loop_back_from_shadow_continues_at_the_mv_that_stands():
    skid = Skid().scan(50).ask(Mode.SHADOW)
    skid.speed = 1400.0  # somebody moves it by hand
    skid.scan(5).ask(Mode.AUTO)
    count = len(skid.writes)
    skid.scan()
    assert abs(skid.writes[count][1] - 1400.0) <= 5.0 + 1e-9


# ---------------------------------------------------------------- pace


def test_law_runs_at_its_own_period_though_the_pv_comes_faster():
    skid = Skid(every=5 * SCAN * MS).scan(100)
    times = [ms for ms, _ in skid.writes]
    assert {b - a for a, b in pairwise(times)} == {5 * SCAN}
    assert len(times) >= 15


def test_late_scan_does_not_cost_the_next_one():
    skid = Skid().scan(4).scan(dt=140).scan(dt=60).scan(3)
    assert [b - a for (a, _), (b, _) in pairwise(skid.writes)] == [140, 60, 100, 100, 100]


def test_scan_that_comes_a_little_early_is_not_missed():
    skid = Skid().scan(3)
    skid.scan(10, dt=85)
    assert len(skid.writes) == 10


def test_setpoint_and_inputs_may_be_tags():
    law = Formula(parse_expression("sp * 250 + extra"))
    limits = WriteLimits(600.0, 1750.0)
    skid = Skid(law=law, sp=SP, sp_is_tag=True, inputs=(RUNNING,), limits=limits).scan(4)
    assert skid.writes[-1][1] == 1001.0
    assert skid.shown()[:2] == [4.0, 1001.0]


def test_small_moves_wait_until_they_are_worth_a_write():
    limits = WriteLimits(600.0, 1750.0, rate=10.0, deadband=4.0)
    skid = Skid(limits=limits, law=Pid(1000.0, 1.0)).scan(60)
    moves = [b - a for (_, a), (_, b) in pairwise(skid.writes)]
    assert moves
    assert all(abs(move) >= 4.0 for move in moves)
    assert skid.events == []


def test_no_step_is_made_while_a_write_is_out():
    skid = Skid().scan(4)
    skid.outcome = None
    skid.scan(5)
    assert len(skid.writes) == 2
    assert skid.events == []
    skid.outcome = WriteOutcome.WRITTEN
    skid.answer(skid.answers.pop())
    assert len(skid.scan().writes) == 3


# ---------------------------------------------------------------- fail-safe


def test_stale_pv_is_a_fault_within_two_scans_and_one_period_told_once():
    skid = Skid().scan(10)
    silent_since = skid.ms
    count = len(skid.writes)
    while not skid.loop.faulted:
        skid.pass_time(10)
    assert skid.ms - silent_since <= 2 * SCAN + SCAN
    skid.pass_time(2000)
    assert skid.kinds == [EventKind.LOOP_FAULT]
    text = "loop pressure: skid/pressure is bad: stale. skid/speed stays as it is"
    assert skid.events[0].text == text
    assert len(skid.writes) == count
    assert skid.shown()[2] == 12.0
    assert skid.shown_quality() == [Quality.GOOD, Quality.BAD, Quality.GOOD]


@pytest.mark.parametrize(
    ("tag", "word"),
    [
        (PV, Quality.DEVICE_FAULT),
        (PV, Quality.OUT_OF_RANGE),
        (PV, Quality.FROZEN),
        (SP, Quality.UNCERTAIN),
        (MV, Quality.NO_COMMUNICATION),
        (RUNNING, Quality.NOT_A_NUMBER),
    ],
)
def test_any_input_that_is_not_good_is_a_fault_at_once(tag, word):
    skid = Skid(sp=SP, sp_is_tag=True, inputs=(RUNNING,)).scan(10)
    count = len(skid.writes)
    skid.quality[tag] = word
    skid.scan()
    assert skid.kinds == [EventKind.LOOP_FAULT]
    assert word.words in skid.events[0].text
    assert skid.tags[tag].name in skid.events[0].text
    assert len(skid.writes) == count


def test_fail_safe_value_is_reached_at_the_rate_and_then_left_alone():
    skid = Skid(on_fault=TO_LOW).scan(4)
    skid.quality[PV] = Quality.DEVICE_FAULT
    fault_at, before = skid.ms, skid.speed
    skid.scan(60)
    assert skid.events[0].text.endswith("skid/speed goes to 900 1/min")
    assert skid.speed == 900.0
    moves = [(ms, value) for ms, value in skid.writes if ms > fault_at]
    assert moves[0][0] <= fault_at + SCAN
    assert len(moves) < 30
    for (_, a), (_, b) in pairwise([(0, before), *moves]):
        assert abs(b - a) <= 5.0 + 1e-6


def test_fail_safe_value_goes_on_by_ticks_when_no_reading_comes_any_more():
    skid = Skid(on_fault=TO_LOW).scan(10)
    start = skid.speed
    for _ in range(100):  # the mv stays known, only the pv is lost
        skid.ms += SCAN
        mv_only = ReadingBatch(slice(MV, MV + 1), np.array([skid.speed]))
        skid.twin.apply(mv_only, skid.now)
        skid.take(skid.loop.tick(skid.twin, skid.now))
    assert start > 900.0
    assert skid.speed == 900.0


def test_fail_safe_does_not_write_blindly_when_the_mv_is_lost_too():
    skid = Skid(on_fault=TO_LOW).scan(10)
    count = len(skid.writes)
    skid.pass_time(3000)
    assert len(skid.writes) == count
    assert skid.kinds == [EventKind.LOOP_FAULT]


def test_shadow_writes_nothing_in_fault_either():
    skid = Skid(mode=Mode.SHADOW, on_fault=TO_LOW).scan(10)
    skid.quality[PV] = Quality.DEVICE_FAULT
    skid.scan(20)
    assert skid.writes == []
    assert skid.events[0].text.endswith("In shadow nothing was written anyway")


def test_return_from_fault_takes_three_good_scans_and_is_bumpless():
    skid = Skid(on_fault=TO_LOW).scan(10)
    skid.quality[PV] = Quality.DEVICE_FAULT
    skid.scan(10)
    skid.quality[PV] = Quality.GOOD
    skid.scan(2)
    assert skid.loop.faulted
    skid.scan()
    assert not skid.loop.faulted
    assert skid.kinds == [EventKind.LOOP_FAULT, EventKind.LOOP_BACK]
    assert skid.events[1].text == "loop pressure: is back in auto"
    before = skid.speed
    skid.scan()
    assert abs(skid.speed - before) <= 5.0 + 1e-9
    skid.scan(600)
    assert skid.pressure == pytest.approx(4.2, abs=0.01)


def scans_to_return(skid):
    """One bad scan, and how many good ones it takes then."""
    skid.quality[PV] = Quality.DEVICE_FAULT
    skid.scan()
    skid.quality[PV] = Quality.GOOD
    assert skid.loop.faulted
    for count in range(1, 100):
        skid.scan()
        if not skid.loop.faulted:
            return count
    return pytest.fail("it never comes back")


def test_a_loop_that_fails_again_and_again_waits_longer_each_time_until_it_held_for_a_minute():
    skid = Skid().scan(10)
    assert [scans_to_return(skid) for _ in range(7)] == [3, 6, 12, 24, 48, 48, 48]
    skid.scan(598)
    assert scans_to_return(skid) == 48
    skid.scan(600)
    assert scans_to_return(skid) == 3


def test_a_person_who_sets_the_mode_need_not_wait_longer():
    skid = Skid().scan(10)
    assert [scans_to_return(skid) for _ in range(3)] == [3, 6, 12]
    skid.ask(Mode.OFF)
    skid.ask(Mode.AUTO)
    skid.writes.clear()
    assert skid.scan(3).writes == []
    assert skid.scan().writes != []


def test_one_bad_scan_among_good_ones_starts_the_count_anew():
    skid = Skid().scan(2)
    skid.quality[PV] = Quality.DEVICE_FAULT
    skid.scan()
    skid.quality[PV] = Quality.GOOD
    assert skid.scan(3).writes == []
    assert skid.scan().writes != []


def test_pv_on_its_way_at_the_start_is_waited_for_but_not_for_ever():
    skid = Skid().pass_time(9000, tick=100)
    assert skid.events == []
    assert skid.loop.state_words == "auto, waiting for good scans"
    skid.pass_time(2000, tick=100)
    assert skid.kinds == [EventKind.LOOP_FAULT]
    assert "skid/pressure is bad: not yet read" in skid.events[0].text


def test_clock_step_does_not_move_the_loop():
    steady, stepped = Skid().scan(20), Skid().scan(10)
    wall = Skid.now.fget
    jumped = type("Jumped", (Skid,), {"now": property(lambda s: _jump(wall(s)))})
    stepped.__class__ = jumped
    stepped.scan(10)
    assert stepped.writes == steady.writes


def _jump(now):
    return Instant(now.mono, now.wall - 3600 * 1000 * MS)


# ---------------------------------------------------------------- permissives


def test_permissive_that_is_not_met_is_a_fault_that_names_it():
    skid = Skid(permissives=ONLY_RUNNING).scan(10)
    skid.running = 0.0
    skid.scan(5)
    assert skid.kinds == [EventKind.LOOP_FAULT]
    assert "permissive pump runs not met" in skid.events[0].text
    skid.running = 1.0
    skid.scan(3)
    assert skid.kinds[-1] is EventKind.LOOP_BACK


def test_permissive_whose_input_is_bad_is_not_met():
    skid = Skid(permissives=ONLY_RUNNING).scan(10)
    skid.quality[RUNNING] = Quality.DEVICE_FAULT
    skid.scan()
    expected = "permissive pump runs: skid/running is bad: device fault"
    assert expected in skid.events[0].text


def test_permissive_without_a_result_is_not_met():
    broken = (("ratio", parse_expression("1 / running"), (RUNNING,)),)
    skid = Skid(permissives=broken)
    skid.running = 0.0
    skid.scan(5)
    assert "permissive ratio not met" in skid.events[0].text


# ---------------------------------------------------------------- writes that fail


@pytest.mark.parametrize("outcome", [WriteOutcome.REFUSED, WriteOutcome.NOT_VERIFIED])
def test_failed_write_is_tried_once_more_then_a_person_is_needed(outcome):
    skid = Skid(on_fault=TO_LOW).scan(10)
    skid.outcome, count = outcome, len(skid.writes)
    skid.scan(30).pass_time(1000)
    assert skid.kinds == [EventKind.WRITE_FAILED, EventKind.LOOP_FAULT]
    assert f"skid/speed was not written as asked ({outcome})" in skid.events[0].text
    assert "Set the mode again" in skid.events[1].text
    assert len(skid.writes) == count + 2
    skid.outcome = WriteOutcome.WRITTEN
    skid.scan(10)
    assert len(skid.writes) == count + 2
    skid.ask(Mode.AUTO).scan(3)
    assert skid.kinds[2:] == [EventKind.LOOP_MODE, EventKind.LOOP_BACK]
    assert len(skid.scan().writes) == count + 3


def test_write_that_works_again_at_the_second_try_is_no_fault():
    skid = Skid().scan(10)
    for _ in range(3):
        skid.outcome = WriteOutcome.NOT_VERIFIED
        skid.scan()
        skid.outcome = WriteOutcome.WRITTEN
        skid.scan()
    assert skid.kinds == [EventKind.WRITE_FAILED] * 3
    assert not skid.loop.faulted


@pytest.mark.parametrize("outcome", [WriteOutcome.NO_COMMUNICATION, WriteOutcome.EXPIRED])
def test_write_without_an_answer_is_input_trouble_and_heals_by_itself(outcome):
    skid = Skid().scan(10)
    skid.outcome = outcome
    skid.scan()
    skid.outcome = WriteOutcome.WRITTEN
    assert skid.kinds == [EventKind.LOOP_FAULT]
    assert "a write to skid/speed got no answer" in skid.events[0].text
    skid.scan(3)
    assert skid.kinds == [EventKind.LOOP_FAULT, EventKind.LOOP_BACK]


def test_results_of_other_writers_are_not_taken_for_own():
    skid = Skid().scan(10)
    foreign = WriteResult(9999, MV, WriteOutcome.REFUSED, math.nan)
    assert skid.loop.written(foreign, skid.now) is EMPTY


def test_refusal_of_the_guard_is_told_once_per_streak():
    skid = Skid(standing=1900.0).scan(10)
    assert skid.kinds == [EventKind.WRITE_REFUSED]
    assert "too far from 1900" in skid.events[0].text
    skid.speed = 1700.0
    skid.scan(5)
    skid.speed = 1900.0
    skid.scan(5)
    assert skid.kinds == [EventKind.WRITE_REFUSED] * 2


# ---------------------------------------------------------------- the end


def test_stop_holds_what_stands():
    skid = Skid().scan(10)
    count = len(skid.writes)
    skid.take(skid.loop.stop(skid.twin, skid.now))
    assert len(skid.writes) == count
    assert skid.loop.mode is Mode.OFF
    assert "from auto to off, because the gateway ends; it writes no more" in skid.events[0].text
    assert skid.loop.stop(skid.twin, skid.now) is EMPTY


def test_stop_with_a_value_makes_one_last_write_as_far_as_the_rate_allows():
    skid = Skid(on_stop=TO_LOW).scan(10)
    before, count = skid.speed, len(skid.writes)
    skid.ms += 100
    skid.take(skid.loop.stop(skid.twin, skid.now))
    assert skid.speed == pytest.approx(before - 5.0)
    skid.scan(5).pass_time(500)
    assert len(skid.writes) == count + 1


def test_shadow_leaves_the_output_alone_when_it_is_stopped():
    skid = Skid(mode=Mode.SHADOW, on_stop=TO_LOW).scan(10)
    skid.take(skid.loop.stop(skid.twin, skid.now))
    assert skid.writes == []


# ---------------------------------------------------------------- properties


@pytest.mark.parametrize("seed", range(20))
def test_in_any_trouble_every_write_is_allowed_and_the_same_story_gives_the_same_writes(seed):
    first, second = _story(seed), _story(seed)
    assert first.writes == second.writes
    assert first.events == second.events
    assert first.writes
    for (t0, a), (t1, b) in pairwise(first.writes):
        assert 600.0 <= b <= 1750.0
        assert t1 > t0 or a != b


def _story(seed):
    """Half a minute in which everything may happen to the loop."""
    rng = random.Random(seed)
    skid = Skid(on_fault=rng.choice([TO_LOW, Fail()]), permissives=ONLY_RUNNING).scan(10)
    for _ in range(300):
        skid.quality = [rng.choice([0] * 40 + [0x82, 0x41, 0x83]) for _ in range(4)]
        skid.quality[SP] = 0  # not an input of this loop
        skid.running = float(rng.random() < 0.98)
        skid.outcome = rng.choice([WriteOutcome.WRITTEN] * 20 + list(WriteOutcome))
        if rng.random() < 0.03:
            skid.ask(rng.choice(list(Mode)))
        if rng.random() < 0.1:
            skid.pass_time(rng.choice([50, 300, 700]))
        good = not any(skid.quality) and skid.running
        writes = len(skid.writes)
        skid.scan()
        if skid.loop.mode is not Mode.AUTO:
            assert len(skid.writes) == writes
        assert skid.loop.faulted or good or skid.loop.mode is Mode.OFF
    return skid
