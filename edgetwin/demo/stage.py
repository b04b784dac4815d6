"""Everything the story needs, started in order and ended in reverse, whatever happens.

    plant ── Modbus TCP ──┐                       ┌── line (can be cut) ── broker ── subscriber
                          ├── daemon (edgetwin) ──┘
    meter ── OPC UA ──────┘        └── control socket: edgetwin status, edgetwin loop

Each box is a process of its own, except the line and the subscriber, which live in this one.
"""

import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType

from edgetwin.demo.gateway import Gateway
from edgetwin.demo.line import Line
from edgetwin.demo.pace import Pace
from edgetwin.demo.processes import Child
from edgetwin.demo.subscriber import Subscriber

SEED = 9
STEP_S = 0.05
TOPIC = "edgetwin/#"


class Stage:
    """An async context: inside it everything runs, after it nothing is left."""

    plant: Child
    line: Line
    subscriber: Subscriber
    gateway: Gateway

    def __init__(self, config: Path, pace: Pace, messages: Path | None = None) -> None:
        """Nothing is started yet. ``messages``: the file to keep what the subscriber hears in."""
        self._config = config
        self._pace = pace
        self._messages = messages
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Stage":
        """Start all parts.

        Raises:
            RuntimeError, TimeoutError, OSError: one of them does not start.
        """
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """End all parts."""
        await self._stack.aclose()

    async def _start(self) -> None:
        pace = self._pace
        folder = Path(tempfile.mkdtemp(prefix="edgetwin-demo-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        self.plant = await self._child(
            *("edgetwin.demo.serve", "plant", "--seed", str(SEED)),
            *("--every", str(STEP_S / pace.speed), "--speed", str(pace.speed)),
        )
        broker = await self._child("edgetwin.demo.broker")  # both start side by side
        (broker_port,) = await broker.ports()
        self.line = Line(broker_port)
        line_port = await self.line.start()
        self._stack.push_async_callback(self.line.close)
        keep = self._messages and self._stack.enter_context(self._messages.open("w"))
        self.subscriber = Subscriber(TOPIC, keep or None)
        await self.subscriber.connect(broker_port)
        self._stack.push_async_callback(self.subscriber.close)
        modbus_port, opcua_port = await self.plant.ports()
        self.gateway = Gateway(self._config, folder)
        self._stack.push_async_callback(self.gateway.stop)
        await self.gateway.start(
            [
                f"state={folder}",
                f"devices.skid.address=127.0.0.1:{modbus_port}",
                f"devices.meter.address=opc.tcp://127.0.0.1:{opcua_port}/meter",
                f"upstream.cloud.broker=mqtt://127.0.0.1:{line_port}",
                f"upstream.cloud.window={pace.period(2000)}",
                *self._hurry(),
            ]
        )

    def _hurry(self) -> list[str]:
        """What a plant that runs faster than life asks of the configuration."""
        pace = self._pace
        if pace.speed == 1.0:
            return []
        return [
            f"devices.skid.scan={pace.period(100)}",
            f"devices.meter.scan={pace.period(200)}",
            f"devices.skid.tags.discharge_pressure.frozen_after={pace.period(2000)}",
            f"devices.meter.tags.flow.frozen_after={pace.period(5000)}",
            f"assets.pump.watch.every={pace.period(100)}",
            f"loops.pressure.every={pace.period(100)}",
            f"loops.pressure.integral={pace.period(3000)}",
        ]

    async def _child(self, module: str, *arguments: str) -> Child:
        child = await Child.start(module, *arguments)
        self._stack.push_async_callback(child.end)
        return child
