"""Models of a running daemon: the ones it has at the start, and the ones it learns.

A detector without a model learns: after enough rows the engine gives out a lesson, a process of its
own makes a model of it, the registry keeps that, and it goes back to the engine as an input.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from edgetwin.core.detector import Scorer
from edgetwin.core.errors import ModelError
from edgetwin.core.frame import Frame, Input, Lesson, ModelInstalled, ModelUnavailable
from edgetwin.core.plan import DetectorPlan, GatewayPlan
from edgetwin.runtime import clock

if TYPE_CHECKING:
    from edgetwin.analysis.registry import StoredModel

log = logging.getLogger("edgetwin.model")

_LESSONS = 16


class Turns(Protocol):
    """Where models go: the field side."""

    def turn(self, cause: Input) -> Frame:
        """One turn of the engine."""


def load_scorer(onnx: bytes, tags: Sequence[str], window: int) -> Scorer:
    """A model ready to run. onnxruntime (21 MB) is imported only where there is a model to run.

    Raises:
        ModelError: it does not meet the contract.
    """
    from edgetwin.analysis.onnx import load_scorer as load  # noqa: PLC0415 - see the docstring

    return load(onnx, tags, window)


class Learning:
    """Brings models to detectors. ``teach`` is called by the field side and does not wait.

    ``on_end`` is told how each lesson ended: by the stored model, or by why there is none.
    """

    def __init__(self, plan: GatewayPlan, turns: Turns, *, anew: bool = False) -> None:
        """With ``anew`` the models learned before are left aside."""
        self.on_end: Callable[[int, StoredModel | ModelError], None] = lambda *_: None
        self._plan = plan
        self._turns = turns
        self._anew = anew
        # A detector learns once: more than sixteen waiting is trouble; the newest is refused.
        self._lessons: asyncio.Queue[tuple[Lesson, int]] = asyncio.Queue(_LESSONS)
        self._started = False

    def teach(self, lesson: Lesson) -> None:
        """Have a model made of a lesson."""
        try:
            self._lessons.put_nowait((lesson, clock.now().wall))
        except asyncio.QueueFull:
            self._fail(
                lesson.detector,
                ModelError("too many detectors learn at once; restart to learn this one"),
            )

    async def run(self) -> None:
        """Install what there is, then learn what comes, until cancelled."""
        if not self._started:
            self._started = True
            for index, plan in enumerate(self._plan.detectors):
                if plan.model or not self._anew:
                    await self._install_stored(index, plan)
        while True:
            lesson, ended = await self._lessons.get()
            await self._learn(lesson, ended)

    async def _install_stored(self, index: int, plan: DetectorPlan) -> None:
        try:
            found = await asyncio.to_thread(_stored, self._plan, plan)
        except ModelError as error:
            self._fail(index, error)
            return
        if found:
            self._turns.turn(ModelInstalled(index, *found))

    async def _learn(self, lesson: Lesson, ended: int) -> None:
        plan = self._plan.detectors[lesson.detector]
        log.info("%s: learning from %d rows", plan.name, len(lesson.rows))
        try:
            onnx = await make_model(self._plan, lesson, ended)
        except ModelError as error:
            self._fail(lesson.detector, error)
            return
        end: StoredModel | ModelError
        try:
            end = await asyncio.to_thread(store_model, self._plan, lesson, onnx)
        except ModelError as error:  # it can watch until the next start; then it learns again
            log.warning("%s", error)
            end = error
        self._turns.turn(ModelInstalled(lesson.detector, onnx, hashlib.sha256(onnx).hexdigest()))
        self.on_end(lesson.detector, end)

    def _fail(self, detector: int, error: ModelError) -> None:
        self._turns.turn(ModelUnavailable(detector, str(error)))
        self.on_end(detector, error)


async def make_model(gateway: GatewayPlan, lesson: Lesson, ended: int) -> bytes:
    """The bytes of an ONNX file learned from a lesson. ``ended`` is UTC ns of its last row.

    Raises:
        ModelError: the rows cannot be learned, or it took too long.
    """
    plan, tags = gateway.detectors[lesson.detector], gateway.tags
    begun = ended - len(lesson.rows) * plan.every
    names = tuple(tags[i].name for i in plan.tags)
    units = tuple(tags[i].unit for i in plan.tags)
    shells = await asyncio.to_thread(_Shells)
    return await shells.learn(
        shells.Material(lesson.rows, names, units, plan.window, plan.limit, begun, ended)
    )


def store_model(gateway: GatewayPlan, lesson: Lesson, onnx: bytes) -> "StoredModel":
    """Keep a model; it is the detector's from the next start on. Blocking.

    Raises:
        ModelError: the disk does not take it.
    """
    detector = gateway.detectors[lesson.detector].name
    return _Shells().Registry(gateway.state).store(detector, onnx)


def _stored(gateway: GatewayPlan, plan: DetectorPlan) -> tuple[bytes, str] | None:
    """The model a detector starts with, and its hash: the configured one, or the last learned."""
    shells = _Shells()
    if plan.model:
        onnx = shells.read_model(plan.model)
        shells.check_hash(onnx, plan.sha256)
        return onnx, hashlib.sha256(onnx).hexdigest()
    kept = shells.Registry(gateway.state).current(plan.name)
    return (kept.onnx, kept.sha256) if kept else None


class _Shells:
    """What analysis offers, imported only where there is a detector: it takes 0.2 s and 21 MB.

    Made in a thread, so that the import never falls into a turn of the engine.
    """

    def __init__(self) -> None:
        from edgetwin.analysis import learn, material, onnx, registry  # noqa: PLC0415 - see above

        self.learn = learn.learn
        self.Material = material.Material
        self.Registry = registry.Registry
        self.read_model = registry.read_model
        self.check_hash = onnx.check_hash
