"""Writes the frames of this run to its recording, away from the event loop."""

import asyncio
import logging
from importlib.metadata import version

from edgetwin.core.codec import VERSION
from edgetwin.core.frame import Frame
from edgetwin.core.plan import GatewayPlan
from edgetwin.core.reading import Instant
from edgetwin.runtime.frames import FrameQueue
from edgetwin.storage.recording import Header, RecordingWriter

log = logging.getLogger("edgetwin.recording")

_BATCH_S = 0.25
FOLDER = "recordings"


class Recorder:
    """Drains a queue of its own into a file; a full or broken disk ends only the recording."""

    def __init__(self, frames: FrameQueue, writer: RecordingWriter) -> None:
        self.frames = frames
        self._writer = writer
        self.state = "recording"
        self._writing: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Record until cancelled; what is still queued then is written by ``close``."""
        while True:
            frames = await self.frames.drain()
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, frames))
            await asyncio.shield(self._writing)  # cancelled, ``close`` waits for what has begun
            await asyncio.sleep(_BATCH_S)  # gathers frames into chunks; the queue holds what comes

    async def close(self) -> None:
        """Write what is left and end the file."""
        if self._writing is not None:
            await asyncio.wait((self._writing,))
        await asyncio.to_thread(self._write, self.frames.drain_nowait())
        await asyncio.to_thread(self._writer.close)

    def _write(self, frames: list[Frame]) -> None:
        if self.state != "recording":
            return
        if self.frames.dropped:
            self._end("frames were dropped: this machine cannot record at this rate")
            return
        try:
            self._writer.write(frames)
        except OSError as error:
            self._end(f"{self._writer.path}: {error.strerror}")
        if self._writer.full:
            self._end("the quota 'recording' is full; a longer one needs a larger quota")

    def _end(self, reason: str) -> None:
        self.state = reason
        log.warning("Recording ended: %s", reason)


def open_recording(plan: GatewayPlan, started: Instant) -> Recorder | None:
    """The recorder of this run, or None where the configuration asks for none."""
    if not plan.recording_bytes:
        return None
    header = Header(VERSION, version("edgetwin"), plan.name, started.wall, plan.text, plan.source)
    writer = RecordingWriter(plan.state / FOLDER, header, plan.recording_bytes)
    return Recorder(FrameQueue(), writer)
