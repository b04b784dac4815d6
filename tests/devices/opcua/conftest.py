"""A device for the conformance suite: asyncua's server in its own process, our driver beside it."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from edgetwin.core.nodes import parse_opcua
from edgetwin.core.plan import DevicePlan, OpcuaSettings, ScanGroup, Security
from edgetwin.core.reading import Instant
from edgetwin.core.tags import Tag, TagTable, WriteLimits
from edgetwin.devices.opcua import OpcuaDriver, choice

URI = "urn:edgetwin:test:plant"
START_S = 30.0
TEXTS = {
    "String": "Pumpe läuft",
    "DateTime": "2026-03-01T12:30:15.250000+00:00",
    "LocalizedText": "running",
    "ByteString": "Af4=",
    "Identity": "12345678-1234-5678-1234-567812345678",
    "XmlElement": "<a/>",
    "QualifiedName": "pump",
    "Int64": -(2**62) - 1,
    "UInt64": 2**64 - 2,
}
NUMBERS = {
    "Boolean": 1.0,
    "SByte": -100.0,
    "Byte": 200.0,
    "Int16": -30_000.0,
    "UInt16": 60_000.0,
    "Int32": -2e9,
    "UInt32": 4e9,
    "Float": -12.375,
    "Double": 6.02214076e23,
    "Small": 42.0,
    "Fixed": 7.5,
    "StatusCode": 0x40910000,
}
ORDER = (
    *("Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64"),
    *("Float", "Double"),
)
"""The first nodes of server.py, in the order of their numeric ids."""
ANY = WriteLimits(-1e30, 1e30)


def instant() -> Instant:
    return Instant(time.monotonic_ns(), time.time_ns())


class ServerProcess:
    """server.py, or another script, at a fixed port; ended by its own pid."""

    def __init__(self, script: str = "server.py") -> None:
        self._script = str(Path(__file__).with_name(script))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"opc.tcp://127.0.0.1:{self.port}/test"
        self._process: subprocess.Popen[bytes] | None = None
        self._arguments: tuple[str, ...] = ()

    async def start(self, *arguments: str) -> None:
        """Start it; let it go on if it runs with just these arguments."""
        if self._process is not None and arguments == self._arguments:
            self._process.send_signal(signal.SIGCONT)
            return
        self.stop()
        self._arguments = arguments
        self._launch()
        await self._said("ready")

    def _launch(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, self._script, str(self.port), *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    async def delete(self, name: str) -> None:
        """Remove a node from the running server."""
        await self.order("delete", name)

    async def order(self, *words: str) -> None:
        """Have the running server do what its script knows."""
        assert self._process is not None
        self._process.stdin.write(f"{' '.join(words)}\n".encode())
        self._process.stdin.flush()
        await self._said("done")

    def stop(self) -> None:
        """Kill it; its connections close."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def freeze(self) -> None:
        """Let it go silent with its connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    async def _said(self, word: str) -> None:
        assert self._process is not None
        async with asyncio.timeout(START_S):
            line = await asyncio.to_thread(self._process.stdout.readline)
        assert line.decode().strip() == word, f"the server said {line!r}, not {word!r}"


@pytest.fixture(scope="session")
def shared_server() -> Iterator[ServerProcess]:
    """One server for all tests that leave it as they found it."""
    process = ServerProcess()
    yield process
    process.stop()


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    """A server of the test's own."""
    process = ServerProcess()
    yield process
    process.stop()


@pytest.fixture
def tree() -> Iterator[ServerProcess]:
    """A server with a tree, of the test's own."""
    process = ServerProcess("tree_server.py")
    yield process
    process.stop()


@pytest.fixture(scope="session")
def shared_tree() -> Iterator[ServerProcess]:
    """One server with a tree for all tests that put it as they want it."""
    process = ServerProcess("tree_server.py")
    yield process
    process.stop()


def tag_table(addresses: list[str], **more: object) -> TagTable:
    """Tags of device 0, named after what stands behind the last ``=``."""
    return TagTable(
        tuple(
            Tag(i, f"plc/{text.rpartition('=')[2]}", device=0, address=parse_opcua(text), **more)
            for i, text in enumerate(addresses)
        )
    )


def driver_for(
    tags: TagTable, sink: object, url: str, *, period: int = 100_000_000, **settings: object
) -> OpcuaDriver:
    settings = {"security": Security.NONE, "timeout": 2_000_000_000, **settings}
    groups = (ScanGroup(0, period, range(len(tags))),)
    plan = DevicePlan(0, "plc", "opcua", OpcuaSettings(url, **settings), groups)
    return OpcuaDriver(plan, tags, sink, instant)


@pytest.fixture
async def make(conformance: ModuleType) -> AsyncIterator[Callable]:
    """make(addresses, url, **settings) → (driver, sink); closed at the end."""
    made = []

    def build(addresses: list[str], url: str, **settings: object):
        more = settings.pop("more", {})
        sink = conformance.Recorder()
        made.append(driver_for(tag_table(addresses, **more), sink, url, **settings))
        return made[-1], sink

    yield build
    for driver in made:
        await driver.close()


class AsyncuaBench:
    """The conformance suite's ``Bench`` for OPC UA. Only nodes with numeric ids are written."""

    def __init__(self, conformance: ModuleType, server: ServerProcess, **settings: object) -> None:
        read = [f"nsu={URI};s={name}" for name in (*TEXTS, *NUMBERS)]
        written = [f"nsu={URI};i={1000 + number}" for number in range(len(ORDER))]
        others = [f"nsu={URI};i=1014", f"nsu={URI};i=1090", f"nsu={URI};s=Missing"]
        self.tags = tag_table(read + written + others, write=ANY)
        self.expected = dict(enumerate({**TEXTS, **NUMBERS}.values()))
        first = len(read)
        kept = first + len(written)
        self.expected[kept] = 42.0
        self.expected[kept + 1] = 7.5
        self.missing = kept + 2
        self.read_only = (kept + 1, 3.0)
        self.unfit = (first + ORDER.index("Int16"), 40_000.0)
        self.writes = tuple(self._writes(first))
        self.polled = not settings.get("subscribe", False)
        self.sink = conformance.Recorder()
        self.now = instant
        third = len(self.tags) // 3
        spans = (range(third), range(third, len(self.tags)))
        groups = tuple(ScanGroup(n, 100_000_000, span) for n, span in enumerate(spans))
        ua = OpcuaSettings(server.url, security=Security.NONE, timeout=1_000_000_000, **settings)
        self.plan = DevicePlan(0, "plc", "opcua", ua, groups)
        self.driver = OpcuaDriver(self.plan, self.tags, self.sink, instant)
        self._server = server

    @staticmethod
    def _writes(first: int) -> Iterator[tuple[int, float]]:
        for number, name in enumerate(ORDER):
            values = (0.0, 1.0) if name == "Boolean" else (0.0, -7.0, 12.0)
            for value in values:
                if value >= 0 or not name.startswith(("U", "Byte")):
                    yield first + number, value

    async def start_server(self) -> None:
        await self._server.start()

    async def stop_server(self) -> None:
        self._server.stop()

    async def freeze_server(self) -> None:
        self._server.freeze()


@pytest.fixture(
    params=[
        pytest.param({}, id="polled"),
        pytest.param({"stock": True, "max_nodes": 5}, id="polled-by-the-stock-lane"),
        pytest.param({"subscribe": True}, id="subscribed"),
        pytest.param({"subscribe": True, "stock": True}, id="subscribed-by-the-stock-lane"),
    ]
)
async def bench(
    request: pytest.FixtureRequest,
    conformance: ModuleType,
    shared_server: ServerProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[AsyncuaBench]:
    settings = dict(request.param)
    if settings.pop("stock", False):
        monkeypatch.setattr(choice.FastLane, "fits", lambda client: False)
    bench = AsyncuaBench(conformance, shared_server, **settings)
    await bench.start_server()
    yield bench
    await bench.driver.close()
