"""What a loop sees of the twin, and what it shows of itself in it."""

import math
from dataclasses import dataclass

import numpy as np

from edgetwin.core.laws.law import Sample
from edgetwin.core.plan import SECOND, LoopPlan
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Indices, Instant, ReadingBatch
from edgetwin.core.tags import TagTable
from edgetwin.core.tuples import new
from edgetwin.core.twin import Twin

START_PATIENCE = 10 * SECOND
"""For so long after the start a tag that was never read is waited for, and is no fault."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a loop cannot know. ``may_wait``: the first reading of a tag may still be on its way."""

    text: str
    may_wait: bool = False


class Senses:
    """What a loop sees of the twin."""

    def __init__(self, plan: LoopPlan, tags: TagTable) -> None:
        self._plan = plan
        self._tags = tags
        self._sp_tag = int(plan.sp) if plan.sp_is_tag else -1
        sp = (self._sp_tag,) if plan.sp_is_tag else ()
        self._needed = (plan.pv, *sp, *plan.inputs, plan.mv)
        self._first_look = -1

    def trouble(self, twin: Twin, now: Instant) -> Trouble | None:
        """Why the law must not run now; None when all is well."""
        if self._first_look < 0:
            self._first_look = now.mono
        if not twin.are_sound(self._needed, now):
            return self._not_good(self._needed, "", twin, now)
        for name, expression, inputs in self._plan.permissives:
            found = self._not_good(inputs, f"permissive {name}: ", twin, now)
            if found:
                return found
            met = expression.evaluate([twin.value.item(tag) for tag in inputs])
            if math.isnan(met) or not met:
                return Trouble(f"permissive {name} not met")
        return None

    def sample(self, twin: Twin, dt: float) -> Sample:
        """What the law sees, all of it good."""
        value = twin.value
        sp = value.item(self._sp_tag) if self._sp_tag >= 0 else float(self._plan.sp)
        others = self._plan.inputs
        inputs = tuple([value.item(tag) for tag in others]) if others else ()
        return new(Sample, (value.item(self._plan.pv), sp, dt, inputs))

    def _not_good(
        self, tags: tuple[int, ...], context: str, twin: Twin, now: Instant
    ) -> Trouble | None:
        for tag in tags:
            if not twin.is_sound(tag, now):
                quality = twin.state(tag, now).quality
                never = quality is Quality.NOT_YET_READ
                early = now.mono - self._first_look <= START_PATIENCE
                text = f"{context}{self._tags[tag].name} is {quality.words}"
                return Trouble(text, never and early)
        return None


class Outputs:
    """What a loop shows: the setpoint it used, and what it wants the mv to be.

    ``sp`` and ``out`` are good from when they are set until ``doubt``.
    """

    def __init__(self, plan: LoopPlan) -> None:
        own = (plan.sp_tag, plan.out_tag, plan.mode_tag)
        in_a_row = own == tuple(range(own[0], own[0] + 3))
        self._tags: Indices = slice(own[0], own[0] + 3) if in_a_row else np.array(own, np.intp)
        self._constant = math.nan if plan.sp_is_tag else float(plan.sp)
        self._unknown = Quality.NOT_YET_READ
        self.sp = self._constant
        self.out = math.nan

    def doubt(self) -> None:
        """Nothing is computed any more; only a setpoint that is a number still holds."""
        self.sp, self.out, self._unknown = self._constant, math.nan, Quality.BAD

    def batch(self, mode: float, now: Instant) -> ReadingBatch:
        """Setpoint, output and mode as readings of now."""
        values = np.array([self.sp, self.out, mode])
        if not (math.isnan(self.sp) or math.isnan(self.out)):
            return ReadingBatch(self._tags, values, 0, now.wall)
        quality = np.where(np.isnan(values), self._unknown, Quality.GOOD).astype(np.uint8)
        return ReadingBatch(self._tags, values, quality, now.wall)
