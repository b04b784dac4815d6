"""Alarms: every way from state to state, and what holds whatever happens in between."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edgetwin.core.alarm import (
    START,
    AlarmState,
    Standing,
    acknowledge,
    judge,
    shelve,
    unshelve,
)
from edgetwin.core.plan import SECOND, AlarmPlan

A = AlarmState
PLAIN = AlarmPlan("skid/p.high", 0, 8.0)
LATCHING = AlarmPlan("skid/p.high", 0, 8.0, latch=True)
DELAYED = AlarmPlan("skid/p.high", 0, 8.0, on_delay=2 * SECOND, off_delay=3 * SECOND)


def look(before, holds, plan=PLAIN, now=0, suppressed=False):
    return judge(plan, before, holds=holds, suppressed=suppressed, now=now * SECOND)


@pytest.mark.parametrize(
    ("plan", "before", "holds", "after"),
    [
        (PLAIN, A.NORMAL, True, A.UNACKNOWLEDGED),
        (PLAIN, A.NORMAL, False, A.NORMAL),
        (PLAIN, A.UNACKNOWLEDGED, False, A.RETURNED),
        (PLAIN, A.ACKNOWLEDGED, False, A.NORMAL),
        (PLAIN, A.RETURNED, True, A.UNACKNOWLEDGED),
        (LATCHING, A.UNACKNOWLEDGED, False, A.LATCHED),
        (LATCHING, A.ACKNOWLEDGED, False, A.LATCHED),
        (LATCHING, A.LATCHED, True, A.UNACKNOWLEDGED),
    ],
)
def test_condition_leads_from_state_to_state(plan, before, holds, after):
    assert look(Standing(before, on=not holds), holds, plan).state is after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (A.NORMAL, A.NORMAL),
        (A.UNACKNOWLEDGED, A.ACKNOWLEDGED),
        (A.ACKNOWLEDGED, A.ACKNOWLEDGED),
        (A.RETURNED, A.NORMAL),
        (A.LATCHED, A.NORMAL),
        (A.SHELVED, A.SHELVED),
        (A.SUPPRESSED, A.SUPPRESSED),
    ],
)
def test_acknowledging_leads_from_state_to_state(before, after):
    assert acknowledge(Standing(before)).state is after
    assert before.wants_a_person == (before is not after)


def test_alarm_comes_only_after_its_delay_and_a_break_begins_it_anew():
    standing = START
    states = []
    for now, holds in enumerate((True, True, False, True, True, True)):
        standing = look(standing, holds, DELAYED, now)
        states.append(standing.state)
    assert states == [A.NORMAL] * 5 + [A.UNACKNOWLEDGED]


def test_alarm_goes_only_after_its_delay():
    standing = Standing(A.UNACKNOWLEDGED, on=True)
    states = []
    for now, holds in enumerate((False, False, True, False, False, False, False)):
        standing = look(standing, holds, DELAYED, now)
        states.append(standing.state)
    assert states == [A.UNACKNOWLEDGED] * 6 + [A.RETURNED]


def test_unknown_value_changes_nothing_and_begins_the_delay_anew():
    standing = look(look(START, True, DELAYED, 0), None, DELAYED, 1)
    assert standing == START
    assert look(standing, True, DELAYED, 2).state is A.NORMAL
    on = Standing(A.ACKNOWLEDGED, on=True)
    assert look(on, None) == on


def test_shelved_alarm_is_silent_until_its_time_and_then_speaks_if_it_is_on():
    standing = shelve(look(START, True), 10 * SECOND)
    assert look(standing, True, now=9).state is A.SHELVED
    assert look(standing, True, now=10).state is A.UNACKNOWLEDGED
    assert look(standing, False, now=10).state is A.NORMAL
    assert unshelve(standing).state is A.UNACKNOWLEDGED
    assert unshelve(START) == START


def test_suppressed_alarm_is_silent_and_speaks_afterwards_if_it_is_on():
    standing = look(START, True, suppressed=True)
    assert standing.state is A.SUPPRESSED
    assert look(standing, True).state is A.UNACKNOWLEDGED
    assert look(standing, False).state is A.NORMAL
    assert look(shelve(standing, SECOND), True, suppressed=True).state is A.SHELVED


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens in whatever order, the state says what a person may rely on."""

    @initialize(
        on=st.integers(0, 5), off=st.integers(0, 5), latch=st.booleans(), start=st.integers(0, 9)
    )
    def begin(self, on, off, latch, start):
        self.plan = AlarmPlan(
            "a", 0, 1.0, on_delay=on * SECOND, off_delay=off * SECOND, latch=latch
        )
        self.now = start * SECOND
        self.standing = START
        self.held_since = self.gone_since = None
        self.suppressed = False
        self.seen_by_a_person = False

    @rule(holds=st.sampled_from([True, False, None]), step=st.integers(1, 4), off=st.booleans())
    def time_passes(self, holds, step, off):
        self.now += step * SECOND
        self.suppressed = off and step == 1
        self.held_since = (self.held_since or self.now) if holds else None
        self.gone_since = (self.gone_since or self.now) if holds is False else None
        before = self.standing
        self.standing = judge(
            self.plan, before, holds=holds, suppressed=self.suppressed, now=self.now
        )
        self.check_change(before)

    def check_change(self, before):
        after = self.standing
        if after.on and not before.on:
            assert self.now - self.held_since >= self.plan.on_delay
        if before.on and not after.on:
            assert self.now - self.gone_since >= self.plan.off_delay
        if after.state is A.UNACKNOWLEDGED and before.state is not A.UNACKNOWLEDGED:
            self.seen_by_a_person = False
        if before.state is A.UNACKNOWLEDGED and after.state is A.NORMAL:
            raise AssertionError("it went by itself before anybody saw it")

    @rule()
    def acknowledged(self):
        self.seen_by_a_person |= self.standing.state is A.UNACKNOWLEDGED
        self.standing = acknowledge(self.standing)

    @rule(span=st.integers(1, 9))
    def shelved(self, span):
        self.standing = shelve(self.standing, self.now + span * SECOND)

    @precondition(lambda self: self.standing.state is A.SHELVED)
    @rule()
    def taken_from_the_shelf(self):
        self.standing = unshelve(self.standing)
        if self.standing.state is A.UNACKNOWLEDGED:
            self.seen_by_a_person = False

    @invariant()
    def state_fits_the_condition(self):
        state, on = self.standing.state, self.standing.on
        if state in {A.UNACKNOWLEDGED, A.ACKNOWLEDGED}:
            assert on
        if state in {A.NORMAL, A.RETURNED, A.LATCHED}:
            assert not on
        assert (state is A.LATCHED) <= self.plan.latch
        assert (state is A.RETURNED) <= (not self.plan.latch)

    @invariant()
    def nobody_is_said_to_have_seen_what_nobody_saw(self):
        assert (self.standing.state is A.ACKNOWLEDGED) <= self.seen_by_a_person

    @invariant()
    def shelving_ends_and_suppression_only_lasts_while_it_is_on(self):
        if self.standing.state is A.SHELVED:
            assert self.standing.until > 0


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
