"""The control socket: how people on this machine talk to a running daemon.

A unix socket in the state directory, open to its owner only. One request a connection, one line of
JSON each way: ``{"do": "status"}`` is answered by an object; ``{"error": "..."}`` says why not.
Between two parts of a long answer the event loop turns: no question of a person delays the plant.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from edgetwin.core.errors import EdgetwinError

NAME = "control.sock"
Message: TypeAlias = dict[str, Any]
Answer: TypeAlias = Message | Iterator[bytes]
Handler: TypeAlias = Callable[[Message], Answer]
"""A long answer comes in parts, each made when the one before is written: JSON text, together."""

_MAX_LINE = 64 << 10
_MAX_ANSWER = 16 << 20
_DEADLINE_S = 5.0
_CONNECTIONS = 8


class NotRunning(EdgetwinError):
    """No daemon answers on this state directory."""


@contextmanager
def _short_path(state: Path) -> Iterator[str]:
    """A path of the socket that fits the 108 bytes of sun_path, however deep the directory lies."""
    descriptor = os.open(state, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)


class ControlServer:
    """Answers requests with a handler that must not wait."""

    def __init__(self, state: Path, handler: Handler) -> None:
        self._state = state
        self._handler = handler
        self._server: asyncio.Server | None = None
        # More than eight people at once wait at the door; the daemon's time belongs to the plant.
        self._places = asyncio.Semaphore(_CONNECTIONS)

    async def start(self) -> None:
        """Listen. A socket left over by a killed daemon is replaced: the lock says it is dead."""
        (self._state / NAME).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        with _short_path(self._state) as path:
            old = os.umask(0o177)
            try:
                listener.bind(path)
            finally:
                os.umask(old)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=_MAX_LINE)

    async def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._server:
            self._server.close()
            (self._state / NAME).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError):
            async with self._places, asyncio.timeout(_DEADLINE_S):
                try:
                    answer = self._answer(await reader.readline())
                except ValueError:  # a line over the limit
                    answer = {"error": "the request is too long"}
                for part in _parts(answer):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    def _answer(self, line: bytes) -> Answer:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return {"error": "the request is no JSON"}
        if not isinstance(request, dict):
            return {"error": "the request is no JSON object"}
        try:
            return self._handler(request)
        except EdgetwinError as error:
            return {"error": str(error)}


def _parts(answer: Answer) -> Iterator[bytes]:
    if isinstance(answer, dict):
        yield json.dumps(answer).encode()
    else:
        yield from answer
    yield b"\n"


def ask(state: Path, request: Message) -> Message:
    """Ask the daemon that runs on a state directory. Blocking, with a deadline.

    Raises:
        NotRunning: nobody listens there.
        EdgetwinError: the daemon refused, in its own words.
    """
    try:
        with _short_path(state) as path, socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_DEADLINE_S)
            line.connect(path)
            line.sendall(json.dumps(request).encode() + b"\n")
            answer: Message = json.loads(_read_line(line))
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", "") or str(error)
        raise NotRunning(
            f"no edgetwin runs on {state} ({cause}). Start it with: edgetwin run CONFIG"
        ) from error
    if "error" in answer:
        raise EdgetwinError(str(answer["error"]))
    return answer


def _read_line(line: socket.socket) -> bytes:
    parts, size = [], 0
    while part := line.recv(1 << 16):
        parts.append(part)
        size += len(part)
        if part.endswith(b"\n") or size > _MAX_ANSWER:
            break
    return b"".join(parts)
