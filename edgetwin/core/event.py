"""Events: what changed, told once, in one sentence that names the place and what it means."""

from dataclasses import dataclass
from enum import StrEnum

from edgetwin.core.reading import Scalar


class EventKind(StrEnum):
    """What happened. The value is the word on the wire."""

    DEVICE_LOST = "device lost"
    DEVICE_BACK = "device back"
    OVERRUN = "overrun"
    OVERRUN_OVER = "overrun over"
    TAG_BAD = "tag bad"
    TAG_GOOD = "tag good"
    LOOP_MODE = "loop mode"
    LOOP_FAULT = "loop fault"
    LOOP_BACK = "loop back"
    WRITTEN = "written"
    WRITE_REFUSED = "write refused"
    WRITE_FAILED = "write failed"
    LEARNED = "learned"
    MODEL_UNAVAILABLE = "model unavailable"
    ANOMALY = "anomaly"
    ANOMALY_CLEARED = "anomaly cleared"
    ALARM = "alarm"
    ALARM_STATE = "alarm state"
    REQUEST = "request"
    CHALLENGER = "challenger"
    GAP = "gap"
    STARTED = "started"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    ``subject`` is a device, tag, loop or detector; ``facts`` are for programs.
    """

    kind: EventKind
    subject: str
    text: str
    facts: tuple[tuple[str, Scalar], ...] = ()
