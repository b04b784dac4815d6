"""From columns as the server gives them to batches of readings in engineering units."""

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.quality import Quality
from edgetwin.core.reading import Floats, Indices, ReadingBatch, Scalar
from edgetwin.core.tags import TagTable
from edgetwin.devices.opcua.arrays import Arrays
from edgetwin.devices.opcua.columns import ALONE, Array, Columns


class Batches:
    """Knows every tag's scale and offset."""

    def __init__(self, tags: TagTable) -> None:
        self.tags = tags
        self.arrays = Arrays(tags)
        self._scale: Floats = np.array([tag.scale for tag in tags])
        self._offset: Floats = np.array([tag.offset for tag in tags])
        self._element = np.array([bool(getattr(tag.address, "element", "")) for tag in tags], bool)
        self._elements = bool(self._element.any())
        self._plain = bool((self._scale == 1).all() and (self._offset == 0).all())

    def of(
        self, tags: NDArray[np.intp], columns: Columns, indices: Indices | None = None
    ) -> ReadingBatch:
        """What was read of these tags, in this order; ``indices`` if ``as_indices`` is known."""
        self.settle(tags, columns)
        quality = columns.quality
        values = columns.values
        if not self._plain:
            values = values * self._scale[tags] + self._offset[tags]
        objects = tuple(
            (int(tags[place]), value)
            for place, value in columns.objects
            if not isinstance(value, Array) and self._keeps(int(tags[place]), value)
        )
        return ReadingBatch(
            as_indices(tags) if indices is None else indices,
            values,
            quality if quality.any() else 0,
            columns.source_time,
            objects,
        )

    def settle(self, tags: NDArray[np.intp], columns: Columns) -> None:
        """An element that was asked for alone is no array."""
        if self._elements:
            columns.types[self._element[tags]] &= ~ALONE

    def raw(self, tag: int, value: float) -> float:
        """What the device has to hold for a value in engineering units."""
        return (value - float(self._offset[tag])) / float(self._scale[tag])

    def scaled(self, tag: int, raw: float) -> float:
        """The engineering value of what the device holds."""
        return raw * float(self._scale[tag]) + float(self._offset[tag])

    def _keeps(self, tag: int, value: Scalar) -> bool:
        """A scaled integer is no longer exact: the column says all there is to say."""
        return isinstance(value, str) or (self._scale[tag] == 1 and self._offset[tag] == 0)


def bad(tags: NDArray[np.intp], quality: Quality) -> ReadingBatch:
    """No values, and why."""
    n = len(tags)
    return ReadingBatch(as_indices(tags), np.full(n, np.nan), np.full(n, quality, np.uint8))


def as_indices(tags: NDArray[np.intp]) -> Indices:
    """A slice where the tags follow one another: the cheap case for the twin."""
    n = len(tags)
    if n and tags[-1] - tags[0] == n - 1 and bool((np.diff(tags) == 1).all()):
        return slice(int(tags[0]), int(tags[0]) + n)
    return tags
