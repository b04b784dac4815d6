"""Long replies, worked off slice by slice, so that none of them holds the loop.

Theory of operation. Whoever has much to do is a generator that yields after about half a
millisecond of work. A reply that fits into its first slice is done in the turn of the loop in which
it came. Of a longer one each slice has a turn of its own, and other sockets and timers go between.
What comes meanwhile waits behind it: values never overtake older ones.

A reply is decoded to its end before any of its values is handed on, also in slices, so that
nothing is taken from one that turns out to be damaged.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from edgetwin.core.slices import Steps

SLICE = 120
"""How many single values make a slice, at 1 to 3 µs each, and twice that for exact ones."""


class Slicer:
    """The jobs of one connection, in order. Each belongs to a request, so these bound them."""

    def __init__(self) -> None:
        self._jobs: deque[tuple[Steps[None], Callable[[Exception], None]]] = deque()
        self._next: asyncio.Handle | None = None

    def start(self, job: Steps[None], fail: Callable[[Exception], None]) -> None:
        """Begin at once, unless another is not done yet. ``fail`` gets what the job raises."""
        self._jobs.append((job, fail))
        if len(self._jobs) == 1:
            self._step()

    def close(self) -> None:
        """Forget all that is not done."""
        self._jobs.clear()
        if self._next is not None:
            self._next.cancel()

    def _step(self) -> None:
        """One slice of the oldest job."""
        job, fail = self._jobs[0]
        try:
            next(job)
        except StopIteration:
            self._drop(job)
        except Exception as error:  # noqa: BLE001 (as for a reply in one piece, see ``Pending``)
            self._drop(job)
            fail(error)
        if self._jobs:
            self._next = asyncio.get_running_loop().call_soon(self._step)

    def _drop(self, job: Steps[None]) -> None:
        if self._jobs and self._jobs[0][0] is job:  # it may have closed us
            self._jobs.popleft()
