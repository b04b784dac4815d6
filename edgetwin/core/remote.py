"""What the cloud may do: write a listed tag, set a listed loop's mode, and hear how it ended.

Theory of operation. A request comes here only when it is authentic, fresh, and kept on disk
(runtime.desk); here it meets the plant. It is looked at in this order, and nothing goes around:

1. listed      the upstream that it came through lists the tag or the loop
2. overridden  no loop in auto has the tag in its hands
3. guard       control switch, limits, number, rate, budget, one write out: as for any other wish

An accepted write is ``updating`` until its result is here: read back and as wanted, it is
``applied``, anything else is ``failed``; an array ends when its last element has. Each state is an
event, so that recording, log, outbox and reply tell the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

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


@dataclass(slots=True)
class _Open:
    """A request whose writes are out: ``waited`` are their numbers. ``due`` is monotonic ns."""

    cause: CloudWrite
    due: int
    waited: set[int]
    failed: list[WriteResult] = field(default_factory=list)


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
        wanted, text = self._wanted(cause)
        if text:
            return self._told(cause, State.INVALID, text)
        for tag in wanted:
            owner = self._owners.get(tag)
            if owner is not None and owner.mode is Mode.AUTO:
                name, what = owner.plan.name, self._tags[tag].name
                text = f"loop {name} is in auto and writes {what}. Set its mode first"
                return self._told(cause, State.OVERRIDDEN, text)
        by, why = f"{cause.by} ({cause.id})", f"request through {cause.upstream}"
        if isinstance(cause.value, str):
            why += f": {in_words(cause.value)}"
        wishes = [Wish(tag, value, Authority.CLOUD, by, why) for tag, value in wanted.items()]
        writes = self._guard.ask_all(wishes, twin, now)
        if isinstance(writes, Refusal):
            return self._refused(cause, writes)
        numbers = {request.number for request in writes}
        self._open |= dict.fromkeys(numbers, _Open(cause, now.mono + PATIENCE, numbers))
        told = self._told(cause, State.UPDATING, "the device is being written")
        return RemoteTurn(writes, told.events)

    def _wanted(self, cause: CloudWrite) -> tuple[dict[int, float], str]:
        """Each tag that is meant with its value, or why none is."""
        listed = self._listed.get(cause.upstream)
        own, elements = self._tags.find(cause.tag), self._tags.elements(cause.tag)
        tags = elements or (() if own is None else (own,))
        if not tags or listed is None or not listed.tags.issuperset(tags):
            return {}, f"upstream {cause.upstream} lists no tag of this name below requests"
        limits, value = self._tags[tags[0]].write, cause.value
        texts = limits.texts if limits is not None else ()
        if text := _misfit(value, len(elements), texts):
            return {}, f"{cause.tag} {text}"
        values = value if isinstance(value, tuple) else (value,)
        numbers = (float(texts.index(v)) if isinstance(v, str) else v for v in values)
        return dict(zip(tags, numbers, strict=True)), ""

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
        out.waited.discard(result.number)
        if result.outcome is not WriteOutcome.WRITTEN:
            out.failed.append(result)
        if out.waited:
            return ()
        limits = self._tags[result.tag].write
        more: dict[str, Scalar] = {}
        if isinstance(out.cause.value, str) and limits is not None:
            more = {"read_back": limits.text_of(result.read_back)}
        elif isinstance(out.cause.value, float):
            more = {"read_back": result.read_back}
        if not out.failed:
            seen = "read back" if limits and limits.read_back else "by the device's word"
            return self._told(out.cause, State.APPLIED, seen, **more).events
        return self._told(out.cause, State.FAILED, self._failure(out), **more).events

    def _failure(self, out: _Open) -> str:
        first = out.failed[0]
        text = f"{first.outcome}: {first.detail}" if first.detail else str(first.outcome)
        if not isinstance(out.cause.value, tuple):
            return text
        others = f", and {len(out.failed) - 1} more" if len(out.failed) > 1 else ""
        return f"{self._tags[first.tag].name}{others}: {text}"

    def check(self, now: Instant) -> tuple[Event, ...]:
        """Writes whose end nobody has told in time."""
        if not self._open:
            return ()
        late = {n: out for n, out in self._open.items() if now.mono > out.due}
        text = "no answer from the device: it may or may not have taken the value"
        for number in late:
            del self._open[number]
        ended = {id(out): out.cause for out in late.values()}
        return tuple(
            event
            for cause in ended.values()
            for event in self._told(cause, State.FAILED, text).events
        )

    def _refused(self, cause: CloudWrite, refusal: Refusal) -> RemoteTurn:
        if refusal.reason is Reason.UNCHANGED:
            return self._told(cause, State.APPLIED, refusal.text)
        return self._told(
            cause, State.FAILED if refusal.reason in _LATER else State.INVALID, refusal.text
        )

    def _told(
        self, cause: CloudWrite | CloudMode, state: State, reason: str, **more: Scalar
    ) -> RemoteTurn:
        facts: dict[str, Scalar] = {"request": cause.id, "upstream": cause.upstream}
        facts |= {"by": cause.by, "state": str(state), "reason": reason}
        if isinstance(cause, CloudWrite):
            subject, what = cause.tag, f"{cause.tag} to {in_words(cause.value)}"
            facts |= {"tag": cause.tag} | _told_value(cause.value)
        else:
            subject, what = cause.loop, f"loop {cause.loop} to {cause.mode}"
            facts |= {"loop": cause.loop, "mode": str(cause.mode)}
        facts |= {name: value for name, value in more.items() if value == value}  # noqa: PLR0124 (NaN is not itself)
        text = f"request {cause.id} by {cause.by}, {what}: {state} ({reason})"
        return RemoteTurn(events=(Event(EventKind.REQUEST, subject, text, tuple(facts.items())),))


_SHOWN = 8
_Value: TypeAlias = float | str | tuple[float, ...]


def in_words(value: _Value) -> str:
    """A value for people; of an array the first."""
    if isinstance(value, str):
        return repr(value)
    if not isinstance(value, tuple):
        return f"{value:.10g}"
    first = ", ".join(f"{each:.10g}" for each in value[:_SHOWN])
    return f"[{first}, … {len(value)} values]" if len(value) > _SHOWN else f"[{first}]"


def _told_value(value: _Value) -> dict[str, Scalar]:
    if not isinstance(value, tuple):
        return {"value": value}
    return {"values": ", ".join(f"{each:.17g}" for each in value)}


def _misfit(value: _Value, elements: int, texts: tuple[str, ...]) -> str:
    """Why a value is not of the kind that a tag takes; ``elements`` 0: it is no array."""
    if isinstance(value, tuple):
        if not elements:
            return "is one value and no array"
        if len(value) != elements:
            return f"has {elements} elements, and {len(value)} values are given"
    elif elements:
        return f"is an array of {elements}"
    elif texts and value not in texts:
        return f"takes one of {', '.join(map(repr, texts))}, not {in_words(value)}"
    elif isinstance(value, str) and not texts:
        return f"takes a number, not {value!r}"
    return ""
