"""Derived tags: values computed from other tags, as honest about quality and time as these.

    quality      the worst of the inputs'; not a number where the expression has no result
    source_time  the oldest of the inputs', 0 when one of them has none
    value        NaN whenever the quality is bad (the twin then keeps the last good one)

Plans come in dependency order, so one walk in that order is enough. What a walk has computed lies
over the twin for the rest of the walk: a tag derived from a derived tag sees its new value, though
the twin is only changed by the engine, when it applies the one batch that results.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from edgetwin.core.plan import DerivedPlan
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Indices, ReadingBatch
from edgetwin.core.tags import Tag
from edgetwin.core.twin import Twin

MAX_CACHED_SLICES = 1000


class _Known(NamedTuple):
    """What is known of one tag during a walk."""

    value: float
    quality: int
    source_time: int


class Deriver:
    """Computes what depends on tags that came in. What a slice touches is worked out once."""

    def __init__(self, plans: tuple[DerivedPlan, ...]) -> None:
        """Plans in dependency order: no plan reads a tag that a later one computes."""
        self._plans = plans
        self._dependents = _dependents(plans)
        self._by_slice: dict[tuple[int, int], tuple[DerivedPlan, ...]] = {}

    def after(self, touched: Indices, twin: Twin) -> ReadingBatch | None:
        """All tags that depend, directly or not, on touched ones. None: nothing does."""
        if not self._plans:
            return None
        plans = self._touched(touched)
        return _walk(plans, twin) if plans else None

    def all(self, twin: Twin) -> ReadingBatch | None:
        """All derived tags: at the start, and when qualities have changed by age or loss."""
        return _walk(self._plans, twin) if self._plans else None

    def _touched(self, touched: Indices) -> tuple[DerivedPlan, ...]:
        if not isinstance(touched, slice):
            return self._depending_on(touched.tolist())
        key = (touched.start, touched.stop)
        plans = self._by_slice.get(key)
        if plans is None:
            if len(self._by_slice) >= MAX_CACHED_SLICES:  # only a device that never repeats itself
                self._by_slice.clear()
            plans = self._by_slice[key] = self._depending_on(range(*key))
        return plans

    def _depending_on(self, tags: Iterable[int]) -> tuple[DerivedPlan, ...]:
        sources = self._dependents.keys() & tags
        positions = {position for tag in sources for position in self._dependents[tag]}
        return tuple(self._plans[position] for position in sorted(positions))


def _dependents(plans: tuple[DerivedPlan, ...]) -> dict[int, list[int]]:
    """For each tag that something depends on: the positions of all plans that do, in order."""
    sources: dict[int, set[int]] = {}
    dependents: dict[int, list[int]] = {}
    for position, plan in enumerate(plans):
        indirect = (sources.get(tag, set()) for tag in plan.inputs)
        sources[plan.tag] = set(plan.inputs).union(*indirect)
        for tag in sources[plan.tag]:
            dependents.setdefault(tag, []).append(position)
    return dependents


def _walk(plans: tuple[DerivedPlan, ...], twin: Twin) -> ReadingBatch:
    known: dict[int, _Known] = {}
    for plan in plans:
        inputs = [known.get(tag) or _recall(twin, tag) for tag in plan.inputs]
        known[plan.tag] = _derive(plan, inputs, twin.tags[plan.tag])
    values, quality, source_time = zip(*known.values(), strict=True)
    return ReadingBatch(
        np.fromiter(known, np.intp),
        np.array(values, np.float64),
        np.array(quality, np.uint8),
        np.array(source_time, np.int64),
    )


def _recall(twin: Twin, tag: int) -> _Known:
    return _Known(twin.value.item(tag), twin.quality.item(tag), twin.source_time.item(tag))


def _derive(plan: DerivedPlan, inputs: list[_Known], tag: Tag) -> _Known:
    quality = max((each.quality for each in inputs), default=int(Quality.GOOD))
    source_time = min((each.source_time for each in inputs), default=0)
    if quality >= Quality.BAD:
        return _Known(math.nan, quality, source_time)
    value = plan.expression.evaluate([each.value for each in inputs])
    if math.isnan(value):
        return _Known(value, Quality.NOT_A_NUMBER, source_time)
    if not tag.low <= value <= tag.high:
        quality = max(quality, Quality.OUT_OF_RANGE)
    return _Known(value, quality, source_time)
