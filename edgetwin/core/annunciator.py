"""The annunciator: looks at all alarms each tick, takes what people say to them, and tells.

Hot: the conditions of all alarms are compared as columns; only those that differ from where they
stand, or have a time running, are looked at singly. Nothing here reads a clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgetwin.core import alarm
from edgetwin.core.alarm import START, AlarmState, Standing
from edgetwin.core.event import Event, EventKind
from edgetwin.core.frame import AlarmRequest
from edgetwin.core.plan import AlarmAction, AlarmPlan
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Floats, Instant, Scalar
from edgetwin.core.tags import TagTable
from edgetwin.core.twin import Twin
from edgetwin.core.units import format_duration

_WORDS = {
    AlarmState.NORMAL: "normal again",
    AlarmState.ACKNOWLEDGED: "acknowledged",
    AlarmState.RETURNED: "gone, not acknowledged",
    AlarmState.LATCHED: "gone; stays until somebody acknowledges it",
    AlarmState.SUPPRESSED: "suppressed",
}


@dataclass(frozen=True, slots=True)
class Annunciated:
    """One alarm as people see it. ``since`` is UTC ns; ``by`` is who shelved or acknowledged it."""

    plan: AlarmPlan
    state: AlarmState
    since: int
    by: str


class Annunciator:
    """All alarms of a gateway."""

    def __init__(self, plans: Sequence[AlarmPlan], tags: TagTable) -> None:
        self.plans = tuple(plans)
        self._tags = tags
        n = len(self.plans)
        self._standing = [START] * n
        self._since = [0] * n
        self._by = [""] * n
        self._at = np.array([plan.tag for plan in plans], np.intp)
        self._sign: Floats = np.array([-1.0 if plan.falls else 1.0 for plan in plans])
        self._limit: Floats = self._sign * np.array([plan.limit for plan in plans], float)
        self._deadband: Floats = np.array([plan.deadband for plan in plans], float)
        self._on = np.zeros(n, bool)
        self._level = self._limit.copy()  # what a value must pass now: lower while it is on
        self._suppressible = np.array([plan.suppressed_by >= 0 for plan in plans], bool)
        self._running = self._suppressible.copy()  # time, or another tag, may change it

    @property
    def standing(self) -> tuple[Annunciated, ...]:
        """Every alarm that is not normal, the most urgent first."""
        found = [
            Annunciated(plan, standing.state, since, by)
            for plan, standing, since, by in zip(
                self.plans, self._standing, self._since, self._by, strict=True
            )
            if standing.state is not AlarmState.NORMAL
        ]
        return tuple(sorted(found, key=lambda each: (each.plan.priority, each.since)))

    def state(self, index: int) -> AlarmState:
        """The state of one alarm."""
        return self._standing[index].state

    def check(self, twin: Twin, now: Instant) -> list[Event]:
        """Look at all alarms. The twin's qualities must be up to date."""
        if not self.plans:
            return []
        holds = self._sign * twin.value[self._at] > self._level
        look = (holds != self._on) | self._running
        if not np.count_nonzero(look):
            return []
        events: list[Event] = []
        for index in np.flatnonzero(look).tolist():
            events += self._judge(index, twin, now, holds=bool(holds[index]))
        return events

    def _judge(self, index: int, twin: Twin, now: Instant, *, holds: bool) -> list[Event]:
        plan, before = self.plans[index], self._standing[index]
        known = twin.quality[plan.tag] < Quality.BAD
        after = alarm.judge(
            plan,
            before,
            holds=holds if known else None,
            suppressed=self._is_suppressed(plan, twin),
            now=now.mono,
        )
        return self._take(index, after, twin, now)

    def _is_suppressed(self, plan: AlarmPlan, twin: Twin) -> bool:
        tag = plan.suppressed_by
        return tag >= 0 and bool(twin.quality[tag] < Quality.BAD and twin.value[tag] != 0)

    def request(self, asked: AlarmRequest, twin: Twin, now: Instant) -> list[Event]:
        """A person acknowledges an alarm, shelves it, or takes it from the shelf."""
        before = self._standing[asked.alarm]
        if asked.action is AlarmAction.ACK:
            after = alarm.acknowledge(before)
        elif asked.action is AlarmAction.SHELVE:
            after = alarm.shelve(before, now.mono + asked.span)
        else:
            after = alarm.unshelve(before)
        return self._take(asked.alarm, after, twin, now, asked)

    def _take(
        self,
        index: int,
        after: Standing,
        twin: Twin,
        now: Instant,
        asked: AlarmRequest | None = None,
    ) -> list[Event]:
        before, self._standing[index] = self._standing[index], after
        self._on[index] = after.on
        back = self._deadband[index] if after.on else 0.0
        self._level[index] = self._limit[index] - back
        timed = after.turning >= 0 or after.state is AlarmState.SHELVED
        self._running[index] = timed or self._suppressible[index]
        if before.state is after.state and before.until == after.until:
            return []
        self._since[index], self._by[index] = now.wall, asked.by if asked else ""
        return [self._tell(index, before.state, twin, asked)]

    # ------------------------------------------------------------ what is said

    def _tell(
        self, index: int, before: AlarmState, twin: Twin, asked: AlarmRequest | None
    ) -> Event:
        plan, state = self.plans[index], self._standing[index].state
        raised = state is AlarmState.UNACKNOWLEDGED
        value = float(twin.value[plan.tag])
        facts: tuple[tuple[str, Scalar], ...] = (
            ("tag", self._tags[plan.tag].name),
            ("state", str(state)),
            ("before", str(before)),
            ("value", value),
            ("limit", plan.limit),
            ("priority", plan.priority),
        )
        if asked:
            facts += (("by", asked.by),)
        if raised and plan.advice:
            facts += (("advice", plan.advice),)
        text = self._raised(plan, value) if raised else self._changed(state, asked)
        kind = EventKind.ALARM if raised else EventKind.ALARM_STATE
        return Event(kind, plan.name, f"{plan.name}: {text}", facts)

    def _raised(self, plan: AlarmPlan, value: float) -> str:
        unit = self._tags[plan.tag].unit
        way = "below" if plan.falls else "above"
        shown, limit = (f"{number:.6g} {unit}".rstrip() for number in (value, plan.limit))
        return f"{shown} is {way} {limit}" + (f". {plan.advice}" if plan.advice else "")

    def _changed(self, state: AlarmState, asked: AlarmRequest | None) -> str:
        if asked and state is AlarmState.SHELVED:
            return f"shelved for {format_duration(asked.span)} by {asked.by}"
        words = _WORDS[state]
        return f"{words}, by {asked.by}" if asked else words
