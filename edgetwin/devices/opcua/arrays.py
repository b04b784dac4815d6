"""Arrays that are tags element by element: one node is read or reported, many tags get a value.

The first tag of an array stands for it wherever nodes are dealt with: it is what is looked for,
asked for and monitored. From the reply on each tag has a row of its own (``spread``).
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.nodes import NodeAddress, PathAddress
from edgetwin.core.tags import Tag, TagTable
from edgetwin.devices.opcua.columns import (
    DATETIME,
    INT64,
    STATUS_CODE,
    STRING,
    UINT64,
    Array,
    Columns,
)
from edgetwin.devices.opcua.keeping import keep
from edgetwin.devices.opcua.stack import StatusCodes

_NO_ELEMENT = np.uint32(int(StatusCodes.BadIndexRangeNoData))


class Arrays:
    """Which tags belong together. Elements of an array follow one another, as do their tags."""

    def __init__(self, tags: TagTable) -> None:
        self._first: dict[int, int] = {}
        self._size = np.zeros(len(tags), np.intp)
        for whole, members in groupby(tags, _whole):
            mine = [tag.index for tag in members]
            if whole is not None:
                self._first |= dict.fromkeys(mine, mine[0])
                self._size[mine[0]] = len(mine)

    def first(self, tag: int) -> int:
        """The tag that stands for this one: itself, unless it is a later element."""
        return self._first.get(tag, tag)

    def of(self, first: int) -> range:
        """All tags that this one stands for."""
        return range(first, first + max(1, int(self._size[first])))

    def all_of(self, firsts: Iterable[int]) -> list[int]:
        """All tags that these stand for."""
        if not self._first:
            return list(firsts)
        return [tag for first in firsts for tag in self.of(first)]

    def holds(self, tag: int) -> bool:
        """Whether a tag is an element of an array that is read as a whole."""
        return tag in self._first

    def spread(self, tags: NDArray[np.intp], columns: Columns) -> tuple[NDArray[np.intp], Columns]:
        """A row for each tag, where there was one for each node."""
        sizes = self._size[tags]
        if not sizes.any():
            return tags, columns
        widths = np.maximum(sizes, 1)
        starts = np.cumsum(widths) - widths
        rows = np.repeat(np.arange(len(tags)), widths)
        wide = Columns(
            columns.values[rows], columns.status[rows], columns.ticks[rows], columns.types[rows]
        )
        held: dict[int, Array] = {}
        for place, value in columns.objects:
            if not sizes[place]:
                wide.objects.append((int(starts[place]), value))
            elif isinstance(value, Array):
                held[place] = value
        for place in np.flatnonzero(sizes).tolist():
            _fill(wide, int(starts[place]), int(sizes[place]), held.get(place))
        if held:
            wide.objects.sort(key=_row)
        return tags[rows] + np.arange(len(rows)) - starts[rows], wide


def _whole(tag: Tag) -> tuple[int, int, NodeAddress | PathAddress] | None:
    """What the elements of one array have in common; None for any other tag."""
    address = tag.address
    if not isinstance(address, NodeAddress | PathAddress) or not address.of_array:
        return None
    return tag.device, tag.period, replace(address, element="")


def _row(one: tuple[int, object]) -> int:
    return one[0]


def _fill(columns: Columns, start: int, size: int, array: Array | None) -> None:
    """The elements of one array, in rows that have its status and time; those it has not are bad.

    What is no array has no elements.
    """
    end = start + size
    columns.values[start:end] = np.nan
    given = min(size, len(array.values)) if array else 0
    missing = slice(start + given, end)
    columns.types[missing] = 0
    columns.status[missing] = np.where(
        columns.status[missing] >> 30 > 1, columns.status[missing], _NO_ELEMENT
    )
    if array is None:
        return
    columns.types[start : start + given] = array.kind
    if array.kind < STRING:
        columns.values[start : start + given] = array.values[:given]
    for place, value in enumerate(array.values[:given], start):
        if isinstance(value, str):
            columns.objects.append((place, value))
        elif array.kind in _KEPT and value is not None:
            keep(columns, place, array.kind, value)


_KEPT = frozenset({INT64, UINT64, DATETIME, STATUS_CODE})
"""Types whose numbers need more than a column."""
