"""A fast Modbus plant for benches and campaigns: ``python scripts/bench/plant.py [--devices 10]``.

Each device listens on a port of its own and answers reads of registers from one image, also several
requests that come in together; a write is echoed. The image is renewed on a grid, so that values
move, and replies are built once per renewal: so it answers at the speed of memory. Prints its ports
and ends when its standard input does, so that it never outlives whoever started it.
"""

import argparse
import asyncio
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

REGISTERS = 65536
_READS = (3, 4)


class Image:
    """What all devices hold: float32 values side by side that move a little with each renewal."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._turn = 0
        self.replies: dict[bytes, bytes] = {}
        self._renew()

    def _renew(self) -> None:
        self._turn += 1
        moved = 1.0 + (self._turn % 100) * 1e-3
        self._bytes = struct.pack(">500f", *(i * moved for i in range(500))) * 66
        self.replies.clear()
        if self._every_s:
            asyncio.get_running_loop().call_later(self._every_s, self._renew)

    def reply(self, question: bytes) -> bytes:
        """What follows the transaction id, for a request without its own."""
        known = self.replies.get(question)
        if known is None:
            known = self.replies[question] = self._answer(question)
        return known

    def _answer(self, question: bytes) -> bytes:
        unit, function, first, count = struct.unpack_from(">BBHH", question, 4)
        if function not in _READS:
            return question  # 5, 6: the echo
        size, at = 2 * count, 2 * first % 2000
        return (
            struct.pack(">HHBBB", 0, 3 + size, unit, function, size) + (self._bytes[at : at + size])
        )


class Device(asyncio.Protocol):
    """One connection."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Every whole frame gets its reply."""
        stream, at = self._rest + data, 0
        replies = []
        while len(stream) - at >= 12:
            end = at + 6 + (stream[at + 4] << 8 | stream[at + 5])
            if end > len(stream):
                break
            replies.append(stream[at : at + 2] + self._image.reply(stream[at + 2 : end]))
            at = end
        self._rest = stream[at:]
        self._transport.write(b"".join(replies))


async def serve(devices: int, every_s: float) -> None:
    """Listen, say where, and answer until standard input ends."""
    loop = asyncio.get_running_loop()
    image = Image(every_s)
    servers = [
        await loop.create_server(lambda: Device(image), "127.0.0.1", 0) for _ in range(devices)
    ]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    over = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), over.set)
    await over.wait()


@contextmanager
def plant(devices: int = 1, every_s: float = 0.0) -> Iterator[list[int]]:
    """The plant in a process of its own: its ports."""
    command = [sys.executable, __file__, "--devices", str(devices), "--every", str(every_s)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield [int(port) for port in process.stdout.readline().split()]
        finally:
            process.stdin.close()
            process.wait(10)


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--every", type=float, default=0.0, help="seconds between two renewals")
    options = parser.parse_args()
    asyncio.run(serve(options.devices, options.every))


if __name__ == "__main__":
    main()
