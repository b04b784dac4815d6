"""Raw values that say more than a number: "I have no value", "the wire is broken".

Both are judged on what the device holds, before scale and offset, and only tags that ask for it
cost anything. A *sentinel* is a bit pattern (0x8000 of an int16), compared with the bits, so that
also one NaN among others can be meant. A *current* is judged by NAMUR NE 43:

    ≤ 3.6 mA          broken sensor or wire         bad: sensor failure
    3.6 to 3.8        driven to its end             uncertain: out of range
    3.8 to 20.5       measuring                     good
    20.5 to 21.0      driven to its end             uncertain: out of range
    ≥ 21.0 mA         broken sensor, short circuit  bad: sensor failure
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.quality import Quality
from edgetwin.core.reading import Bytes, Floats
from edgetwin.core.tags import CurrentLoop, Tag

FAILED_LOW_MA, MEASURES_FROM_MA, MEASURES_TO_MA, FAILED_HIGH_MA = 3.6, 3.8, 20.5, 21.0
"""NAMUR NE 43."""

_FAINT = 1e-9  # mA: what float64 arithmetic adds to a limit that a raw value meets exactly


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The patterns to look for in one view of raw bits: ``bits[at] == pattern`` → ``into``."""

    bits: NDArray[Any]
    at: NDArray[np.intp]
    pattern: NDArray[Any]
    into: NDArray[np.intp]

    @classmethod
    def of(cls, bits: NDArray[Any], tags: Sequence[Tag], into: Sequence[int]) -> "Sentinels | None":
        """For one lane; ``bits`` is unsigned. None where no tag has a sentinel."""
        found = [(i, each) for i, tag in enumerate(tags) for each in tag.no_value]
        if not found:
            return None
        at = np.array([i for i, _ in found], np.intp)
        pattern = np.array([each for _, each in found], bits.dtype)
        return cls(bits, at, pattern, np.array(into, np.intp)[at])


@dataclass(frozen=True, slots=True)
class _Currents:
    """The 4-20 mA signals of a block: where they are, and mA = factor times raw plus shift."""

    at: NDArray[np.intp]
    factor: Floats
    shift: Floats

    @classmethod
    def of(cls, tags: Sequence[Tag]) -> "_Currents | None":
        found = [(i, tag.current) for i, tag in enumerate(tags) if tag.current is not None]
        if not found:
            return None
        factor = np.array([_factor(loop) for _, loop in found])
        shift = 4.0 - factor * np.array([loop.at_4_ma for _, loop in found])
        return cls(np.array([i for i, _ in found], np.intp), factor, shift)

    def judge(self, values: Floats, quality: Bytes) -> None:
        """Lower the quality of each that does not measure; what is no number is not judged."""
        ma = values[self.at] * self.factor + self.shift
        outside = (ma < MEASURES_FROM_MA - _FAINT) | (ma > MEASURES_TO_MA + _FAINT)
        if not np.count_nonzero(outside):
            return
        failed = (ma <= FAILED_LOW_MA + _FAINT) | (ma >= FAILED_HIGH_MA - _FAINT)
        quality[self.at[outside]] = Quality.OUT_OF_RANGE
        quality[self.at[failed]] = Quality.SENSOR_FAILURE


def _factor(loop: CurrentLoop) -> float:
    return 16.0 / (loop.at_20_ma - loop.at_4_ma)


@dataclass(frozen=True, slots=True)
class Screen:
    """Judges the raw column of one block."""

    sentinels: tuple[Sentinels, ...]
    currents: _Currents | None

    @classmethod
    def of(cls, tags: Sequence[Tag], sentinels: Iterable[Sentinels | None]) -> "Screen | None":
        """None where no tag of the block asks for it."""
        found = tuple(each for each in sentinels if each is not None)
        currents = _Currents.of(tags)
        return cls(found, currents) if found or currents else None

    def judge(self, values: Floats) -> Bytes | int:
        """Quality of each raw value, 0 where all are good; a bad one is made NaN in ``values``."""
        quality = np.zeros(len(values), np.uint8)
        if self.currents is not None:
            self.currents.judge(values, quality)
        for each in self.sentinels:
            hit = each.bits[each.at] == each.pattern
            if np.count_nonzero(hit):
                quality[each.into[hit]] = Quality.NO_VALUE
        if not np.count_nonzero(quality):
            return 0
        values[quality >= Quality.BAD] = np.nan
        return quality
