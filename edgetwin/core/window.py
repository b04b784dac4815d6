"""The last rows of some tags, oldest first, without moving what is already there.

Every row is written twice, one window apart, so that the last rows always lie side by side:

    size 3, after rows a b c d:   d b c │ d b c
                                    └─────┘ what is given out
"""

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.reading import Floats


class Window:
    """A rolling window of ``size`` rows of ``width`` values."""

    def __init__(self, size: int, width: int) -> None:
        self._rows: Floats = np.zeros((2 * size, width))
        self._size = size
        self._next = 0
        self._count = 0

    def __len__(self) -> int:
        """How many rows there are, at most ``size``."""
        return self._count

    @property
    def is_full(self) -> bool:
        """Whether all rows are there."""
        return self._count == self._size

    def push(self, row: Floats) -> None:
        """Take the newest row, float64[width]; the oldest falls out."""
        self._rows[self._next] = row
        self._rows[self._next + self._size] = row
        self._next = (self._next + 1) % self._size
        self._count = min(self._count + 1, self._size)

    def rows(self) -> NDArray[np.float32]:
        """The rows there are, float32[len, width], oldest first, as a copy of the caller's own."""
        start = self._next if self.is_full else 0
        return self._rows[start : start + self._count].astype(np.float32)

    def clear(self) -> None:
        """Forget all rows."""
        self._next = self._count = 0
