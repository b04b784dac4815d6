"""Learning without a running gateway: live from the devices, or from a recording.

Nothing is controlled and nothing is sent: of the plan only devices, derived tags and detectors are
left. The state directory is locked meanwhile, so a running gateway is never disturbed.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from edgetwin.analysis.onnx import load_scorer
from edgetwin.analysis.registry import StoredModel
from edgetwin.core.codec import decode
from edgetwin.core.detector import Detector
from edgetwin.core.engine import Engine
from edgetwin.core.errors import ModelError, RecordingError
from edgetwin.core.frame import Confirmed, Frame, Lesson, Link, Reflect, Tick
from edgetwin.core.plan import GatewayPlan
from edgetwin.core.reading import ReadingBatch
from edgetwin.core.tags import TagKind, TagTable
from edgetwin.runtime.daemon import Daemon
from edgetwin.runtime.learning import make_model, store_model
from edgetwin.storage.recording import RecordingReader
from edgetwin.storage.state import StateDirectory

_LOOK_S = 0.5
_PARTS = 4


@dataclass(frozen=True, slots=True)
class Learned:
    """How one detector's lesson ended: with a stored model, or with the reason why not."""

    detector: str
    tags: tuple[str, ...]
    end: StoredModel | ModelError


def learners(plan: GatewayPlan) -> list[int]:
    """The detectors that learn, by number; those with a given model do not."""
    return [i for i, detector in enumerate(plan.detectors) if detector.model is None]


def only_watching(plan: GatewayPlan) -> GatewayPlan:
    """The plan without control, upstream and recording."""
    return replace(plan, loops=(), upstreams=(), control=False, recording_bytes=0)


# ---------------------------------------------------------------- live


async def learn_live(plan: GatewayPlan, tell: Callable[[str], None]) -> list[Learned]:
    """Read the devices until every detector has learned, or someone ends it.

    Raises:
        AlreadyRunning, StorageError: the state directory cannot be had.
    """
    daemon = Daemon(only_watching(plan), only_learn=True)
    wanted = learners(plan)
    ends: dict[int, StoredModel | ModelError] = {}

    def ended(detector: int, end: StoredModel | ModelError) -> None:
        ends[detector] = end
        if not set(wanted) - ends.keys():
            daemon.stop()

    daemon.learning.on_end = ended
    progress = _Progress([daemon.field.engine.detectors[i] for i in wanted], tell)
    running = asyncio.create_task(daemon.run(), name="learning")
    while not (await asyncio.wait((running,), timeout=_LOOK_S))[0]:
        progress.look()
    running.result()
    stopped = ModelError("stopped before the end; nothing was stored")
    return [_learned(plan, i, ends.get(i, stopped)) for i in wanted]


class _Progress:
    """Says how far each detector is: when it begins, at each quarter, and what holds it up."""

    def __init__(self, detectors: list[Detector], tell: Callable[[str], None]) -> None:
        self._detectors = detectors
        self._tell = tell
        self._told: dict[int, tuple[int, str]] = {}

    def look(self) -> None:
        """Tell what is new since the last look."""
        for index, detector in enumerate(self._detectors):
            done, wanted = detector.progress
            words = detector.words
            news = (_PARTS * done // max(wanted, 1), words.partition("; ")[2])
            if news != self._told.get(index):
                self._told[index] = news
                self._tell(f"{detector.plan.name}: {words}")


# ---------------------------------------------------------------- from a recording


def learn_from(plan: GatewayPlan, recorded: TagTable, reader: RecordingReader) -> list[Learned]:
    """Learn from what a gateway recorded. ``recorded`` are the tags of the recording.

    Raises:
        AlreadyRunning, StorageError: the state directory cannot be had.
        RecordingError: it is damaged, or has other tags than this plan.
    """
    _check_tags(plan.tags, recorded)
    state = StateDirectory(plan.state)
    state.open()
    try:
        engine = Engine(only_watching(plan), load_scorer)
        lessons = dict(_lessons(engine, reader))
        return [_learn_one(plan, i, lessons, engine.detectors[i]) for i in learners(plan)]
    finally:
        state.close()


def _check_tags(ours: TagTable, theirs: TagTable) -> None:
    """Readings are recorded by the tags' numbers: all measured tags must have the same."""
    here = [t.name for t in ours if t.kind is TagKind.MEASURED]
    there = [t.name for t in theirs if t.kind is TagKind.MEASURED]
    if here != there:
        odd = sorted(set(here) ^ set(there)) or ["their order"]
        raise RecordingError(
            f"the recording was made with other tags (different: {', '.join(odd[:5])}). "
            "Learn with the configuration it was made with, or record anew"
        )


def _lessons(engine: Engine, reader: RecordingReader) -> Iterator[tuple[int, tuple[Lesson, int]]]:
    """Each detector's first lesson, and UTC ns of its last row."""
    missing = set(learners(engine.plan))
    for data in reader.frames():
        recorded = decode(data)
        for frame in _turns(engine, recorded):
            for lesson in frame.lessons:
                missing.discard(lesson.detector)
                yield lesson.detector, (lesson, frame.at.wall)
        if not missing:
            return


def _turns(engine: Engine, recorded: Frame) -> Iterator[Frame]:
    """What came from the field goes in again; rows are taken on this plan's grid, not on theirs."""
    if isinstance(recorded.input, ReadingBatch | Confirmed | Link | Tick):
        yield engine.turn(recorded.input, recorded.at)
        if recorded.at.mono >= engine.next_reflect:
            yield engine.turn(Reflect(), recorded.at)


def _learn_one(
    plan: GatewayPlan, index: int, lessons: dict[int, tuple[Lesson, int]], detector: Detector
) -> Learned:
    if index not in lessons:
        done, wanted = detector.progress
        text = (
            f"the recording holds {done} rows in which all its tags are good; {wanted} are wanted. "
            "Record longer, or set a smaller 'train'"
        )
        return _learned(plan, index, ModelError(text))
    lesson, ended = lessons[index]
    try:
        onnx = asyncio.run(make_model(plan, lesson, ended))
        return _learned(plan, index, store_model(plan, lesson, onnx))
    except ModelError as error:
        return _learned(plan, index, error)


def _learned(plan: GatewayPlan, index: int, end: StoredModel | ModelError) -> Learned:
    detector = plan.detectors[index]
    return Learned(detector.name, tuple(plan.tags[i].name for i in detector.tags), end)
