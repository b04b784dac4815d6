"""A line to a server that can be pulled: while it is, bytes go nowhere and nobody is told.

python cable.py PORT TARGET

Obeys "pull" and "plug" on stdin. What was sent meanwhile arrives after plugging in, as TCP would
have it; connections may be made meanwhile, and stay silent.
"""

import asyncio
import sys
from contextlib import suppress


class Cable:
    """Both directions of all connections stop and go together."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._whole = asyncio.Event()
        self._whole.set()

    def obey(self, word: str) -> None:
        self._whole.clear() if word == "pull" else self._whole.set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._whole.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._carry(reader, far_writer))
            group.create_task(self._carry(far_reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(65_536):
                await self._whole.wait()
                writer.write(piece)
                await writer.drain()
        await self._whole.wait()
        writer.close()


async def main() -> None:
    port, target = map(int, sys.argv[1:])
    cable = Cable(target)
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with await asyncio.start_server(cable.connect, "127.0.0.1", port):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while line := await commands.readline():
            cable.obey(line.decode().strip())
            sys.stdout.write("done\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
