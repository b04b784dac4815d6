"""A control loop: when its law runs, what it may write, and what happens when it cannot know.

Theory of operation. A loop has a mode, which people choose, and it is sound or in fault, which the
plant decides:

             three good scans ┌──────────┐   trouble    ┌─────────────┐
    start ───────────────────▶│  sound   │─────────────▶│    fault    │
                              │ law runs │◀─────────────│  fail-safe  │
                              └──────────┘  three good  └─────────────┘
                                            scans (refused writes: a person)

off        Nothing is computed or written.
shadow     In each step the law is started anew at the mv that stands; its output is what it would
           write next if it were in auto now. Nothing is written, not even in fault.
auto       The law's output goes through the guard. This needs the gateway's control switch; without
           it a loop that is configured for auto runs in shadow.

Trouble    A pv, sp, mv or other input that is not good, or stale by now; a permissive that is not
           true or not known; a write without an answer. Looked for in every step and tick, so it is
           found as soon as the twin can know it: two scans, and at most one tick more.
Fail-safe  ``hold``: no more writes. ``value``: towards the value at the rate that the guard allows,
           a step in every period, while the trouble lasts and the mv is known.
Return     After three good scans the law is started at the mv that stands then: no bump. A loop
           that fails again within a minute waits twice as long each time, up to 48 good scans.
Refusals   A write that the device refused or did not keep is tried once more, by the next step.
           After two in a row nothing is written, not even by the fail-safe, until a person sets the
           mode again.
Stop       ``hold``: nothing. ``value``: one last write, as far as limits and rate allow now.

The time between two steps is what has really passed, but never more than three periods.
"""

import math
from typing import NamedTuple

from edgetwin.core.event import Event, EventKind
from edgetwin.core.guard import Footing, Guard, Refusal, Wish
from edgetwin.core.laws.law import Band, Sample
from edgetwin.core.plan import SECOND, Fail, Fallback, LoopPlan, Mode
from edgetwin.core.reading import (
    Authority,
    Instant,
    ReadingBatch,
    Scalar,
    WriteOutcome,
    WriteRequest,
    WriteResult,
)
from edgetwin.core.senses import Outputs, Senses, Trouble
from edgetwin.core.tags import TagTable
from edgetwin.core.tuples import new
from edgetwin.core.twin import Twin

# an attribute of an enum costs a call before Python 3.12
_LOOP, _OFF, _SHADOW, _AUTO = Authority.LOOP, Mode.OFF, Mode.SHADOW, Mode.AUTO

GOOD_SCANS = 3
MOST_GOOD_SCANS = 48
RELAPSE = 60 * SECOND
MOST_PERIODS = 3
MODE_NUMBER = {Mode.OFF: 0.0, Mode.SHADOW: 1.0, Mode.AUTO: 2.0}
IN_FAULT = 10.0
"""What the mode tag shows: 0 off, 1 shadow, 2 auto; 11 and 12 while in fault."""


class LoopTurn(NamedTuple):
    """What a loop gives out in one turn."""

    writes: tuple[WriteRequest, ...] = ()
    events: tuple[Event, ...] = ()


EMPTY = LoopTurn()


class Loop:
    """One loop. Everything it knows comes by its methods; it reads no clock."""

    def __init__(self, index: int, plan: LoopPlan, tags: TagTable, guard: Guard) -> None:
        self.index = index
        self.plan = plan
        self.mode = plan.mode if guard.control or plan.mode is _OFF else _SHADOW
        self.fault = ""
        self._tags = tags
        self._guard = guard
        self._senses = Senses(plan, tags)
        self._outputs = Outputs(plan)
        self._limits = tags[plan.mv].write
        self._by = f"loop {plan.name}"
        # The scan nearest to the due time counts, so that a late one does not cost the next.
        self._soonest = plan.every - min(plan.every, tags[plan.pv].period) // 2
        self._longest = MOST_PERIODS * max(plan.every, tags[plan.pv].period)
        self._good_scans = 0
        self._patience = GOOD_SCANS
        self._back_at = -(1 << 62)
        self._sample: Sample | None = None
        self._state: object = None
        self._ran_at = self._moved_at = -(1 << 62)
        self._sent = 0
        self._failures = 0
        self._latched = False
        self._refused = False

    @property
    def faulted(self) -> bool:
        """Whether the loop is in fault, and its fail-safe in force."""
        return bool(self.fault)

    @property
    def state_words(self) -> str:
        """For people: ``auto``, ``shadow, waiting for good scans``, ``auto, fault: …``."""
        if self.fault:
            return f"{self.mode}, fault: {self.fault}"
        waits = self.mode is not _OFF and self._good_scans < self._patience
        return f"{self.mode}, waiting for good scans" if waits else str(self.mode)

    def outputs(self, now: Instant) -> ReadingBatch:
        """The loop's own tags: setpoint, output and mode (see ``IN_FAULT``)."""
        mode = MODE_NUMBER[self.mode] + (IN_FAULT if self.fault else 0.0)
        return self._outputs.batch(mode, now)

    # ------------------------------------------------------------ what may happen

    def step(self, twin: Twin, now: Instant) -> LoopTurn:
        """The pv, or what it is derived from, has come in."""
        if self.mode is _OFF:
            return EMPTY
        trouble = self._senses.trouble(twin, now)
        if trouble:
            return self._in_trouble(trouble, twin, now)
        elapsed = now.mono - self._ran_at
        if elapsed < self._soonest or self._latched:
            return EMPTY
        sample = self._senses.sample(twin, min(elapsed, self._longest) / SECOND)
        self._outputs.sp = sample.sp
        if self._good_scans < self._patience:
            return self._count_good_scan(sample, now)
        return self._run(sample, twin, now)

    def tick(self, twin: Twin, now: Instant) -> LoopTurn:
        """Time has passed."""
        if self.mode is _OFF:
            return EMPTY
        trouble = self._senses.trouble(twin, now)
        return self._in_trouble(trouble, twin, now) if trouble else EMPTY

    def request(self, mode: Mode, by: str, twin: Twin, now: Instant) -> LoopTurn:
        """A person wants another mode, or, after refused writes, the same one again."""
        if mode is _AUTO and not self._guard.control:
            text = f"stays in {self.mode}: control is off. Write 'control: {{enabled: true}}'"
            return self._tell(EventKind.WRITE_REFUSED, text, by=by)
        if mode is self.mode and not self._latched:
            return EMPTY
        text = f"goes from {self.mode} to {mode}, by {by}"
        if _OFF in (mode, self.mode) or self._latched:
            self._good_scans, self._patience = 0, GOOD_SCANS
        if mode is _OFF:
            self.fault = ""
            self._outputs.doubt()
        self.mode, self._state = mode, None
        self._latched, self._failures, self._refused = False, 0, False
        follows = self.tick(twin, now)
        told = self._tell(EventKind.LOOP_MODE, text, by=by, mode=str(mode))
        return LoopTurn(follows.writes, told.events + follows.events)

    def written(self, result: WriteResult, now: Instant) -> LoopTurn:
        """The end of a write to the mv, told after the guard. Others' writes do not matter here."""
        if result.number != self._sent:
            return EMPTY
        if result.outcome is WriteOutcome.WRITTEN:
            self._failures = 0
            return EMPTY
        mv = self._tags[self.plan.mv].name
        told = f"{mv} was not written as asked ({result.outcome}): {result.detail or 'no reason'}."
        if self.mode is not _AUTO:
            return self._tell(EventKind.WRITE_FAILED, told, tag=mv)
        if result.outcome in (WriteOutcome.NO_COMMUNICATION, WriteOutcome.EXPIRED):
            self._ran_at = now.mono
            return LoopTurn(events=self._enter_fault(f"a write to {mv} got no answer", now))
        self._failures += 1
        if self._failures < 2:
            return self._tell(EventKind.WRITE_FAILED, f"{told} It is tried once more", tag=mv)
        self._latched = True
        cure = "Set the mode again when this is cured"
        return LoopTurn(events=self._enter_fault(f"{told} {cure}", now))

    def stop(self, twin: Twin, now: Instant) -> LoopTurn:
        """The gateway ends: follow the end rule, then be off."""
        if self.mode is _OFF:
            return EMPTY
        given = EMPTY
        if self.mode is _AUTO and not self._latched:
            given = self._go_towards(self.plan.on_stop, "the gateway ends", twin, now)
        done = (
            f"{given.writes[0].value:g} is its last write" if given.writes else "it writes no more"
        )
        text = f"goes from {self.mode} to off, because the gateway ends; {done}"
        self.mode, self.fault = _OFF, ""
        told = self._tell(EventKind.LOOP_MODE, text, by="the end of the gateway", mode="off")
        return LoopTurn(given.writes, given.events + told.events)

    # ------------------------------------------------------------ sound

    def _count_good_scan(self, sample: Sample, now: Instant) -> LoopTurn:
        self._good_scans += 1
        self._ran_at, self._sample, self._state = now.mono, sample, None
        if self._good_scans < self._patience or not self.fault:
            return EMPTY
        self.fault, self._back_at = "", now.mono
        return self._tell(EventKind.LOOP_BACK, f"is back in {self.mode}", mode=str(self.mode))

    def _run(self, sample: Sample, twin: Twin, now: Instant) -> LoopTurn:
        """One step of the law, unless what stands is not known for the moment."""
        footing = self._guard.footing(self.plan.mv, twin, now)
        if footing.busy or math.isnan(footing.standing):
            return EMPTY
        law, before = self.plan.law, self._sample or sample
        if self._state is None or self.mode is _SHADOW:
            self._state = law.start(before, footing.standing)
        step = law.step(self._state, sample, self._band(footing, sample.dt))
        self._state, self._sample, self._ran_at = step.state, sample, now.mono
        self._outputs.out = step.mv
        if self.mode is not _AUTO:
            return EMPTY
        return self._ask(step.mv, f"pv {sample.pv:g}, sp {sample.sp:g}", twin, now)

    def _band(self, footing: Footing, dt: float) -> Band:
        """Where the output may go in this step: within the guard's reach, at the pace of this loop.

        The guard would allow a second's worth after a quiet while; a loop does not jump.
        """
        standing, limits = footing.standing, self._limits
        if limits is None:
            return new(Band, (standing, standing))
        room = max(limits.rate * dt, 2.0 * max(limits.deadband, limits.tolerance))
        if footing.low > footing.high:  # what stands lies far outside: the guard says so
            return new(Band, (limits.low, limits.high))
        low, high = max(footing.low, standing - room), min(footing.high, standing + room)
        return new(Band, (low, high) if low <= high else (footing.low, footing.high))

    # ------------------------------------------------------------ in fault

    def _in_trouble(self, trouble: Trouble, twin: Twin, now: Instant) -> LoopTurn:
        if self._latched or (trouble.may_wait and not self.fault):
            return EMPTY
        events = self._enter_fault(trouble.text, now)
        given = self._fail_safe(twin, now)
        return LoopTurn(given.writes, events + given.events) if events else given

    def _enter_fault(self, text: str, now: Instant) -> tuple[Event, ...]:
        """Into fault; told once, though the status goes on to show the latest cause."""
        told, self.fault = bool(self.fault) and not self._latched, text
        self._good_scans, self._state = 0, None
        if told:
            return ()
        relapsed = now.mono - self._back_at < RELAPSE
        self._patience = min(2 * self._patience, MOST_GOOD_SCANS) if relapsed else GOOD_SCANS
        self._outputs.doubt()
        self._moved_at = -(1 << 62)
        mode, cause = str(self.mode), f"{text}. {self._consequence()}"
        return self._tell(EventKind.LOOP_FAULT, cause, mode=mode).events

    def _consequence(self) -> str:
        mv, rule = self._tags[self.plan.mv], self.plan.on_fault
        if self.mode is not _AUTO:
            return f"In {self.mode} nothing was written anyway"
        if self._latched or rule.action is Fallback.HOLD:
            return f"{mv.name} stays as it is"
        return f"{mv.name} goes to {rule.value:g} {mv.unit}".rstrip()

    def _fail_safe(self, twin: Twin, now: Instant) -> LoopTurn:
        paused = now.mono - self._moved_at < self._soonest
        if self.mode is not _AUTO or self._latched or paused:
            return EMPTY
        given = self._go_towards(self.plan.on_fault, f"fail-safe: {self.fault}", twin, now)
        if given.writes:
            self._moved_at = now.mono
        return given

    def _go_towards(self, rule: Fail, reason: str, twin: Twin, now: Instant) -> LoopTurn:
        reach = self._guard.reach(self.plan.mv, twin, now)
        if rule.action is Fallback.HOLD or reach is None:
            return EMPTY
        value = min(max(rule.value, reach.low), reach.high)
        self._outputs.out = value
        return self._ask(value, reason, twin, now)

    # ------------------------------------------------------------ words and wishes

    def _ask(self, value: float, reason: str, twin: Twin, now: Instant) -> LoopTurn:
        wish = new(Wish, (self.plan.mv, value, _LOOP, self._by, reason))
        answer = self._guard.ask(wish, twin, now)
        if isinstance(answer, WriteRequest):
            self._sent, self._refused = answer.number, False
            return new(LoopTurn, ((answer,), ()))
        return EMPTY if answer.quiet else self._tell_refusal(answer)

    def _tell_refusal(self, refusal: Refusal) -> LoopTurn:
        """The guard said no: told once, until it has said yes again."""
        if self._refused:
            return EMPTY
        self._refused = True
        return self._tell(EventKind.WRITE_REFUSED, refusal.text, reason=str(refusal.reason))

    def _tell(self, kind: EventKind, text: str, **facts: Scalar) -> LoopTurn:
        name = self.plan.name
        event = Event(kind, name, f"loop {name}: {text}", tuple(facts.items()))
        return LoopTurn(events=(event,))
