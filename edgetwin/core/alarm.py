"""One alarm: its states and what leads from one to another. The habits are those of ISA-18.2.

                        on                         ack
    normal ──────────────────▶ unacknowledged ────────────▶ acknowledged
      ▲ ▲                         │      ▲                      │
      │ └───────── ack ───────────┤      │ on                   │ off
      │                       off ▼      │                      ▼
      │                        returned ─┘                    normal
      │   with ``latch`` both lead to ``latched`` ── ack ──▶  normal
      │
      └── shelved (by a person, until a time) and suppressed (by a tag) stand over all of them:
          nothing is told meanwhile; afterwards an alarm that is on is unacknowledged again.

*On* and *off* are the condition after its delays: it must have held, or been gone, for that long
without a break. The deadband is the annunciator's: once on, a value must be back by more than that.
An unknown value changes nothing, and a delay begins anew behind it. Shelving goes before
suppression.

Pure: ``judge``, ``acknowledge``, ``shelve`` and ``unshelve`` give the next standing.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from edgetwin.core.plan import AlarmPlan


class AlarmState(StrEnum):
    """What an alarm is; the value is the word on the wire."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"
    LATCHED = "latched"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"

    @property
    def wants_a_person(self) -> bool:
        """Whether somebody has to acknowledge it."""
        return self in _ACKNOWLEDGED


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one alarm stands.

    ``on`` is its condition after the delays; ``turning`` since when (monotonic ns, -1: not) the
    condition is the other way; ``until`` when shelving ends.
    """

    state: AlarmState = AlarmState.NORMAL
    on: bool = False
    turning: int = -1
    until: int = 0


START = Standing()

_ON = {
    AlarmState.NORMAL: AlarmState.UNACKNOWLEDGED,
    AlarmState.RETURNED: AlarmState.UNACKNOWLEDGED,
    AlarmState.LATCHED: AlarmState.UNACKNOWLEDGED,
}
_OFF = {
    AlarmState.UNACKNOWLEDGED: AlarmState.RETURNED,
    AlarmState.ACKNOWLEDGED: AlarmState.NORMAL,
}
_OFF_LATCHED = dict.fromkeys(_OFF, AlarmState.LATCHED)
_ACKNOWLEDGED = {
    AlarmState.UNACKNOWLEDGED: AlarmState.ACKNOWLEDGED,
    AlarmState.RETURNED: AlarmState.NORMAL,
    AlarmState.LATCHED: AlarmState.NORMAL,
}


def judge(
    plan: AlarmPlan, before: Standing, *, holds: bool | None, suppressed: bool, now: int
) -> Standing:
    """The standing at ``now``, monotonic ns; ``holds`` is the condition, None: not known."""
    on, turning = _delayed(plan, before, now, holds=holds)
    state = before.state
    if state is AlarmState.SHELVED and now >= before.until:
        state = _fresh(on)
    if state is AlarmState.SHELVED:
        return Standing(state, on, turning, before.until)
    if suppressed:
        state = AlarmState.SUPPRESSED
    elif state is AlarmState.SUPPRESSED:
        state = _fresh(on)
    else:
        table = _ON if on else _OFF_LATCHED if plan.latch else _OFF
        state = table.get(state, state)
    return Standing(state, on, turning)


def _delayed(
    plan: AlarmPlan, before: Standing, now: int, *, holds: bool | None
) -> tuple[bool, int]:
    """The condition after its delays, and since when it is on its way to change."""
    if holds is None or holds == before.on:
        return before.on, -1
    since = now if before.turning < 0 else before.turning
    if now - since >= (plan.on_delay if holds else plan.off_delay):
        return holds, -1
    return before.on, since


def _fresh(on: bool) -> AlarmState:  # noqa: FBT001 (it is what the function is about)
    return AlarmState.UNACKNOWLEDGED if on else AlarmState.NORMAL


def acknowledge(before: Standing) -> Standing:
    """A person has seen it. What has nothing to acknowledge stays as it is."""
    return replace(before, state=_ACKNOWLEDGED.get(before.state, before.state))


def shelve(before: Standing, until: int) -> Standing:
    """A person does not want to hear of it until then, monotonic ns."""
    return replace(before, state=AlarmState.SHELVED, until=until)


def unshelve(before: Standing) -> Standing:
    """Shelving ends now; suppression, if there is any, is seen at the next look."""
    if before.state is not AlarmState.SHELVED:
        return before
    return Standing(_fresh(before.on), before.on, before.turning)
