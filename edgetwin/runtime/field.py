"""The field side: every turn of the engine happens here, and only here.

A driver hands over readings in the callback in which the bytes arrived; ``Field.turn`` runs the
engine as far as its writes, starts them, and only then has the turn concluded and leaves its frame
for the office, all before that callback returns. Scoring is asked for afterwards.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby

from edgetwin.core.engine import Engine
from edgetwin.core.event import EventKind
from edgetwin.core.frame import Confirmed, Frame, Input, Lesson, Link, Reflect, Stop, Tick
from edgetwin.core.reading import Instant, ReadingBatch, WriteOutcome, WriteRequest, WriteResult
from edgetwin.runtime.frames import FrameTaker
from edgetwin.runtime.gather import Gather
from edgetwin.runtime.guarded import GuardedDriver

log = logging.getLogger("edgetwin.field")

_LEVELS = dict.fromkeys(
    (
        EventKind.DEVICE_LOST,
        EventKind.OVERRUN,
        EventKind.TAG_BAD,
        EventKind.LOOP_FAULT,
        EventKind.WRITE_REFUSED,
        EventKind.WRITE_FAILED,
        EventKind.MODEL_UNAVAILABLE,
        EventKind.ANOMALY,
        EventKind.ALARM,
    ),
    logging.WARNING,
)
_REMEMBERED = 2000
_AFTER_ALL = (Confirmed, Link, Stop)  # says something of readings that came before it
_NOT_READ = float("nan")


class Latency:
    """How long the last turns that wrote took, from the readings' arrival to the write's start."""

    def __init__(self) -> None:
        # The newest wins: these are figures for a person to look at.
        self._ns: deque[int] = deque(maxlen=_REMEMBERED)

    def add(self, ns: int) -> None:
        """Remember one turn."""
        self._ns.append(ns)

    def quantiles_us(self) -> dict[str, float]:
        """p50 and p99 in microseconds; empty before the first write."""
        if not self._ns:
            return {}
        ordered = sorted(self._ns)
        last = len(ordered) - 1
        return {f"p{q}": round(ordered[last * q // 100] / 1000, 1) for q in (50, 99)}


class Field:
    """Owns the engine. Also the sink of every driver."""

    def __init__(
        self,
        engine: Engine,
        queues: Sequence[FrameTaker],
        now: Callable[[], Instant],
    ) -> None:
        """Each frame goes to every queue; a lesson to ``on_lesson``, which must not wait."""
        self.on_lesson: Callable[[Lesson], None] = lambda _: None
        self.engine = engine
        self.latency = Latency()
        self.readings_taken = 0
        self.good_taken = 0
        self.writes_started = 0
        self._queues = queues
        self._now = now
        self._drivers: dict[int, GuardedDriver] = {}
        self._device_of = [tag.device for tag in engine.plan.tags]
        self._array_of = [tag.array for tag in engine.plan.tags]
        self._open_writes: set[int] = set()
        self._is_writing = False
        # What drivers answer while they are given writes; bounded by what they have open.
        self._early: deque[Callable[[], None]] = deque()
        self._gather = Gather(engine.plan, self.turn)
        self._settled = asyncio.Event()
        self._next_reflect = engine.next_reflect
        self._loop = asyncio.get_running_loop()

    # ------------------------------------------------------------ the sink

    def readings(self, batch: ReadingBatch) -> None:
        """Take readings that have just arrived: react, or gather what no loop waits for."""
        if self._is_writing:
            self._early.append(partial(self.readings, batch))
            return
        if not self._gather.takes(batch):
            self.turn(batch)
        n = len(batch.values)
        self.readings_taken += n
        quality = batch.quality
        if isinstance(quality, int):
            self.good_taken += n if quality == 0 else 0
        else:
            self.good_taken += n - int((quality != 0).sum())

    def confirmed(self, tags: range) -> None:
        """Take the device's word that these tags have not changed."""
        if self._is_writing:
            self._early.append(partial(self.confirmed, tags))
            return
        self.turn(Confirmed(tags))

    def written(self, result: WriteResult) -> None:
        """Take the end of a write."""
        if self._is_writing:
            self._early.append(partial(self.written, result))
            return
        self._open_writes.discard(result.number)
        self.turn(result)
        if not self._open_writes:
            self._settled.set()

    async def settled(self, deadline_s: float) -> None:
        """Wait until every write has ended, or the deadline is over."""
        if self._open_writes:
            self._settled.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), deadline_s)

    # ------------------------------------------------------------ devices

    def attach(self, device: int, driver: GuardedDriver) -> None:
        """A device is connected: writes for it go to this driver."""
        self._drivers[device] = driver

    def device_up(self, device: int, words: str = "") -> None:
        """A device answers; ``words`` tell of its way back."""
        self.turn(Link(device, up=True, reason=words))

    def device_down(self, device: int, reason: str) -> None:
        """A device is lost, and why."""
        self._drivers.pop(device, None)
        self.turn(Link(device, up=False, reason=reason))

    # ------------------------------------------------------------ turns

    def tick(self) -> None:
        """Time has passed."""
        self.turn(Tick())

    def turn(self, cause: Input) -> Frame:
        """One turn of the engine, and what must follow from it at once."""
        if isinstance(cause, _AFTER_ALL):
            self._gather.flush()
        now = self._now()
        writes = self.engine.react(cause, now)
        if writes:
            self._is_writing = True
            if len(writes) == 1:
                self._write(writes[0])
            else:
                for _, together in groupby(writes, self._whole):
                    self._write(*together)
            self._is_writing = False
            self.latency.add(self._now().mono - now.mono)
        frame = self.engine.conclude()
        for queue in self._queues:
            queue.put(frame)
        self._follow(frame)
        while self._early:
            self._early.popleft()()
        return frame

    def _follow(self, frame: Frame) -> None:
        """Tell what happened, pass lessons on, and have the detectors that are due look."""
        for event in frame.events:
            log.log(_LEVELS.get(event.kind, logging.INFO), "%s", event.text)
        for lesson in frame.lessons:
            self.on_lesson(lesson)
        if frame.at.mono >= self._next_reflect:
            self._next_reflect = frame.at.mono + (1 << 62)  # one at a time: set anew by _reflect
            self._loop.call_soon(self._reflect)

    def _reflect(self) -> None:
        self.turn(Reflect())
        self._next_reflect = self.engine.next_reflect

    def _whole(self, request: WriteRequest) -> tuple[str, str] | int:
        """What is alike in the elements of an array that are asked for together."""
        array = self._array_of[request.tag]
        return (array, request.by) if array else request.number

    def _write(self, request: WriteRequest, *others: WriteRequest) -> None:
        """Start a write, or all elements of an array."""
        driver = self._drivers.get(self._device_of[request.tag])
        self.writes_started += 1 + len(others)
        self._open_writes.add(request.number)
        if others:
            self._open_writes.update(other.number for other in others)
        if driver is not None:
            driver.give(request, *others)
            return
        for each in (request, *others):
            lost = WriteOutcome.NO_COMMUNICATION
            result = WriteResult(each.number, each.tag, lost, _NOT_READ, "the device is lost")
            self._loop.call_soon(self.written, result)
