"""The guard: the one place where a wish to write becomes a write request.

Theory of operation. Whoever wants to write (a loop, a person, the cloud) makes a ``Wish`` and asks.
The guard answers with a ``WriteRequest``, or with a ``Refusal`` that names the tag and the cure. It
never corrects a wish: a loop asks ``reach`` beforehand where it may go. Checked, in this order:

1. control     the gateway's control switch is on
2. limits      the technician has said what may be written to the tag (``write:``)
3. number      the value is finite
4. outside     it lies inside [low, high], without any slack
5. busy        no other write to the tag is still out
6. not read    the twin has a good, fresh value of the tag: nobody writes over what he does not know
7. rate        |value - standing| <= rate * time since the last write; that time counts up to 1 s,
               or up to twice what it takes to cross the deadband, if that is longer
8. budget      not more than ``budget`` writes in any second: flash and slow buses wear out
9. unchanged   it differs from what stands by at least the deadband and the device's resolution

An array is one value (``ask_all``): each element is checked as it would be alone, and either all
are written or none. It is unchanged when all its elements are.

*Standing* is what the device holds: the read-back of the last write, until a reading differs. One
that shows what stood before that write may have been on its way when it was answered, and is
believed only one period later. After a write whose end is unknown (no communication, never
answered, not readable) only a newer reading counts. Unchanged and busy are everyday answers of a
healthy loop: ``quiet``, not worth an event.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from edgetwin.core.laws.law import Band
from edgetwin.core.plan import SECOND
from edgetwin.core.quality import Quality
from edgetwin.core.reading import (
    Authority,
    Instant,
    WriteOutcome,
    WriteRequest,
    WriteResult,
)
from edgetwin.core.tags import Tag, TagTable
from edgetwin.core.tuples import new
from edgetwin.core.twin import Twin

BUDGET = 200
"""Writes to one tag in any second, at most."""

ROUNDING = 1e-9
"""Relative slack of the rate check: what adding and subtracting floats may cost, no more."""


class Reason(StrEnum):
    """Why a wish was refused."""

    CONTROL_OFF = "control is off"
    NO_LIMITS = "no write limits"
    NOT_FINITE = "not a number"
    OUTSIDE = "outside the limits"
    BUSY = "a write is still out"
    NOT_READ = "not read"
    RATE = "too fast"
    BUDGET = "too many writes"
    UNCHANGED = "unchanged"


class Wish(NamedTuple):
    """A value somebody wants a tag to have, in engineering units; who wants it and why."""

    tag: int
    value: float
    authority: Authority
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing is written. ``text`` is one sentence for people: the tag, the cause, the cure."""

    reason: Reason
    text: str

    @property
    def quiet(self) -> bool:
        """Whether this is an everyday answer that nobody needs to be told of."""
        return self.reason in (Reason.UNCHANGED, Reason.BUSY)


class Footing(NamedTuple):
    """Where a write to a tag begins, and how far it may go by now.

    ``standing``   what the device holds; NaN: not known
    ``low, high``  limits and rate together; low > high: nothing lies within both
    ``busy``       a write is out and may still be answered
    """

    standing: float
    low: float
    high: float
    busy: bool


@dataclass(slots=True)
class _Line:
    """What the guard remembers of one tag. Instants are monotonic ns, -1 for never.

    ``least`` is the smallest change that is worth a write, ``most`` the largest at once.
    """

    tag: Tag
    low: float
    high: float
    rate: float
    least: float
    most: float
    out: WriteRequest | None = None
    asked: int = -1
    before: float = math.nan
    held: float = math.nan
    held_at: int = -1
    doubted_at: int = -1
    recent: deque[int] = field(default_factory=deque)
    # What the last look found. It holds for the same instant, while nothing has changed.
    looked: Instant | None = None
    seen: int = -1
    standing: float = math.nan
    room: float = 0.0


class Guard:
    """Checks wishes, and numbers the requests from 1. ``life`` ns is how long one is good."""

    def __init__(
        self, tags: TagTable, *, control: bool, life: int = SECOND, budget: int = BUDGET
    ) -> None:
        self.control = control
        self._tags = tags
        self._life = life
        self._budget = budget
        self._number = 0
        self._lines: dict[int, _Line] = {}

    def ask(self, wish: Wish, twin: Twin, now: Instant) -> WriteRequest | Refusal:
        """A request that the caller must hand to the device, or why not."""
        value = wish.value + 0.0 if type(wish.value) is float else _number(wish.value)
        line = self._line(wish.tag, now)
        refusal = self._refuse(line, value, twin, now)
        return self._grant(line, value, wish, now) if refusal is None else refusal

    def ask_all(
        self, wishes: Sequence[Wish], twin: Twin, now: Instant
    ) -> tuple[WriteRequest, ...] | Refusal:
        """Requests for all elements of an array, or why for none.

        Each wish is checked as it is alone, and the first that is refused speaks for all. Elements
        that stand already are written along with those that do not: an array is one value.
        """
        lines = [(self._line(wish.tag, now), _number(wish.value), wish) for wish in wishes]
        refusals = [self._refuse(line, value, twin, now) for line, value, _ in lines]
        for refusal in refusals:
            if refusal is not None and refusal.reason is not Reason.UNCHANGED:
                return refusal
        if None not in refusals:
            return refusals[0] or Refusal(Reason.UNCHANGED, "there is nothing to write")
        return tuple(self._grant(line, value, wish, now) for line, value, wish in lines)

    def _refuse(self, line: _Line, value: float, twin: Twin, now: Instant) -> Refusal | None:
        refusal = self._refuse_value(line, value)
        if refusal is not None:
            return refusal
        self._look(line, twin, now)
        return self._refuse_now(line, value, twin, now)

    def _grant(self, line: _Line, value: float, wish: Wish, now: Instant) -> WriteRequest:
        self._number += 1
        tag, _, authority, by, reason = wish
        expires = now.mono + self._life
        request = new(WriteRequest, (self._number, tag, value, authority, by, reason, expires))
        line.out, line.asked, line.before = request, now.mono, line.standing
        line.looked = None
        line.recent.append(now.mono)
        return request

    def settle(self, result: WriteResult, now: Instant) -> None:
        """Take the end of a write. One that nobody waits for any more, or a second, is ignored."""
        line = self._line(result.tag, now)
        if line.out is None or line.out.number != result.number:
            return
        written, line.out, line.looked = line.out.value, None, None
        if result.outcome is WriteOutcome.NO_COMMUNICATION:
            line.doubted_at, line.held = now.mono, math.nan
        elif math.isfinite(result.read_back):
            line.held, line.held_at = result.read_back, now.mono
        elif result.outcome is WriteOutcome.WRITTEN:
            line.held, line.held_at = written, now.mono
        elif result.outcome is WriteOutcome.NOT_VERIFIED:
            line.doubted_at, line.held = now.mono, math.nan

    def standing(self, tag: int, twin: Twin, now: Instant) -> float:
        """What the device holds in a tag, as far as is known by now. NaN: it is not known."""
        line = self._line(tag, now)
        self._look(line, twin, now)
        return line.standing

    def footing(self, tag: int, twin: Twin, now: Instant) -> Footing:
        """All that a loop must know of its output before a step, in one look."""
        line = self._line(tag, now)
        self._look(line, twin, now)
        standing, room = line.standing, line.room
        low, high = max(line.low, standing - room), min(line.high, standing + room)
        return new(Footing, (standing, low, high, line.out is not None))

    def reach(self, tag: int, twin: Twin, now: Instant) -> Band | None:
        """Where a write may go now: limits and rate together. None: nowhere, or not known."""
        standing, low, high, _ = self.footing(tag, twin, now)
        if self._tags[tag].write is None or math.isnan(standing) or low > high:
            return None
        return Band(low, high)

    def _refuse_value(self, line: _Line, value: float) -> Refusal | None:
        """Checks 1 to 4: those that need neither the twin nor the time."""
        tag = line.tag
        if not self.control:
            cure = "Write 'control: {enabled: true}' in the configuration when it may steer"
            return Refusal(Reason.CONTROL_OFF, f"{tag.name}: control is off. {cure}")
        if tag.write is None:
            cure = "Say what may be written: write: {min: …, max: …}"
            return Refusal(Reason.NO_LIMITS, f"{tag.name} has no write limits. {cure}")
        if not math.isfinite(value):
            cure = "Find out why nothing better was computed"
            return Refusal(Reason.NOT_FINITE, f"{tag.name}: {value} is no number. {cure}")
        if not line.low <= value <= line.high or (tag.write.texts and value % 1):
            span = f"{line.low:g} to {line.high:g} {tag.unit}".rstrip()
            cure = "Ask for less, or change its write limits"
            text = f"{tag.name}: {value:g} is outside what may be written, {span}. {cure}"
            return Refusal(Reason.OUTSIDE, text)
        return None

    def _refuse_now(self, line: _Line, value: float, twin: Twin, now: Instant) -> Refusal | None:
        """Checks 5 to 9: those that depend on what stands and what was written last."""
        name, standing = line.tag.name, line.standing
        if line.out is not None:
            cure = "Wait for its answer"
            return Refusal(Reason.BUSY, f"{name}: write {line.out.number} is out. {cure}")
        if math.isnan(standing):
            why = Quality(twin.state(line.tag.index, now).quality).words
            cure = "Nothing is written over what is not known; look at its device"
            return Refusal(Reason.NOT_READ, f"{name} has no good value ({why}). {cure}")
        room, step = line.room, abs(value - standing)
        if step > room + ROUNDING * (abs(standing) + abs(value)):
            cure = f"It may move by {room:g} now ({line.rate:g} per s): go there in steps"
            text = f"{name}: {value:g} is too far from {standing:g}, which stands. {cure}"
            return Refusal(Reason.RATE, text)
        if len(line.recent) >= self._budget:
            cure = "Give it a deadband, or its loop a longer 'every'"
            text = f"{name} was written {self._budget} times within one second. {cure}"
            return Refusal(Reason.BUDGET, text)
        if step == 0.0 or step < line.least:
            return Refusal(Reason.UNCHANGED, f"{name}: {_said(line.tag, value)} stands already")
        return None

    def _look(self, line: _Line, twin: Twin, now: Instant) -> None:
        """Bring what stands, and how far it may move, up to date: once in a turn."""
        if line.looked is not now or line.seen != twin.changes:
            line.standing = self._standing(line, twin, now)
            line.room = most = line.most
            if line.asked >= 0 and most < math.inf:
                line.room = min(most, line.rate * (now.mono - line.asked) / SECOND)
            line.looked, line.seen = now, twin.changes

    def _standing(self, line: _Line, twin: Twin, now: Instant) -> float:
        """See ``standing``. A reading may say less than the last read-back: then that holds."""
        tag = line.tag.index
        if not twin.is_sound(tag, now) or twin.confirmed.item(tag) <= line.doubted_at:
            return math.nan
        limits = line.tag.write
        value, held = twin.value.item(tag), line.held
        if limits is not None and limits.texts:
            value = limits.number_of(twin.objects.get(tag))
        if math.isnan(held):  # nothing was read back
            return value
        arrived = twin.arrived.item(tag)
        if arrived > line.held_at + line.tag.period:
            return value
        alike = (limits.tolerance if limits else 0.0) + ROUNDING * abs(value)
        outdated = arrived <= line.held_at or abs(value - line.before) <= alike
        return held if outdated else value

    def _line(self, tag: int, now: Instant) -> _Line:
        """The memory of a tag, with what time has ended taken off it."""
        line = self._lines.get(tag)
        if line is None:
            line = self._lines[tag] = _line_of(self._tags[tag])
        if line.out is not None and now.mono > line.out.expires:
            line.out, line.doubted_at, line.held = None, now.mono, math.nan
            line.looked = None
        while line.recent and now.mono - line.recent[0] >= SECOND:
            line.recent.popleft()
        return line


def _said(tag: Tag, value: float) -> str:
    """A value in words; of a text what it stands for."""
    if tag.write is None or not tag.write.texts:
        return f"{value:g}"
    return repr(tag.write.text_of(value))


def _line_of(tag: Tag) -> _Line:
    """The memory of a tag that was never written. Less than ``least`` is not worth a write.

    That much stays in the deadband or the device's rounding.
    """
    limits = tag.write
    if limits is None:
        return _Line(tag, 0.0, 0.0, 0.0, 0.0, 0.0)
    least = max(limits.deadband, limits.tolerance)
    most = max(limits.rate, 2.0 * least) if limits.rate else 0.0
    return _Line(tag, limits.low, limits.high, limits.rate, least, most)


def _number(value: float) -> float:
    """The value as a float; NaN for what is none. Minus zero is zero."""
    try:
        return float(value) + 0.0
    except (OverflowError, TypeError, ValueError):
        return math.nan
