"""What flows between field and core: instants, batches of readings, write requests and results."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Bytes: TypeAlias = NDArray[np.uint8]
Times: TypeAlias = NDArray[np.int64]
Indices: TypeAlias = slice | NDArray[np.intp]

Scalar: TypeAlias = float | int | bool | str
"""A value as people and devices know it: what the exact lane carries, and what a write asks for."""


class Instant(NamedTuple):
    """One moment on both clocks, in nanoseconds.

    ``mono`` is for every interval and decision; ``wall`` (UTC since 1970) is only ever a stamp, so
    a clock step cannot move a control action.
    """

    mono: int
    wall: int


class ReadingBatch(NamedTuple):
    """Readings that came in together: columns of equal length n, no object per value.

    ``tags``         twin indices, a slice (the usual, cheap case) or n indices
    ``values``       float64[n], scaled to engineering units; NaN where there is no value
    ``quality``      uint8[n] of Quality; 0 (an int) when all are good
    ``source_time``  int64[n] UTC ns given by the device, or one int for all; 0: it gives none
    ``objects``      what float64 cannot hold: (twin index, 64-bit integer or text)
    """

    tags: Indices
    values: Floats
    quality: Bytes | int = 0
    source_time: Times | int = 0
    objects: tuple[tuple[int, Scalar], ...] = ()


class Authority(StrEnum):
    """Who asks for a write, strongest first (see docs/architecture.md, the write path)."""

    INTERLOCK = "interlock"
    OPERATOR = "operator"
    TECHNICIAN = "technician"
    CLOUD = "cloud"
    LOOP = "loop"


class WriteRequest(NamedTuple):
    """A value that the guard has let through and a device shall now take.

    Only ``core.guard`` makes these (an architecture test holds that); a driver executes and answers
    each with exactly one WriteResult. ``expires`` is monotonic ns: a request still unsent then is
    answered EXPIRED.
    """

    number: int
    tag: int
    value: float
    authority: Authority
    by: str
    reason: str
    expires: int


class WriteOutcome(StrEnum):
    """How a write ended."""

    WRITTEN = "written"
    REFUSED = "refused"
    NOT_VERIFIED = "not verified"
    EXPIRED = "expired"
    NO_COMMUNICATION = "no communication"


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The end of one write, and what the device says it now holds (NaN: not read back)."""

    number: int
    tag: int
    outcome: WriteOutcome
    read_back: float
    detail: str = ""
