"""The engine: one turn at a time, inputs in, a frame out.

React is the turn of a batch of readings, and everything between the bytes and the setpoint:

    readings ─▶ twin ─▶ derived tags ─▶ loops whose pv came in ─▶ guard ─▶ write requests

A turn has two halves. ``react`` ends with the write requests; ``conclude`` does what need not be
done before they are on the wire, such as showing what a loop computed, and makes the frame.

Reflect is a turn of its own, asked for once the writes are on the wire: each detector that is due
takes a row, scores it and judges. Verdicts, like the loops' own values, return to the twin as tags,
so that control, summary and status read one snapshot and nothing else.

Pure: the same inputs at the same instants give the same frames, bit for bit.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from edgetwin.core.annunciator import Annunciator
from edgetwin.core.derive import Deriver
from edgetwin.core.detector import Detector, DetectorTurn, Scorer
from edgetwin.core.event import Event, EventKind
from edgetwin.core.frame import (
    AlarmRequest,
    CloudMode,
    CloudWrite,
    Confirmed,
    Frame,
    Input,
    Lesson,
    Link,
    ModelInstalled,
    ModelUnavailable,
    ModeRequest,
    Overrun,
    Reflect,
    Stop,
    Tick,
)
from edgetwin.core.guard import Guard
from edgetwin.core.loop import Loop, LoopTurn
from edgetwin.core.overrun import overrun_event
from edgetwin.core.plan import DerivedPlan, GatewayPlan
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Indices, Instant, ReadingBatch, WriteRequest, WriteResult
from edgetwin.core.remote import Remote
from edgetwin.core.twin import Twin
from edgetwin.core.watch import QualityWatch

ScorerLoader: TypeAlias = Callable[[bytes, Sequence[str], int], Scorer]
"""Turns the bytes of an ONNX file into a scorer, given the names of its tags and its window."""

_NEVER = 1 << 62


class _Turn:
    """What one turn has given out so far. ``showing``: a loop whose tags are still to be told."""

    __slots__ = ("at", "cause", "events", "inner", "lessons", "showing", "writes")

    def __init__(self, cause: Input, at: Instant) -> None:
        self.cause = cause
        self.at = at
        self.showing: Loop | None = None
        self.inner: list[ReadingBatch] = []
        self.writes: list[WriteRequest] = []
        self.events: list[Event] = []
        self.lessons: list[Lesson] = []


class Engine:
    """The whole core of one gateway. ``turn``, or its two halves, is the only way in."""

    def __init__(self, plan: GatewayPlan, load: ScorerLoader) -> None:
        self.plan = plan
        self.twin = Twin(plan.tags)
        self.guard = Guard(plan.tags, control=plan.control)
        self.loops = tuple(Loop(i, p, plan.tags, self.guard) for i, p in enumerate(plan.loops))
        self.detectors = tuple(
            Detector(i, p, plan.tags, load) for i, p in enumerate(plan.detectors)
        )
        self.watch = QualityWatch(plan)
        self.annunciator = Annunciator(plan.alarms, plan.tags)
        self.remote = Remote(plan, self.loops, self.guard)
        self._deriver = Deriver(plan.derived)
        self._derives = bool(plan.derived)
        self._number = 0
        self._turn = _Turn(Tick(), Instant(0, 0))
        self._loops_at: dict[tuple[int, int], tuple[Loop, ...]] = {}
        self._sources = {p.pv: _sources(p.pv, plan.derived) for p in plan.loops}
        self._writers = {loop.plan.mv: loop for loop in self.loops}
        self._handlers: dict[type, Callable[[_Turn, Any, Instant], None]] = {
            ReadingBatch: self._readings,
            Confirmed: self._confirmed,
            Link: self._link,
            Overrun: self._overrun,
            WriteResult: self._written,
            Tick: self._tick,
            Reflect: self._reflect,
            ModeRequest: self._mode,
            AlarmRequest: self._alarm,
            CloudWrite: self._cloud_write,
            CloudMode: self._cloud_mode,
            ModelInstalled: self._model,
            ModelUnavailable: self._no_model,
            Stop: self._stop,
        }

    def turn(self, cause: Input, now: Instant) -> Frame:
        """Take one input in; say what follows from it."""
        self.react(cause, now)
        return self.conclude()

    def react(self, cause: Input, now: Instant) -> list[WriteRequest]:
        """The first half of a turn: what must be written now, in this order."""
        turn = self._turn = _Turn(cause, now)
        self._handlers[type(cause)](turn, cause, now)
        return turn.writes

    def conclude(self) -> Frame:
        """The second half: the frame of the turn that ``react`` has begun."""
        turn = self._turn
        self._show(turn)
        self._number += 1
        return Frame(
            self._number,
            turn.at,
            turn.cause,
            tuple(turn.inner),
            tuple(turn.writes),
            tuple(turn.events),
            tuple(turn.lessons),
        )

    @property
    def next_reflect(self) -> int:
        """When the next detector is due, monotonic ns."""
        return min((d.due for d in self.detectors), default=_NEVER)

    # ------------------------------------------------------------ react

    def _readings(self, turn: _Turn, batch: ReadingBatch, now: Instant) -> None:
        self.twin.apply(batch, now)
        if self._derives:
            self._inner(turn, self._deriver.after(batch.tags, self.twin), now)
        for loop in self._loops_of(batch.tags):
            if turn.showing is not None:
                self._show(turn)  # what the loop before has computed may be this one's setpoint
            self._take(turn, loop, loop.step(self.twin, now))

    def _loops_of(self, tags: Indices) -> tuple[Loop, ...]:
        """The loops that run when these tags come in. For a slice it is worked out once."""
        if not self.loops:
            return ()
        if not isinstance(tags, slice):
            return self._loops_touched(tags.tolist())
        key = (tags.start, tags.stop)
        if key not in self._loops_at:
            self._loops_at[key] = self._loops_touched(range(*key))
        return self._loops_at[key]

    def _loops_touched(self, tags: Iterable[int]) -> tuple[Loop, ...]:
        came = frozenset(tags)
        return tuple(x for x in self.loops if not came.isdisjoint(self._sources[x.plan.pv]))

    # ------------------------------------------------------------ what else happens

    def _confirmed(self, turn: _Turn, cause: Confirmed, now: Instant) -> None:
        """A value that still holds is as good as one that came in: an integral goes on by it."""
        tags = slice(cause.tags.start, cause.tags.stop)
        if self.twin.confirm(cause.tags, now):
            self._inner(turn, self._deriver.after(tags, self.twin), now)
        for loop in self._loops_of(tags):
            self._show(turn)
            self._take(turn, loop, loop.step(self.twin, now))

    def _link(self, turn: _Turn, cause: Link, now: Instant) -> None:
        device = self.plan.devices[cause.device]
        if self.watch.link(cause):
            kind = EventKind.DEVICE_BACK if cause.up else EventKind.DEVICE_LOST
            text = cause.reason or f"{device.name} answers"
            turn.events.append(Event(kind, device.name, text))
        if not cause.up:
            for group in device.groups:
                self.twin.spoil(group.tags, Quality.NO_COMMUNICATION)
            self._qualities_changed(turn, now)

    def _overrun(self, turn: _Turn, cause: Overrun, _now: Instant) -> None:
        self.watch.overrun(cause)
        turn.events.append(overrun_event(cause, self.plan.devices[cause.device]))

    def _written(self, turn: _Turn, result: WriteResult, now: Instant) -> None:
        self.guard.settle(result, now)
        turn.events += self.remote.written(result)
        if loop := self._writers.get(result.tag):
            self._take(turn, loop, loop.written(result, now))

    def _tick(self, turn: _Turn, _cause: Tick, now: Instant) -> None:
        if self.twin.age_out(now):
            self._qualities_changed(turn, now)
        else:
            self._tick_loops(turn, now)
        turn.events += self.watch.compare(self.twin, now)
        turn.events += self.annunciator.check(self.twin, now)
        turn.events += self.remote.check(now)

    def _qualities_changed(self, turn: _Turn, now: Instant) -> None:
        self._inner(turn, self._deriver.all(self.twin), now)
        self._tick_loops(turn, now)

    def _tick_loops(self, turn: _Turn, now: Instant) -> None:
        for loop in self.loops:
            given = loop.tick(self.twin, now)
            if given.writes or given.events:
                self._take(turn, loop, given)
                self._show(turn)

    def _mode(self, turn: _Turn, request: ModeRequest, now: Instant) -> None:
        loop = self.loops[request.loop]
        self._take(turn, loop, loop.request(request.mode, request.by, self.twin, now))

    def _alarm(self, turn: _Turn, request: AlarmRequest, now: Instant) -> None:
        turn.events += self.annunciator.request(request, self.twin, now)

    def _cloud_write(self, turn: _Turn, cause: CloudWrite, now: Instant) -> None:
        given = self.remote.write(cause, self.twin, now)
        turn.writes += given.writes
        turn.events += given.events

    def _cloud_mode(self, turn: _Turn, cause: CloudMode, now: Instant) -> None:
        loop = self.remote.loop(cause)
        if loop is not None:
            by = f"{cause.by} ({cause.id})"
            self._mode(turn, ModeRequest(loop.index, cause.mode, by), now)
        turn.events += self.remote.moded(cause, loop)

    def _stop(self, turn: _Turn, _cause: Stop, now: Instant) -> None:
        for loop in self.loops:
            self._show(turn)
            self._take(turn, loop, loop.stop(self.twin, now))

    # ------------------------------------------------------------ reflect

    def _reflect(self, turn: _Turn, _cause: Reflect, now: Instant) -> None:
        for detector in self.detectors:
            if detector.due <= now.mono:
                self._judged(turn, detector, detector.reflect(self.twin, now), now)

    def _model(self, turn: _Turn, model: ModelInstalled, now: Instant) -> None:
        detector = self.detectors[model.detector]
        self._judged(turn, detector, detector.install(model, now), now)

    def _no_model(self, turn: _Turn, cause: ModelUnavailable, now: Instant) -> None:
        detector = self.detectors[cause.detector]
        self._judged(turn, detector, detector.unavailable(cause.reason, now), now)

    def _judged(self, turn: _Turn, detector: Detector, given: DetectorTurn, now: Instant) -> None:
        turn.events += given.events
        if given.lesson is not None:
            turn.lessons.append(given.lesson)
        self._inner(turn, detector.outputs(), now)

    # ------------------------------------------------------------ what edgetwin says itself

    def _take(self, turn: _Turn, loop: Loop, given: LoopTurn) -> None:
        """What a loop gives out. Its own tags are shown last, or when another loop runs."""
        turn.writes += given.writes
        turn.events += given.events
        turn.showing = loop

    def _show(self, turn: _Turn) -> None:
        if turn.showing is not None:
            loop, turn.showing = turn.showing, None
            self._inner(turn, loop.outputs(turn.at), turn.at)

    def _inner(self, turn: _Turn, batch: ReadingBatch | None, now: Instant) -> None:
        if batch is not None:
            self.twin.apply(batch, now)
            turn.inner.append(batch)


def _sources(tag: int, derived: Iterable[DerivedPlan]) -> frozenset[int]:
    """The tag itself and all that it is derived from."""
    inputs = {plan.tag: plan.inputs for plan in derived}
    found, wanted = set[int](), [tag]
    while wanted:
        found.add(source := wanted.pop())
        wanted += [i for i in inputs.get(source, ()) if i not in found]
    return frozenset(found)
