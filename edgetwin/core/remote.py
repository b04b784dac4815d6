"""What the cloud may do: write a listed tag, set a listed loop's mode, and hear how it ended.

Theory of operation. A request comes here only when it is authentic, fresh, and kept on disk
(runtime.desk); here it meets the plant. It is looked at in this order, and nothing goes around:

1. listed      the upstream that it came through lists the tag or the loop
2. overridden  no loop in auto has the tag in its hands
3. guard       control switch, limits, number, rate, budget, one write out: as for any other wish

An accepted write is ``updating`` until its result is here: read back and as wanted, it is
``applied``, anything else is ``failed``. Each state is an event, so that recording, log, outbox and
reply tell the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from edgetwin.core.event import Event, EventKind
from edgetwin.core.frame import CloudMode, CloudWrite
from edgetwin.core.guard import Guard, Reason, Refusal, Wish
from edgetwin.core.loop import Loop
from edgetwin.core.plan import SECOND, GatewayPlan, Mode
from edgetwin.core.reading import (
    Authority,
    Instant,
    Scalar,
    WriteOutcome,
    WriteRequest,
    WriteResult,
)
from edgetwin.core.twin import Twin

PATIENCE = 5 * SECOND
"""So long a driver may owe the end of a write; then the request has failed, and nobody knows."""

_LATER = frozenset({Reason.BUSY, Reason.NOT_READ})
"""Refusals that say nothing against the request: another time it may pass."""


class State(StrEnum):
    """How a request stands; the words of UDMI. All but the first are final."""

    UPDATING = "updating"
    APPLIED = "applied"
    OVERRIDDEN = "overridden"
    INVALID = "invalid"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RemoteTurn:
    """What follows from a request at once."""

    writes: tuple[WriteRequest, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class _Open:
    """A write that is out. ``due`` is monotonic ns."""

    cause: CloudWrite
    tag: int
    due: int


class Remote:
    """The requests of all upstreams.

    Open ones are bounded: the guard lets one write to a tag out at a time, and forgets it after a
    second; here it is forgotten after ``PATIENCE``.
    """

    def __init__(self, plan: GatewayPlan, loops: Sequence[Loop], guard: Guard) -> None:
        self._tags = plan.tags
        self._loops = tuple(loops)
        self._guard = guard
        self._listed = {u.name: u.requests for u in plan.upstreams if u.requests is not None}
        self._owners = {loop.plan.mv: loop for loop in loops}
        self._open: dict[int, _Open] = {}

    def write(self, cause: CloudWrite, twin: Twin, now: Instant) -> RemoteTurn:
        """Ask the guard for what is wanted, if it may be wanted at all."""
        tag, listed = self._tags.find(cause.tag), self._listed.get(cause.upstream)
        if tag is None or listed is None or tag not in listed.tags:
            text = f"upstream {cause.upstream} lists no tag of this name below requests"
            return self._told(cause, State.INVALID, text)
        owner = self._owners.get(tag)
        if owner is not None and owner.mode is Mode.AUTO:
            text = f"loop {owner.plan.name} is in auto and writes this tag. Set its mode first"
            return self._told(cause, State.OVERRIDDEN, text)
        by, why = f"{cause.by} ({cause.id})", f"request through {cause.upstream}"
        answer = self._guard.ask(Wish(tag, cause.value, Authority.CLOUD, by, why), twin, now)
        if isinstance(answer, Refusal):
            return self._refused(cause, answer)
        self._open[answer.number] = _Open(cause, tag, now.mono + PATIENCE)
        told = self._told(cause, State.UPDATING, "the device is being written")
        return RemoteTurn((answer,), told.events)

    def loop(self, cause: CloudMode) -> Loop | None:
        """The loop whose mode may be set. None: it is not listed; ``moded`` tells."""
        listed = self._listed.get(cause.upstream)
        found = (loop for loop in self._loops if loop.plan.name == cause.loop)
        loop = next(found, None)
        if loop is None or listed is None or loop.index not in listed.loops:
            return None
        return loop

    def moded(self, cause: CloudMode, loop: Loop | None) -> tuple[Event, ...]:
        """How the wish for a mode ended."""
        if loop is None:
            text = f"upstream {cause.upstream} lists no loop of this name below requests"
            return self._told(cause, State.INVALID, text).events
        if loop.mode is not cause.mode:
            return self._told(
                cause, State.INVALID, f"it stays in {loop.mode}: control is off"
            ).events
        return self._told(cause, State.APPLIED, loop.state_words).events

    def written(self, result: WriteResult) -> tuple[Event, ...]:
        """The end of a write, if it is one of ours."""
        out = self._open.pop(result.number, None)
        if out is None:
            return ()
        if result.outcome is WriteOutcome.WRITTEN:
            limits = self._tags[out.tag].write
            seen = "read back" if limits and limits.read_back else "by the device's word"
            return self._told(out.cause, State.APPLIED, seen, read_back=result.read_back).events
        text = f"{result.outcome}: {result.detail}" if result.detail else str(result.outcome)
        return self._told(out.cause, State.FAILED, text, read_back=result.read_back).events

    def check(self, now: Instant) -> tuple[Event, ...]:
        """Writes whose end nobody has told in time."""
        if not self._open:
            return ()
        late = [number for number, out in self._open.items() if now.mono > out.due]
        text = "no answer from the device: it may or may not have taken the value"
        return tuple(
            event
            for number in late
            for event in self._told(self._open.pop(number).cause, State.FAILED, text).events
        )

    def _refused(self, cause: CloudWrite, refusal: Refusal) -> RemoteTurn:
        if refusal.reason is Reason.UNCHANGED:
            return self._told(cause, State.APPLIED, refusal.text)
        return self._told(
            cause, State.FAILED if refusal.reason in _LATER else State.INVALID, refusal.text
        )

    def _told(
        self, cause: CloudWrite | CloudMode, state: State, reason: str, **more: float
    ) -> RemoteTurn:
        facts: dict[str, Scalar] = {"request": cause.id, "upstream": cause.upstream}
        facts |= {"by": cause.by, "state": str(state), "reason": reason}
        if isinstance(cause, CloudWrite):
            subject, what = cause.tag, f"{cause.tag} to {cause.value:.6g}"
            facts |= {"tag": cause.tag, "value": cause.value}
        else:
            subject, what = cause.loop, f"loop {cause.loop} to {cause.mode}"
            facts |= {"loop": cause.loop, "mode": str(cause.mode)}
        facts |= {name: value for name, value in more.items() if value == value}  # noqa: PLR0124 (NaN is not itself)
        text = f"request {cause.id} by {cause.by}, {what}: {state} ({reason})"
        return RemoteTurn(events=(Event(EventKind.REQUEST, subject, text, tuple(facts.items())),))
