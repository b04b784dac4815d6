"""The one queue from the field side to the office side."""

import asyncio
from collections import deque

from edgetwin.core.frame import Frame

CAPACITY = 10_000


class FrameQueue:
    """Bounded: when full, the oldest frame is dropped and counted.

    The office may fall behind; the field never waits for it.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._frames: deque[Frame] = deque(maxlen=capacity)
        self._filled = asyncio.Event()
        self.dropped = 0

    def put(self, frame: Frame) -> None:
        """Leave a frame. Never blocks, never fails."""
        if len(self._frames) == self._frames.maxlen:
            self.dropped += 1
        self._frames.append(frame)
        self._filled.set()

    async def drain(self) -> list[Frame]:
        """Wait for at least one frame, then take all there are."""
        await self._filled.wait()
        return self.drain_nowait()

    def drain_nowait(self) -> list[Frame]:
        """Take all frames there are, perhaps none."""
        self._filled.clear()
        frames = list(self._frames)
        self._frames.clear()
        return frames

    def __len__(self) -> int:
        """How many frames wait."""
        return len(self._frames)
