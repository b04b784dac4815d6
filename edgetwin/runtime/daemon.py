"""The daemon: every part is made here, started here and ended here; it decides nothing.

Start: lock the state directory, listen for people, then devices and office side by side.
Stop:  the loops' end rules, their last writes, the devices, the office's last records, the lock.
"""

import asyncio
import gc
import importlib
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from edgetwin.core.engine import Engine
from edgetwin.core.frame import Frame, Input, Stop
from edgetwin.core.plan import SECOND, DevicePlan, GatewayPlan
from edgetwin.devices import DRIVERS
from edgetwin.devices.driver import Driver
from edgetwin.runtime import clock
from edgetwin.runtime.field import Field
from edgetwin.runtime.frames import FrameQueue, FrameTaker
from edgetwin.runtime.learning import Learning, load_scorer
from edgetwin.runtime.load import Load
from edgetwin.runtime.office import Office
from edgetwin.runtime.recorder import open_recording
from edgetwin.runtime.rehearsal import rehearsals
from edgetwin.runtime.report import Parts, report
from edgetwin.runtime.requests import Requests
from edgetwin.runtime.scheduler import Scheduler
from edgetwin.runtime.supervise import Shared, Supervisor, keep
from edgetwin.status.control import ControlServer
from edgetwin.status.notify import Notifier
from edgetwin.storage.state import StateDirectory

if TYPE_CHECKING:
    from edgetwin.runtime.ranges_line import RangesLines
    from edgetwin.runtime.reception import Reception

log = logging.getLogger("edgetwin")

_SHORTEST_TICK = 10_000_000
_LONGEST_TICK = 500_000_000
_LAST_WRITES_S = 2.0
_OFFICE_S = 4.0
_STARTED_S = 10.0  # by then connections, models and their imports are there
_SLOT_TAGS = 1000  # so many tags are asked for in one wake-up; what is more comes a slot later,
_SLOT = 5_000_000  # so that a fast loop never waits for all of a large plant at once


class Daemon:
    """One gateway, from its plan to its last record."""

    def __init__(self, plan: GatewayPlan, *, only_learn: bool = False) -> None:
        """Nothing is opened before ``run``. Needs a running event loop.

        With ``only_learn`` there is no office side, and every detector that can learn learns anew.
        """
        self.plan = plan
        self._stopping = asyncio.Event()
        self._started = clock.now()
        self._frames = FrameQueue()
        self._recorder = open_recording(plan, self._started)
        self._reception = None if only_learn else _reception(plan, self._turn)
        queues: list[FrameTaker] = [] if only_learn else [self._frames]
        queues += [self._reception.desk] if self._reception else []
        queues += [self._recorder.frames] if self._recorder else []
        self.field = Field(Engine(plan, load_scorer), queues, clock.now)
        self.learning = Learning(plan, self.field, anew=only_learn)
        self.field.on_lesson = self.learning.teach
        self._scheduler = Scheduler(clock.monotonic_ns)
        self._load = Load(plan, self._scheduler)
        self._rehearsals = {} if only_learn else rehearsals(plan, clock.now)
        self.supervisors = [self._supervisor(device) for device in plan.devices]
        about = (self._started, self._scheduler.lateness, self._load)
        self._parts = Parts(plan, self.field, self.supervisors, *about)
        unsigned = self._reception.unsigned if self._reception else {}
        self.office = None if only_learn else Office(plan, self._frames, clock.now, unsigned)
        self._ranges = _ranges_lines(plan, self.office)
        requests = Requests(self.field, clock.now, self.status)
        self._control = ControlServer(plan.state, requests.answer)
        self._notifier = Notifier()

    def _turn(self, cause: Input) -> Frame:
        return self.field.turn(cause)

    def stop(self) -> None:
        """Ask the daemon to end."""
        self._stopping.set()

    def status(self) -> dict[str, Any]:
        """What ``edgetwin status`` shows."""
        recording = self._recorder.state if self._recorder else "off"
        office = self.office.status() if self.office else {}
        office |= {"requests": self._reception.status()} if self._reception else {}
        office |= self._ranges.status() if self._ranges else {}
        found = report(self._parts, clock.now(), office, recording)
        return {**found, "frames_waiting": len(self._frames)}

    async def run(self) -> None:
        """Run until asked to stop.

        Raises:
            AlreadyRunning, StorageError: the state directory cannot be had.
            ConfigError: a key that requests or ranges are signed with cannot be used.
        """
        if self._reception:
            self._reception.load()
        if self._ranges:
            self._ranges.load()
        state = StateDirectory(self.plan.state)
        state.open()
        try:
            await self._control.start()
            await self._live()
        finally:
            await self._control.close()
            self._scheduler.close()
            for rehearsal in self._rehearsals.values():
                await rehearsal.close()
            state.close()
        log.info("%s: stopped", self.plan.name)

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        for rehearsal in self._rehearsals.values():
            await rehearsal.begin()
        _settle_memory()
        loop.call_later(_STARTED_S, gc.freeze)
        # before the scans of its time: their replies then find nothing in their way to the loops
        self._scheduler.every(_tick_period(self.plan), self.field.tick, first=True)
        async with asyncio.TaskGroup() as group:
            field = [group.create_task(s.run(), name=s.plan.name) for s in self.supervisors]
            office = [
                group.create_task(keep(name, run), name=name) for name, run in self._office_jobs()
            ]
            log.info("%s: running; state in %s", self.plan.name, self.plan.state)
            self._notifier.ready(f"{len(self.plan.devices)} devices, {len(self.plan.tags)} tags")
            self._feed_watchdog()
            await self._stopping.wait()
            self._notifier.stopping()
            await self._end(field, office)

    def _office_jobs(self) -> list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]]:
        jobs = [("learning", self.learning.run)]
        jobs += [("office", self.office.run)] if self.office else []
        jobs += self._reception.jobs if self._reception else []
        jobs += self._ranges.jobs if self._ranges else []
        return [*jobs, ("recording", self._recorder.run)] if self._recorder else jobs

    async def _end(self, field: list[asyncio.Task[None]], office: list[asyncio.Task[None]]) -> None:
        """Leave the plant as each loop's end rule says, then tell upstream, then go."""
        if self._reception:
            self._reception.desk.close()  # nobody writes after the end rules
        self.field.turn(Stop())
        await self.field.settled(_LAST_WRITES_S)
        await _cancelled(field)
        await _cancelled(office)
        if self._ranges:
            self._ranges.close()
        if self._reception:
            await self._reception.end()
        if self._recorder:
            await self._recorder.close()
        if self.office:
            await self._end_office(self.office)

    async def _end_office(self, office: Office) -> None:
        try:
            await asyncio.wait_for(office.close(), _OFFICE_S)
        except TimeoutError:
            log.warning("The last records stay in the outbox; they go out after the next start.")

    def _feed_watchdog(self) -> None:
        """Tell the service manager we live, for as long as ticks come through the scheduler."""
        if self._notifier.watchdog_s:
            self._scheduler.every(int(self._notifier.watchdog_s * SECOND / 3), self._notifier.alive)

    def _supervisor(self, device: DevicePlan) -> Supervisor:
        before = self.plan.devices[: device.index]
        offset = sum(len(g.tags) for d in before for g in d.groups) // _SLOT_TAGS * _SLOT
        shared = Shared(self.field, self._scheduler, self._load, self._rehearsals)
        made = _driver_class(device.driver)  # imported now: later it would cost others' deadlines
        return Supervisor(
            device, lambda: made(device, self.plan.tags, self.field, clock.now), shared, offset
        )


def _driver_class(name: str) -> Callable[..., Driver]:
    module, _, attribute = DRIVERS[name].partition(":")
    driver: Callable[..., Driver] = getattr(importlib.import_module(module), attribute)
    return driver


def _reception(plan: GatewayPlan, turn: Callable[[Input], Frame]) -> "Reception | None":
    """Where the cloud may ask, if it may anywhere; else cryptography stays out of memory."""
    if not any(upstream.requests for upstream in plan.upstreams):
        return None
    from edgetwin.runtime.reception import Reception  # noqa: PLC0415 - as above

    return Reception(plan, turn, clock.now)


def _ranges_lines(plan: GatewayPlan, office: Office | None) -> "RangesLines | None":
    """Where ranges of a fleet come from, if from anywhere; else cryptography stays away as well."""
    if office is None or not any(upstream.challenger for upstream in plan.upstreams):
        return None
    from edgetwin.runtime.ranges_line import RangesLines  # noqa: PLC0415 - as above

    return RangesLines(plan, office.challengers, clock.now)


def _tick_period(plan: GatewayPlan) -> int:
    """Often enough to see what is stale within its scan, and to drive each loop's fail-safe."""
    periods = [g.period for d in plan.devices for g in d.groups] + [p.every for p in plan.loops]
    return max(_SHORTEST_TICK, min([*periods, _LONGEST_TICK]))


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _settle_memory() -> None:
    """Keep the garbage collector away from what lives until the end.

    A full pass over it took 17 to 49 ms (measured): so it is done before the first scan, never in a
    running loop, and what the start leaves behind is then no longer looked at.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
