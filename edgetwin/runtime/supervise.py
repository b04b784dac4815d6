"""Keeps one device alive for years: connect, scan on the grid, notice the loss, try again.

    connect ──▶ scans on their grid ──▶ up: it has answered ──▶ lost ──▶ down, wait ──┐
       ▲                                                                              │
       └──────────────────────────────────────────────────────────────────────────────┘

A connection is not an answer: with a wrong unit id behind a gateway it stands, and nobody speaks.
So a device is up from its first answer on. Until then the wait doubles, from half a second to the
device's ``retry``.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgetwin.core.errors import DeviceLost
from edgetwin.core.plan import SECOND, DevicePlan
from edgetwin.core.quality import Quality
from edgetwin.devices.driver import Driver
from edgetwin.runtime.field import Field
from edgetwin.runtime.scheduler import Job, Scheduler

log = logging.getLogger("edgetwin.device")

_FIRST_WAIT = SECOND // 2
_LISTEN = SECOND // 20
_NO_ANSWER = (Quality.NOT_YET_READ, Quality.NO_COMMUNICATION, Quality.DEVICE_FAULT)


@dataclass(slots=True)
class Health:
    """What is known of one device's line, for status. ``losses`` counts those that were up."""

    up: bool = False
    reason: str = "not connected yet"
    connects: int = 0
    losses: int = 0
    overruns: int = 0
    jobs: list[Job] = field(default_factory=list)


class Supervisor:
    """Runs one device. ``run`` never ends by itself."""

    def __init__(
        self,
        plan: DevicePlan,
        make: Callable[[], Driver],
        parts: tuple[Field, Scheduler],
        offset: int,
    ) -> None:
        """``offset`` ns shifts this device's grid, so that equal devices do not all ask at once."""
        self.plan = plan
        self.health = Health()
        self._make = make
        self._field, self._scheduler = parts
        self._offset = offset

    async def run(self) -> None:
        """Connect, scan, and start again, until cancelled."""
        driver = self._make()
        wait = _FIRST_WAIT
        while True:
            since = self.health.connects
            try:
                await driver.connect()
                self._scan_all(driver)
                await driver.lost()
            except DeviceLost as error:
                self._down(str(error))
            except Exception as error:  # a driver's bug must not end the others; it is told in full
                log.exception("%s: the driver failed", self.plan.name)
                self._down(f"{self.plan.name}: the driver failed ({error!r}); see the log")
            finally:
                self._stop_scans()
                await driver.close()
            wait = _FIRST_WAIT if self.health.connects > since else min(2 * wait, self.plan.retry)
            await asyncio.sleep(wait / SECOND)

    def _scan_all(self, driver: Driver) -> None:
        self._field.attach(self.plan.index, driver)
        for group in self.plan.groups:
            scan = self._scan(driver, group.number)
            scan()  # the first values are wanted now, the grid is for the rest
            self.health.jobs.append(self._scheduler.every(group.period, scan, self._offset))
        self.health.jobs.append(self._scheduler.every(_LISTEN, self._listen))

    def _scan(self, driver: Driver, group: int) -> Callable[[], None]:
        def scan() -> None:
            if not driver.start_scan(group):
                self.health.overruns += 1

        return scan

    def _listen(self) -> None:
        """Up as soon as one tag says anything but that nobody speaks; then listening is over."""
        quality = self._field.engine.twin.quality
        tags = [tag for group in self.plan.groups for tag in group.tags]
        if np.isin(quality[tags], _NO_ANSWER).all():
            return
        self._scheduler.cancel(self.health.jobs.pop())
        self.health.up, self.health.reason = True, ""
        self.health.connects += 1
        self._field.device_up(self.plan.index)

    def _down(self, reason: str) -> None:
        self.health.losses += self.health.up
        self.health.up, self.health.reason = False, reason
        self._field.device_down(self.plan.index, reason)

    def _stop_scans(self) -> None:
        for job in self.health.jobs:
            self._scheduler.cancel(job)
        self.health.jobs.clear()


async def keep(name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a job of the office side for good: its failure is told, and never reaches the field."""
    wait = _FIRST_WAIT
    while True:
        try:
            await run()
        except Exception:  # the office may fail in ways nobody foresaw; the plant goes on
            log.exception("%s failed; it starts again in %.1f s", name, wait / SECOND)
        else:
            return
        await asyncio.sleep(wait / SECOND)
        wait = min(2 * wait, 30 * SECOND)
