"""Some of the tags, as columns of their own: which of a batch's readings belong to them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.reading import Indices

NONE = slice(0, 0)


class Members:
    """Maps twin indices to columns 0 … n-1. For a slice it is worked out once."""

    def __init__(self, tags: Sequence[int], among: int) -> None:
        """``tags`` are ascending twin indices, ``among`` is how many tags there are in all."""
        self.tags = np.array(tags, np.intp)
        self._column = np.full(among, -1, np.intp)
        self._column[self.tags] = np.arange(len(self.tags))
        self._known: dict[tuple[int, int], tuple[Indices, Indices]] = {}

    def __len__(self) -> int:
        """How many columns there are."""
        return len(self.tags)

    def among(self, at: Indices) -> tuple[Indices, Indices]:
        """The columns of those that are members, and their twin indices, in the same order."""
        if not isinstance(at, slice):
            return self._find(at)
        key = (at.start, at.stop)
        if key not in self._known:
            columns, tags = self._find(np.arange(*key, dtype=np.intp))
            self._known[key] = (_as_slice(columns), _as_slice(tags))
        return self._known[key]

    def _find(self, at: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        columns = self._column[at]
        columns = columns[columns >= 0]
        return columns, self.tags[columns]


def _as_slice(places: NDArray[np.intp]) -> Indices:
    """A slice where they follow each other: a view costs a tenth of picking them one by one."""
    if not len(places):
        return NONE
    first, last = int(places[0]), int(places[-1])
    whole = last - first + 1 == len(places) and bool((np.diff(places) == 1).all())
    return slice(first, last + 1) if whole else places
