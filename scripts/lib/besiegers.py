"""What stands beside a daemon in the campaign ``isolation``: a device, a flood, a line to be cut.

    besiegers.py device           answers Modbus and notes when each write came
    besiegers.py flood PORT TOPIC publishes at a steady rate until it is ended

Both are processes of their own, so that what they cost is not the daemon's.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

PERIOD_NS = 10_000_000
RATE, SIZE = 10_000, 1024
DEADLINE_S = 30.0
OTHER_CPU = {1}


# ---------------------------------------------------------------- the device


def serve_device() -> None:
    """Answer Modbus, note writes; told ``go`` or ``tell`` on standard input."""
    _first_of_all()
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    at: list[int] = []
    with selectors.DefaultSelector() as watch:
        watch.register(listener, selectors.EVENT_READ)
        watch.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in watch.select():
                if key.fileobj is listener:
                    line, _ = listener.accept()
                    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    watch.register(line, selectors.EVENT_READ)
                elif key.fileobj is sys.stdin:
                    if not (asked := sys.stdin.readline()):
                        return
                    if asked == "tell\n":
                        print(json.dumps(at), flush=True)
                    at.clear()
                elif isinstance(key.fileobj, socket.socket) and not _answer(key.fileobj, at):
                    watch.unregister(key.fileobj)


def _first_of_all() -> None:
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def _answer(line: socket.socket, at: list[int]) -> bool:
    """All requests that have come in; whether the line is still there."""
    try:
        data = line.recv(65536)
    except ConnectionError:
        data = b""
    now, out, begin = time.monotonic_ns(), b"", 0
    while begin + 12 <= len(data):
        head, (size, unit, function) = (
            data[begin : begin + 4],
            struct.unpack_from(">HBB", data, begin + 4),
        )
        if function in (3, 4):
            count = 2 * int.from_bytes(data[begin + 10 : begin + 12])
            clock = now // 1_000_000 % (1 << 16)
            held = struct.pack(">H", clock) * (count // 2)
            out += head + struct.pack(">HBBB", 3 + count, unit, function, count) + held
        else:
            at.append(now)
            out += head + struct.pack(">H", 6) + data[begin + 6 : begin + 12]
        begin += 6 + size
    if out:
        line.sendall(out)
    return bool(data)


class Device:
    """The device, in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "device"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, OTHER_CPU),  # noqa: PLW1509 - no threads yet
        )
        self.port = int(self._said())

    def begin(self) -> None:
        """Forget what was written so far."""
        self._say("go")

    def jitter_ms(self) -> list[float]:
        """How far each two writes since ``begin`` were from a period apart."""
        self._say("tell")
        at = json.loads(self._said())
        return [abs(b - a - PERIOD_NS) / 1e6 for a, b in pairwise(at)]

    def end(self) -> None:
        """End it."""
        self._process.communicate(timeout=DEADLINE_S)

    def _say(self, word: str) -> None:
        print(word, file=self._process.stdin, flush=True)

    def _said(self) -> str:
        return self._process.stdout.readline() if self._process.stdout else ""


# ---------------------------------------------------------------- the flood


def flood(port: int, topic: str) -> None:
    """Publish at a steady rate, QoS 0, until killed. Prints how many a second it reached."""
    line = socket.create_connection(("127.0.0.1", port))
    identifier = b"flood"
    hello = b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(identifier)) + identifier
    line.sendall(bytes([0x10, len(hello)]) + hello)
    line.recv(4)
    rest = struct.pack(">H", len(topic)) + topic.encode() + b"{" * SIZE
    message = bytes([0x30, len(rest) & 0x7F | 0x80, len(rest) >> 7]) + rest
    begun, sent = time.monotonic(), 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        while True:
            due = int((time.monotonic() - begun) * RATE) - sent
            if due > 0:
                line.sendall(message * due)
                sent += due
            time.sleep(0.005)
    finally:
        print(int(sent / (time.monotonic() - begun)), flush=True)


@contextlib.contextmanager
def flooding(port: int, topic: str) -> Iterator[None]:
    """A flood in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, __file__, "flood", str(port), topic],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, OTHER_CPU),  # noqa: PLW1509 - no threads of ours
    )
    try:
        yield
    finally:
        process.terminate()
        reached, _ = process.communicate(timeout=DEADLINE_S)
        if int(reached) < 0.9 * RATE:
            print(f"  the flood reached only {reached.strip()} messages a second")


class Relay:
    """A line to the broker that can be cut; new ones are let through."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._lines: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        """Close what there is."""
        lines, self._lines = self._lines, []
        for line in lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            near, _ = self._server.accept()
            far = socket.create_connection(("127.0.0.1", self._to))
            self._lines += (near, far)
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=_pass_on, args=(a, b), daemon=True).start()


def _pass_on(here: socket.socket, there: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := here.recv(65536):
            there.sendall(data)
        there.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    if sys.argv[1] == "device":
        serve_device()
    else:
        flood(int(sys.argv[2]), sys.argv[3])
