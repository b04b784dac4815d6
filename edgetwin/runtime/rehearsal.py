"""The turn of a fast loop, rehearsed right before the scan that it waits for.

Theory of operation. Between two scans of a fast loop the processor does other things, or sleeps;
when the reading comes, the code from its bytes to the write is no longer in the caches, and takes
three times as long as it would (measured: 150 instead of 50 us). So it is run once for nothing just
before the scan is sent: the reply then finds it warm (88 us). Traders keep their way to an order
warm in the same manner (C. Cook, "When a microsecond is an eternity", CppCon 2017).

A rehearsal has an engine, a guard, a twin and a driver of its own, of the same classes, before a
device that is only memory (``devices.*.stage``). It shares nothing that changes with those of the
plant, gives out no frame, and says nothing.

Rehearsed are loops that write to the device they read, on scans of 5 to 20 ms: a faster one is warm
anyway, and a slower one has no use for it. It takes 0.2 ms of each such scan.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Protocol

import numpy as np

from edgetwin.core.engine import Engine
from edgetwin.core.frame import Frame
from edgetwin.core.plan import DevicePlan, GatewayPlan, LoopPlan, Mode, ScanGroup
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.tags import Tag, TagKind, TagTable
from edgetwin.devices import STAGES
from edgetwin.devices.driver import Driver, Sink
from edgetwin.runtime.field import Field
from edgetwin.runtime.guarded import GuardedDriver
from edgetwin.runtime.learning import load_scorer

log = logging.getLogger(__name__)

FASTEST, SLOWEST = 5_000_000, 20_000_000
"""Periods of scans that are worth a rehearsal, ns."""

_FOR_EVER = 1 << 60  # ns: what was read once never goes stale


class Stage(Protocol):
    """A driver before a device in memory; see ``devices/modbus/stage.py``."""

    driver: Driver

    def answer(self) -> None:
        """Answer all that the driver has asked."""


class Rehearsal:
    """One loop. Call it before its scan; it never raises."""

    def __init__(
        self,
        plan: GatewayPlan,
        loop: LoopPlan,
        group: ScanGroup,
        now: Callable[[], Instant],
    ) -> None:
        """Needs a running event loop. Nothing happens before ``begin``."""
        device = plan.devices[plan.tags[loop.pv].device]
        tags = TagTable(tuple(map(_undying, plan.tags)))
        self._name = loop.name
        self._group = group
        self._inputs = sorted({*_needed(loop)} - {*group.tags})
        self._field = _Silent(Engine(_alone(plan, loop, tags), load_scorer), (), now)
        stage = _stage_class(device.driver)
        self._stage: Stage = stage(replace(device, groups=(group,)), tags, self._field, now)
        self._driver = GuardedDriver(self._stage.driver, self._field.written)
        self._device = device.index
        self._ready = False

    async def begin(self) -> None:
        """Open the stage, and give the loop what no scan of its own brings. Never raises."""
        try:
            await self._driver.connect()
            self._field.attach(self._device, self._driver)
            tags = self._field.engine.plan.tags
            if self._inputs:
                values = np.array([_middle(tags[i]) for i in self._inputs])
                self._field.readings(ReadingBatch(np.array(self._inputs, np.intp), values))
        except Exception as error:  # noqa: BLE001 (whatever it was, no plant waits for a rehearsal)
            self._leave_out(error)
        else:
            self._ready = True

    def __call__(self) -> None:
        """From the request to the write and its end, once."""
        if not self._ready:
            return
        try:
            self._driver.start_scan(self._group.number)
            self._stage.answer()
        except Exception as error:  # noqa: BLE001 - as above
            self._leave_out(error)

    def _leave_out(self, error: Exception) -> None:
        self._ready = False
        text = (
            "loop %s: its rehearsal failed; without it the loop writes a little later. Report this"
        )
        log.error(text, self._name, exc_info=error)

    async def close(self) -> None:
        """Close the stage. Never raises."""
        self._ready = False
        await self._driver.close()


class _Silent(Field):
    """A field whose frames lead to nothing: no line in the log, no lesson, no look of detectors."""

    def _follow(self, frame: Frame) -> None:
        pass


def rehearsals(plan: GatewayPlan, now: Callable[[], Instant]) -> dict[tuple[int, int], Rehearsal]:
    """Those that a plan asks for, by device and number of the scan group: one for each group."""
    found: dict[tuple[int, int], Rehearsal] = {}
    for loop in plan.loops if plan.control and plan.rehearse else ():
        group = _group_of(plan, loop)
        place = (plan.tags[loop.pv].device, group.number if group else -1)
        if group and place not in found:
            found[place] = Rehearsal(plan, loop, group, now)
    return found


def _group_of(plan: GatewayPlan, loop: LoopPlan) -> ScanGroup | None:
    """The scan of a loop that reads and writes one device that can be staged; else None."""
    pv, mv = plan.tags[loop.pv], plan.tags[loop.mv]
    if pv.kind is not TagKind.MEASURED or pv.device != mv.device or loop.mode is Mode.OFF:
        return None
    device = plan.devices[pv.device]
    for group in device.groups if device.driver in STAGES else ():
        if loop.pv in group.tags and FASTEST <= group.period <= SLOWEST:
            shown = [mv, *(plan.tags[i] for i in group.tags)]
            return group if _stage_class(device.driver).fits(device, shown) else None
    return None


def _stage_class(name: str) -> "type[_Staged]":
    module, _, attribute = STAGES[name].partition(":")
    found: type[_Staged] = getattr(import_module(module), attribute)
    return found


class _Staged(Stage, Protocol):
    """How stages are made."""

    def __init__(
        self, device: DevicePlan, tags: TagTable, sink: Sink, now: Callable[[], Instant]
    ) -> None: ...

    @staticmethod
    def fits(device: DevicePlan, tags: list[Tag]) -> bool: ...


def _needed(loop: LoopPlan) -> tuple[int, ...]:
    sp = (int(loop.sp),) if loop.sp_is_tag else ()
    return (*sp, *loop.inputs, loop.mv)


def _alone(plan: GatewayPlan, loop: LoopPlan, tags: TagTable) -> GatewayPlan:
    """The plan with this loop and nothing else; in auto, and with nobody's permission to ask."""
    return replace(
        plan,
        tags=tags,
        derived=(),
        detectors=(),
        loops=(replace(loop, mode=Mode.AUTO, permissives=()),),
        alarms=(),
        upstreams=(),
        typed=(),
    )


def _undying(tag: Tag) -> Tag:
    return replace(tag, period=_FOR_EVER, frozen_after=0)


def _middle(tag: Tag) -> float:
    """A value that is good, and from which a write may begin."""
    low, high = (tag.write.low, tag.write.high) if tag.write else (tag.low, tag.high)
    low = low if np.isfinite(low) else 0.0
    high = high if np.isfinite(high) else low + 100.0
    return (low + high) / 2
