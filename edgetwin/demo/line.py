"""A line that can be cut: a TCP proxy between the daemon and the broker."""

import asyncio

CHUNK = 1 << 16


class Line:
    """Passes bytes between whoever connects and one target on loopback.

    While it is cut, open connections have been reset and new ones are reset at once: what a client
    sees of a broker that is gone.
    """

    def __init__(self, target: int) -> None:
        """``target`` is the port to pass on to."""
        self._target = target
        self._server: asyncio.Server | None = None
        self._whole = True
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> int:
        """Listen on loopback; the port is given back."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Break every connection, and each new one."""
        self._whole = False
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        """Let connections through again."""
        self._whole = True

    async def close(self) -> None:
        """Break everything and listen no more."""
        self.cut()
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def _pass_on(self, near_in: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        if not self._whole:
            near.transport.abort()
            return
        try:
            far_in, far = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            near.transport.abort()
            return
        both = {near, far}
        self._open |= both
        if not self._whole:  # cut while we connected
            self.cut()
        await asyncio.gather(_pour(near_in, far), _pour(far_in, near))
        self._open -= both
        for writer in both:
            writer.transport.abort()


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Bytes from one to the other until either ends."""
    try:
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
    except OSError:
        pass  # reset: the other half is ended below
    if not target.is_closing():
        target.close()
