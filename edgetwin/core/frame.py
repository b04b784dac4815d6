"""Frames: the one record. A frame is what one turn of the engine took in and what it gave out.

Recording, replay, history, summaries and status are all views of the stream of frames. The engine
is pure, so feeding it the inputs of recorded frames again must give the same frames: that is what
``edgetwin replay`` checks.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.event import Event
from edgetwin.core.plan import AlarmAction, Mode
from edgetwin.core.reading import Instant, ReadingBatch, WriteRequest, WriteResult

# ---------------------------------------------------------------- what a turn may take in


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A subscription said that nothing changed: these tags' last values are still true now."""

    tags: range


@dataclass(frozen=True, slots=True)
class Link:
    """A device was found (``up``) or lost, and why."""

    device: int
    up: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Overrun:
    """A scan class no longer keeps up (``over``), or does so again.

    ``skipped`` of ``due`` scans were left out; one in ``thinned`` is all that is asked for.
    """

    device: int
    group: int
    over: bool
    due: int
    skipped: int
    thinned: int = 1


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: look for what is stale, frozen or overdue."""


@dataclass(frozen=True, slots=True)
class Reflect:
    """The writes are on the wire: sample, score, judge."""


@dataclass(frozen=True, slots=True)
class ModeRequest:
    """A person asks a loop to change its mode."""

    loop: int
    mode: Mode
    by: str


@dataclass(frozen=True, slots=True)
class AlarmRequest:
    """A person does something about an alarm; ``span`` ns is how long it stays on the shelf."""

    alarm: int
    action: AlarmAction
    span: int
    by: str


@dataclass(frozen=True, slots=True)
class CloudWrite:
    """Somebody beyond an upstream asks for a value of a tag, by the name he knows it by.

    An array is asked for by its own name: ``value`` then has one for each element. That of a text
    is one of its ``texts``. ``id`` names the request for good: the key it was signed with, and its
    number. Who gives this input has seen to it that it is authentic and fresh, and that it can
    never come again.
    """

    id: str
    upstream: str
    by: str
    tag: str
    value: float | str | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CloudMode:
    """The same, for the mode of a loop."""

    id: str
    upstream: str
    by: str
    loop: str
    mode: Mode


@dataclass(frozen=True, slots=True)
class ModelInstalled:
    """A model takes over a detector: the file's bytes, so that a recording is complete."""

    detector: int
    onnx: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelUnavailable:
    """A detector has no model it may trust, and why."""

    detector: int
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The daemon is asked to end: every loop follows its end rule now."""


Input: TypeAlias = (
    ReadingBatch
    | Confirmed
    | Link
    | Overrun
    | WriteResult
    | Tick
    | Reflect
    | ModeRequest
    | AlarmRequest
    | CloudWrite
    | CloudMode
    | ModelInstalled
    | ModelUnavailable
    | Stop
)

# ---------------------------------------------------------------- what a turn may give out


@dataclass(frozen=True, slots=True)
class Lesson:
    """A detector has seen enough: train a model on these rows, float64[rows, tags]."""

    detector: int
    rows: NDArray[np.float64]


class Frame(NamedTuple):
    """One turn.

    ``inner`` are the readings that edgetwin made itself (derived, loop and detector tags).
    """

    number: int
    at: Instant
    input: Input
    inner: tuple[ReadingBatch, ...] = ()
    writes: tuple[WriteRequest, ...] = ()
    events: tuple[Event, ...] = ()
    lessons: tuple[Lesson, ...] = ()
