"""Keeps one device alive for years: connect, scan on the grid, notice the loss, try again.

    connect ──▶ scans on their grid ──▶ up: it has answered ──▶ lost ──▶ down, wait ──┐
       ▲                                                                              │
       └──────────────────────────────────────────────────────────────────────────────┘

A connection is not an answer: with a wrong unit id behind a gateway it stands, and nobody speaks.
So a device is up from its first answer on. Until then the wait doubles, from half a second to the
device's ``retry``.

A driver that fails by itself (any exception but DeviceLost) is replaced by a new one: three times
within a minute, then once a minute (``relapse``). Nothing it raises reaches another device
(``guarded``).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from edgetwin.core.errors import DeviceLost
from edgetwin.core.frame import Overrun
from edgetwin.core.overrun import Punctuality
from edgetwin.core.plan import SECOND, DevicePlan, ScanGroup
from edgetwin.core.quality import Quality
from edgetwin.devices.driver import Driver
from edgetwin.runtime import clock
from edgetwin.runtime.field import Field
from edgetwin.runtime.guarded import GuardedDriver
from edgetwin.runtime.load import Load
from edgetwin.runtime.relapse import QUARANTINE, RESTARTS, WITHIN, Relapses
from edgetwin.runtime.scheduler import Job, Scheduler

log = logging.getLogger("edgetwin.device")

_FIRST_WAIT = SECOND // 2
_LISTEN = SECOND // 20
_GOOD_RUN_S = 60.0  # an office that ran so long failed of something new
_NO_ANSWER = (Quality.NOT_YET_READ, Quality.NO_COMMUNICATION, Quality.DEVICE_FAULT)


class Time(NamedTuple):
    """The clock a supervisor goes by, and how it waits (seconds)."""

    mono: Callable[[], int] = clock.monotonic_ns
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Shared(NamedTuple):
    """What all supervisors share; without ``load`` nothing is ever thinned out.

    ``rehearsals`` are called before scans, by device and number of the scan group.
    """

    field: Field
    scheduler: Scheduler
    load: Load | None = None
    rehearsals: Mapping[tuple[int, int], Callable[[], None]] = MappingProxyType({})


@dataclass(slots=True)
class Health:
    """What is known of one device's line, for status.

    ``losses`` counts those that were up, ``failures`` the driver's own; ``tries`` are the
    connections tried since it was last up; ``classes`` tell of each scan group.
    """

    up: bool = False
    reason: str = "not connected yet"
    connects: int = 0
    losses: int = 0
    failures: int = 0
    tries: int = 0
    quarantined: bool = False
    jobs: list[Job] = field(default_factory=list)
    classes: list[Punctuality] = field(default_factory=list)


class Supervisor:
    """Runs one device. ``run`` never ends by itself."""

    def __init__(
        self,
        plan: DevicePlan,
        make: Callable[[], Driver],
        shared: Shared,
        offset: int,
        time: Time | None = None,
    ) -> None:
        """``offset`` ns shifts this device's grid, so that equal devices do not all ask at once."""
        self.plan = plan
        self.health = Health(classes=[Punctuality() for _ in plan.groups])
        self._make = make
        self._field, self._scheduler, self._load, self._rehearsals = shared
        self._offset = offset
        self._time = time or Time()
        self._relapses = Relapses()
        self._down_since = 0
        self._failure = ""

    async def run(self) -> None:
        """Connect, scan, and start again, until cancelled."""
        driver: GuardedDriver | None = None
        wait = _FIRST_WAIT
        while True:
            since, told = self.health.connects, self.health.failures
            self.health.tries += 1
            try:
                driver = driver or GuardedDriver(self._make(), self._field.written)
                await self._live(driver)
            except DeviceLost as error:
                self._down(str(error))
                wait = self._wait_after(wait, since)
            except Exception as error:  # noqa: BLE001 (a driver's bug must not end the others)
                wait = self._failed(error)
            finally:
                self._stop_scans()
                if driver is not None:
                    await driver.close()
            if driver is not None and driver.broken is not None:
                if self.health.failures == told:  # it broke as it was closed
                    wait = self._failed(driver.broken)
                driver = None  # what it still holds nobody knows: the next one is new
            await self._time.sleep(wait / SECOND)

    async def _live(self, driver: GuardedDriver) -> None:
        """One life of a connection.

        Raises:
            Exception: how it ended.
        """
        await driver.connect()
        self._scan_all(driver)
        await driver.lost()

    def _wait_after(self, last: int, connects: int) -> int:
        """A device that had answered is tried again at once, another one ever more rarely."""
        return _FIRST_WAIT if self.health.connects > connects else min(2 * last, self.plan.retry)

    def _failed(self, error: Exception) -> int:
        """Tell of the driver's own failure; how long to leave it alone."""
        name, health = self.plan.name, self.health
        health.failures += 1
        was = self._relapses.quarantined
        wait = self._relapses.failed(self._time.mono())
        health.quarantined = self._relapses.quarantined
        if not health.quarantined:
            log.error("%s: the driver failed; it starts again", name, exc_info=error)
            self._failure = f"{name}: the driver failed ({error!r}); see the log"
        elif not was:
            self._failure = (
                f"{name}: the driver failed {RESTARTS + 1} times within {WITHIN // SECOND} s "
                f"({error!r}); it is tried again every {QUARANTINE // SECOND} s. Please report this"
            )
        self._down(self._failure)
        return wait

    def _scan_all(self, driver: GuardedDriver) -> None:
        self._field.attach(self.plan.index, driver)
        for group in self.plan.groups:
            driver.start_scan(group.number)  # the first values are wanted now, not on the grid
            offset = self._offset % group.period or group.period
            rehearse = self._rehearsals.get((self.plan.index, group.number), _nothing)
            scan = _Scan(self, driver, group, rehearse)
            scan.job = self._scheduler.every(group.period, scan, offset)
            self.health.jobs.append(scan.job)
        self.health.jobs.append(self._scheduler.every(_LISTEN, self._listen))

    def scanned(self, group: ScanGroup, due: int, skipped: int, thinned: int) -> None:
        """Count due times of a scan class; tell when it no longer keeps up, and when it does."""
        if self._load:
            self._load.scanned(group, due, skipped)
        punctuality = self.health.classes[group.number]
        if punctuality.note(due, skipped, self._time.mono()):
            over, told = punctuality.over, punctuality.told
            cause = Overrun(self.plan.index, group.number, over, told.due, told.skipped, thinned)
            self._field.turn(cause)

    def one_in(self, group: ScanGroup) -> int:
        """How many due times of a scan class make one scan."""
        return self._load.one_in(group) if self._load else 1

    def _listen(self) -> None:
        """Up as soon as one tag says anything but that nobody speaks; then listening is over."""
        quality = self._field.engine.twin.quality
        tags = [tag for group in self.plan.groups for tag in group.tags]
        if np.isin(quality[tags], _NO_ANSWER).all():
            return
        self._scheduler.cancel(self.health.jobs.pop())
        self._field.device_up(self.plan.index, self._back())
        self.health.up, self.health.reason, self.health.quarantined = True, "", False
        self.health.connects += 1
        self.health.tries = 0

    def _back(self) -> str:
        """How long it was away and how often it was tried, for the log; "" the first time."""
        if not self.health.connects:
            return ""
        away = (self._time.mono() - self._down_since) / SECOND
        tries = "1 try" if self.health.tries == 1 else f"{self.health.tries} tries"
        return f"{self.plan.name} answers again, after {away:.1f} s and {tries}"

    def _down(self, reason: str) -> None:
        if self.health.up:
            self.health.losses += 1
            self._down_since = self._time.mono()
        self.health.up, self.health.reason = False, reason
        self._field.device_down(self.plan.index, reason)

    def _stop_scans(self) -> None:
        for job in self.health.jobs:
            self._scheduler.cancel(job)
        self.health.jobs.clear()
        for punctuality in self.health.classes:
            punctuality.forget()


class _Scan:
    """What is done each time one scan class is due."""

    __slots__ = ("_driver", "_group", "_missed", "_owner", "_rehearse", "_turn", "job")

    job: Job

    def __init__(
        self,
        owner: Supervisor,
        driver: GuardedDriver,
        group: ScanGroup,
        rehearse: Callable[[], None],
    ) -> None:
        self._owner, self._driver, self._group = owner, driver, group
        self._rehearse = rehearse
        self._missed = self._turn = 0

    def __call__(self) -> None:
        missed, self._missed = self.job.missed - self._missed, self.job.missed
        thinned = self._owner.one_in(self._group)
        self._turn = (self._turn + 1) % thinned
        if not missed:  # else there is no time for it
            self._rehearse()
        taken = self._turn == 0 and self._driver.start_scan(self._group.number)
        skipped = missed if taken else missed + 1
        self._owner.scanned(self._group, missed + 1, skipped, thinned)


def _nothing() -> None:
    """Most scans need no rehearsal."""


async def keep(name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a job of the office side for good: its failure is told, and never reaches the field."""
    wait, loop = _FIRST_WAIT, asyncio.get_running_loop()
    while True:
        begun = loop.time()
        try:
            await run()
        except Exception:  # the office may fail in ways nobody foresaw; the plant goes on
            log.exception("%s failed; it starts again in %.1f s", name, wait / SECOND)
        else:
            return
        wait = wait if loop.time() - begun < _GOOD_RUN_S else _FIRST_WAIT
        await asyncio.sleep(wait / SECOND)
        wait = min(2 * wait, 30 * SECOND)
