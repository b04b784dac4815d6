"""The demo's own processes: started with pipes, ready when they say so, ended with their stdin."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process

START_S = 20.0
END_S = 5.0
BACKLOG = 1 << 16


async def stdin_lines() -> asyncio.StreamReader:
    """This process's stdin (a pipe or a terminal) as a stream."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


class Child:
    """``python -m module arguments``, out of reach of the terminal's Ctrl-C.

    It says ``ready PORT …`` when it listens, takes lines on its stdin and ends when that ends.
    """

    def __init__(self, process: Process, stdin: asyncio.StreamWriter) -> None:
        """Use ``start``."""
        self.process = process
        self._stdin = stdin

    @classmethod
    async def start(cls, module: str, *arguments: str) -> "Child":
        """Start it, and do not wait for it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module, *arguments),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,
        )
        assert process.stdin  # noqa: S101 - asked for above
        return cls(process, process.stdin)

    async def ports(self) -> list[int]:
        """Wait until it is ready, for the ports it took.

        Raises:
            RuntimeError: it ended, or said something else.
            TimeoutError: it said nothing in time.
        """
        async with asyncio.timeout(START_S):
            said = (await self.line()).split()
        if not said or said[0] != "ready":
            raise RuntimeError(f"process {self.process.pid} did not get ready; it said {said}")
        return [int(port) for port in said[1:]]

    async def line(self) -> str:
        """The next line it says; empty when it has ended."""
        assert self.process.stdout  # noqa: S101 - asked for in start
        return (await self.process.stdout.readline()).decode().strip()

    def send(self, line: str) -> None:
        """Give it a line. When it is behind by more than BACKLOG bytes, the line is dropped."""
        if self._stdin.transport.get_write_buffer_size() < BACKLOG:
            self._stdin.write(line.encode() + b"\n")

    async def end(self) -> int:
        """End its stdin and see that it goes, by force if it must be. Its exit code."""
        self._stdin.close()
        try:
            async with asyncio.timeout(END_S):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()
