"""Stands before an OPC UA server and answers reads it has seen before, at the speed of memory.

    python scripts/bench/opcua_replay.py PORT        (of the server; security None only)

All goes through as it is, but for read requests: the reply to each is kept, and the next request
for the same nodes gets it again with its own numbers put in (OPC 10000-6 §6.7.2: sequence number,
request id; OPC 10000-4 §7.33: request handle). So a bench measures its client, not the server.
Prints its port and ends when standard input does.
"""

import asyncio
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_HEADER, _SEQUENCE, _REQUEST, _BODY = 8, 16, 20, 24
_READ_REQUEST = 631
_HANDLE_IN_REPLY = _BODY + 4 + 8  # behind the type's node id and the time stamp
_TAIL = 200  # bytes at the end of a request that tell which nodes it is for


def _token_size(body: bytes) -> int:
    """The size of the authentication token that a request header begins with."""
    kind = body[0] & 0x0F
    if kind in (3, 5):
        return 7 + struct.unpack_from("<i", body, 3)[0]
    return (2, 4, 7, 0, 19)[kind]


class Chunks:
    """Cuts a stream into chunks and hands each on."""

    def __init__(self, take: Callable[[bytearray], None]) -> None:
        self._take = take
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """More of the stream."""
        stream, at = self._rest + data, 0
        while len(stream) - at >= _HEADER:
            end = at + struct.unpack_from("<I", stream, at + 4)[0]
            if end > len(stream):
                break
            self._take(bytearray(stream[at:end]))
            at = end
        self._rest = stream[at:]


class Numbered:
    """One direction: every chunk gets the number that follows the one before."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._last = 0

    def send(self, chunk: bytearray) -> None:
        """Pass a chunk on, renumbered; those that open a channel count for themselves."""
        kind = bytes(chunk[:3])
        if kind in (b"MSG", b"CLO"):
            self._last += 1
            struct.pack_into("<I", chunk, _SEQUENCE, self._last)
        elif kind == b"OPN":
            at = 12
            for _ in range(3):  # policy, certificate, thumbprint
                at += 4 + max(struct.unpack_from("<i", chunk, at)[0], 0)
            (self._last,) = struct.unpack_from("<I", chunk, at)
        self._write(bytes(chunk))


class Replay(asyncio.Protocol):
    """One client's connection and its own to the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._known: dict[bytes, list[bytearray]] = {}
        self._awaited: dict[int, bytes] = {}  # request id to what is asked for
        self._coming: dict[int, list[bytearray]] = {}
        self._early: list[bytes] = []
        self._from_client = Chunks(self._asked)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client: connect to the server for it."""
        self._transport = transport
        self._to_client = Numbered(transport.write)
        self._ready = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._to_server = Numbered(writer.write)
        early, self._early = self._early, None
        for data in early:
            self._from_client.feed(data)
        answers = Chunks(self._answered)
        while data := await reader.read(1 << 16):
            answers.feed(data)
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """From the client."""
        if self._early is not None:
            self._early.append(data)
        else:
            self._from_client.feed(data)

    def connection_lost(self, _: Exception | None) -> None:
        """The client has gone."""
        self._ready.cancel()

    def _asked(self, chunk: bytearray) -> None:
        number = struct.unpack_from("<I", chunk, _REQUEST)[0] if len(chunk) > _BODY + 4 else 0
        is_read = chunk[:4] == b"MSGF" and chunk[_BODY] == 1
        if not is_read or struct.unpack_from("<H", chunk, _BODY + 2)[0] != _READ_REQUEST:
            self._to_server.send(chunk)
            return
        asked = bytes(chunk[-_TAIL:]) + len(chunk).to_bytes(4, "little")
        if asked not in self._known:
            self._awaited[number] = asked
            self._to_server.send(chunk)
            return
        at = _BODY + 4
        at += _token_size(chunk[at:]) + 8
        handle = chunk[at : at + 4]
        for place, known in enumerate(self._known[asked]):
            struct.pack_into("<I", known, _REQUEST, number)
            if place == 0:
                known[_HANDLE_IN_REPLY : _HANDLE_IN_REPLY + 4] = handle
            self._to_client.send(known)

    def _answered(self, chunk: bytearray) -> None:
        if chunk[:3] == b"MSG":
            number = struct.unpack_from("<I", chunk, _REQUEST)[0]
            if number in self._awaited:
                parts = self._coming.setdefault(number, [])
                parts.append(bytearray(chunk))
                if chunk[3:4] == b"F":
                    self._known[self._awaited.pop(number)] = self._coming.pop(number)
        self._to_client.send(chunk)


@contextmanager
def replay(port: int) -> Iterator[int]:
    """A replay before a server, in a process of its own: its port."""
    command, pipe = [sys.executable, __file__, str(port)], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Replay(port), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    over = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), over.set)
    await over.wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
