"""Long work in slices, so that what is urgent finds its way in between.

A generator yields wherever its work may be left for a moment, and returns its result. Who shares an
event loop gives way at each pause; who has the time does it all at once.
"""

from collections.abc import Generator
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]
"""Work in slices, and what it leads to."""

SLICE = 1000
"""So many tags are worked on in one go where each takes 0.1 to 0.3 µs."""


def finish(steps: Steps[T]) -> T:
    """Do all of it at once; its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
