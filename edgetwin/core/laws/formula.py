"""A law written as an expression: a ratio, a curve, on/off by a comparison, a feed-forward.

    0.8 * flow                      follows another tag
    100 if pv < sp else 0           on/off
    clamp(20 + 3 * (sp - pv), 0, 100)

It has no memory but its last output, which stays whenever the expression gives no number.
"""

import math
from dataclasses import dataclass, field

from edgetwin.core.expression import Expression
from edgetwin.core.laws.law import Band, Sample, Step
from edgetwin.core.tuples import new

OWN_NAMES = ("pv", "sp")


@dataclass(frozen=True, slots=True)
class Formula:
    """Names other than ``pv`` and ``sp`` are tags: ``Sample.inputs`` in the order of ``inputs``."""

    expression: Expression
    _places: tuple[int, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Work out once which value each name stands for."""
        names = (*OWN_NAMES, *self.inputs)
        places = tuple(names.index(name) for name in self.expression.names)
        object.__setattr__(self, "_places", places)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the other tags it needs, in order of first use."""
        return tuple(name for name in self.expression.names if name not in OWN_NAMES)

    def start(self, sample: Sample, mv: float) -> float:  # noqa: ARG002 - the seam's signature
        """The output that stands; without a memory there is nothing else to set."""
        return mv

    def step(self, state: object, sample: Sample, band: Band) -> Step:
        """The expression's value inside the band; the last output where it has none."""
        known = (sample.pv, sample.sp, *sample.inputs)
        wanted = self.expression.evaluate(tuple(map(known.__getitem__, self._places)))
        if math.isnan(wanted):
            wanted = state if isinstance(state, float) else math.nan
        mv = min(max(wanted, band.low), band.high)
        return new(Step, (mv, mv))
