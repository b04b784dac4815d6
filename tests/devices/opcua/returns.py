"""Six ways to lose an OPC UA server, and how long its values take to flow again.

Two supervised devices, one polled and one subscribed, on one server behind a cable that can be
pulled. Used by the tests (one round each) and by scripts/campaigns/opcua_returns (fifty).
"""

import asyncio
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from edgetwin.config import compile_text
from edgetwin.core.engine import Engine
from edgetwin.core.frame import Frame
from edgetwin.core.quality import Quality
from edgetwin.devices.opcua import OpcuaDriver
from edgetwin.runtime import clock
from edgetwin.runtime.field import Field
from edgetwin.runtime.scheduler import Scheduler
from edgetwin.runtime.supervise import Shared, Supervisor

HERE = Path(__file__).parent
DEADLINE_S = 60
CONFIG = """\
gateway: returns
state: /nowhere
devices:
  polled:
    driver: opcua
    address: opc.tcp://127.0.0.1:{port}
    security: none
    scan: 100 ms
    mode: poll
    {settings}
    tags:
      count: {{at: "nsu=urn:edgetwin:test:faulty;s=Count.0"}}
      still: {{at: "nsu=urn:edgetwin:test:faulty;s=Still.0"}}
  subscribed:
    driver: opcua
    address: opc.tcp://127.0.0.1:{port}
    security: none
    scan: 100 ms
    mode: subscribe
    {settings}
    tags:
      count: {{at: "nsu=urn:edgetwin:test:faulty;s=Count.0"}}
      still: {{at: "nsu=urn:edgetwin:test:faulty;s=Still.0"}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Script:
    """A script of this folder in a process of its own, obeying lines."""

    def __init__(self, name: str, *arguments: int) -> None:
        self._words = [sys.executable, str(HERE / name), *map(str, arguments)]
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        pipe = subprocess.PIPE
        self._process = await asyncio.to_thread(
            subprocess.Popen, self._words, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
        )
        await self._said("ready")

    async def order(self, *words: str) -> None:
        assert self._process is not None
        self._process.stdin.write(f"{' '.join(words)}\n".encode())
        self._process.stdin.flush()
        await self._said("done")

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    async def _said(self, word: str) -> None:
        assert self._process is not None
        async with asyncio.timeout(DEADLINE_S):
            line = await asyncio.to_thread(self._process.stdout.readline)
        if line.decode().strip() != word:
            raise RuntimeError(f"{self._words[1]} said {line!r}, not {word!r}")


@dataclass
class Held:
    """What this process holds."""

    tasks: int
    descriptors: int
    resident: int

    @classmethod
    def now(cls) -> "Held":
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        return cls(len(asyncio.all_tasks()), descriptors, pages * resource.getpagesize())


@dataclass
class Record:
    """The rounds of one fault: seconds until the values flowed again, by device."""

    fault: str
    outage_s: float
    polled: list[float] = field(default_factory=list)
    subscribed: list[float] = field(default_factory=list)


class Returns:
    """The bench: ``async with Returns() as bench: await bench.round("restart", 0, record)``."""

    def __init__(self, settings: str = "") -> None:
        self.server_port, cable_port = free_port(), free_port()
        self.server = Script("faulty_server.py", self.server_port, 1)
        self.cable = Script("cable.py", cable_port, self.server_port)
        plan = compile_text(CONFIG.format(port=cable_port, settings=settings), "returns.yaml")
        self.field = Field(Engine(plan, lambda *_: None), [self], clock.now)
        self._scheduler = Scheduler(clock.monotonic_ns)
        self._news = asyncio.Event()
        self._twin = self.field.engine.twin
        self.supervisors = [self._supervisor(device) for device in plan.devices]
        self._tasks: list[asyncio.Task[None]] = []

    def _supervisor(self, device) -> Supervisor:
        def make() -> OpcuaDriver:
            return OpcuaDriver(device, self.field.engine.plan.tags, self.field, clock.now)

        return Supervisor(device, make, Shared(self.field, self._scheduler), 0)

    async def __aenter__(self) -> "Returns":
        await self.server.start()
        await self.cable.start()
        self._tasks = [asyncio.create_task(each.run()) for each in self.supervisors]
        self._scheduler.every(50_000_000, self.field.tick)
        await self.flowing()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._scheduler.close()
        self.server.stop()
        self.cable.stop()

    def put(self, _: Frame) -> None:
        """A turn of the engine is over."""
        self._news.set()

    async def until(self, fact: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not fact():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            reasons = [each.health.reason for each in self.supervisors]
            raise TimeoutError(f"{what}: not within {DEADLINE_S} s; {reasons}") from None

    def _tags(self, device: int) -> range:
        return self.field.engine.plan.devices[device].groups[0].tags

    def good(self, device: int) -> bool:
        """All values of a device are good."""
        return all(self._twin.quality[tag] == Quality.GOOD for tag in self._tags(device))

    def arrived(self, device: int) -> int:
        """When the last value of the counter came, monotonic ns."""
        return int(max(self._twin.arrived[tag] for tag in self._tags(device)))

    async def flowing(self) -> tuple[float, float]:
        """Wait for values of both devices that are newer than now; how long each took, seconds."""
        began = time.monotonic_ns()

        async def one(device: int) -> float:
            def flows() -> bool:
                return self.good(device) and self.arrived(device) > began

            await self.until(flows, f"device {device} flows")
            return (time.monotonic_ns() - began) / 1e9

        polled = asyncio.create_task(one(0))
        subscribed = asyncio.create_task(one(1))
        return await polled, await subscribed

    async def round(self, fault: str, outage_s: float, record: Record) -> None:
        """Break it, let it rest, mend it, and time the way back."""
        await FAULTS[fault](self, outage_s)
        polled, subscribed = await self.flowing()
        record.polled.append(polled)
        record.subscribed.append(subscribed)


async def restart(bench: Returns, outage_s: float) -> None:
    bench.server.stop()
    await asyncio.sleep(outage_s)
    await bench.server.start()


async def pull(bench: Returns, outage_s: float) -> None:
    await bench.cable.order("pull")
    await asyncio.sleep(outage_s)
    await bench.cable.order("plug")


async def hang(bench: Returns, outage_s: float) -> None:
    bench.server.signal(signal.SIGSTOP)
    await asyncio.sleep(outage_s)
    bench.server.signal(signal.SIGCONT)


async def expire(bench: Returns, outage_s: float) -> None:
    await bench.server.order("expire")
    await asyncio.sleep(outage_s)


async def drop(bench: Returns, outage_s: float) -> None:
    await bench.server.order("drop")
    await asyncio.sleep(outage_s)


async def remove(bench: Returns, outage_s: float) -> None:
    await bench.server.order("remove")
    gone = {Quality.CONFIG_ERROR}
    await bench.until(
        lambda: all({bench._twin.quality[tag] for tag in bench._tags(d)} <= gone for d in (0, 1)),
        "both devices say that their nodes are gone",
    )
    await asyncio.sleep(outage_s)
    await bench.server.order("restore")


FAULTS: dict[str, Callable[[Returns, float], Awaitable[None]]] = {
    "restart": restart,
    "cable": pull,
    "hang": hang,
    "session": expire,
    "subscription": drop,
    "nodes": remove,
}
