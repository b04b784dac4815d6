"""The one queue from the field side to the office side."""

import asyncio
import contextlib
from collections import deque
from typing import Protocol

from edgetwin.core.frame import Frame

CAPACITY = 10_000
_MANY = 500  # frames that make a wake-up worth its while: some milliseconds of work


class FrameTaker(Protocol):
    """Whoever wants to see every frame, as it is made."""

    def put(self, frame: Frame) -> None:
        """Take a frame. Must not wait, must not fail, must not begin a turn."""


class FrameQueue:
    """Bounded: when full, the oldest frame is dropped and counted.

    The office may fall behind; the field never waits for it.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._frames: deque[Frame] = deque(maxlen=capacity)
        self._filled = asyncio.Event()
        self._urgent = asyncio.Event()
        self.dropped = 0

    def put(self, frame: Frame) -> None:
        """Leave a frame. Never blocks, never fails."""
        if len(self._frames) == self._frames.maxlen:
            self.dropped += 1
        self._frames.append(frame)
        self._filled.set()
        if frame.events or frame.writes or len(self._frames) >= _MANY:
            self._urgent.set()

    def nudge(self) -> None:
        """Let ``gather`` return at once, frames or none."""
        self._urgent.set()

    async def gather(self, longest_s: float) -> list[Frame]:
        """Wait until something cannot wait (an event, a write, many frames, a nudge), take all.

        Readings alone wait ``longest_s``: one wake-up a second is cheaper than one for each scan.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._urgent.wait()
        return self.drain_nowait()

    async def drain(self) -> list[Frame]:
        """Wait for at least one frame, then take all there are."""
        await self._filled.wait()
        return self.drain_nowait()

    def drain_nowait(self) -> list[Frame]:
        """Take all frames there are, perhaps none."""
        self._filled.clear()
        self._urgent.clear()
        frames = list(self._frames)
        self._frames.clear()
        return frames

    def __len__(self) -> int:
        """How many frames wait."""
        return len(self._frames)
