"""Long work in slices, so that what is urgent finds its way in between.

A generator that yields wherever it may be left for a moment, and returns its result. Whoever has
time runs it ``whole``; who shares an event loop gives way at each pause.
"""

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

SLICE = 1000
"""So many tags are worked on without a pause: 0.1 to 0.3 ms, a control loop's own turn."""


def whole(work: Generator[None, None, T]) -> T:
    """Do it all at once; its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
