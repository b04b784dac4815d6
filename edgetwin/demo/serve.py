"""The demo's field devices as processes: ``python -m edgetwin.demo.serve plant|rows|opcua``.

    plant | rows ── owns the source and the Modbus TCP server
      │ stdin of the child: one line of values per step
      └── opcua ── owns the OPC UA server

Each says ``ready PORT …`` on stdout when it listens (plant and rows: the Modbus port, then the OPC
UA port), takes words on stdin (plant: ``clog`` ``freeze`` ``heal``; rows: ``go``) and ends when
stdin ends or at SIGTERM, so that no device outlives whoever started it.
"""

import argparse
import asyncio
import json
import signal
from collections.abc import Sequence
from pathlib import Path

from edgetwin.demo.modbus_server import ModbusDevice
from edgetwin.demo.opcua_server import serve as serve_opcua
from edgetwin.demo.processes import Child, stdin_lines
from edgetwin.demo.source import SkidSource, Source, TableSource


class Field:
    """A source, its Modbus server in this process and its OPC UA server in a child."""

    def __init__(self, source: Source, every_s: float, speed: float = 1.0) -> None:
        """``every_s`` is the time between two steps; ``speed`` how much faster time goes there."""
        self._source = source
        self._every_s = every_s
        self._speed = speed
        self._modbus = ModbusDevice(source.image, source.command)

    async def run(self, modbus_port: int, opcua_port: int) -> None:
        """Serve until stdin ends, SIGTERM comes, or the child is gone."""
        words = await stdin_lines()  # SIGTERM ends it as its end does
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, words.feed_eof)
        meter = await Child.start("edgetwin.demo.serve", "opcua", "--port", str(opcua_port))
        try:
            meter.send(json.dumps(self._source.nodes))
            meter.send(json.dumps(self._source.meter))
            opcua = await meter.ports()
            print("ready", await self._modbus.start(modbus_port), *opcua, flush=True)
            await self._until_ended(words, meter)
        finally:
            await self._modbus.stop()
            await meter.end()

    async def _until_ended(self, words: asyncio.StreamReader, meter: Child) -> None:
        tasks = [
            asyncio.create_task(self._listen(words), name="words"),
            asyncio.create_task(self._play(meter), name="steps"),
            asyncio.create_task(meter.process.wait(), name="opcua"),
        ]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _listen(self, words: asyncio.StreamReader) -> None:
        while line := await words.readline():
            self._source.tell(line.decode().strip())

    async def _play(self, meter: Child) -> None:
        """One step per period on a fixed grid, so that an hour of steps lasts an hour."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += self._every_s
            await asyncio.sleep(max(0.0, due - loop.time()))
            said = self._source.step(self._every_s * self._speed)
            meter.send(json.dumps(self._source.meter))
            if said:
                print(said, flush=True)


async def _opcua(port: int) -> None:
    lines = await stdin_lines()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lines.feed_eof)
    await serve_opcua(lines, port)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m edgetwin.demo.serve", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    plant = kinds.add_parser("plant", help="the simulated pump skid")
    plant.add_argument("--seed", type=int, default=1)
    plant.add_argument("--speed", type=float, default=1.0, help="how much faster than life")
    rows = kinds.add_parser("rows", help="the rows of a table")
    rows.add_argument("--csv", type=Path, required=True)
    rows.add_argument("--modbus", required=True, help="columns, with commas: 3x0001, 3x0003 …")
    rows.add_argument("--opcua", required=True, help="columns, with commas: s=NAME")
    for field in (plant, rows):
        field.add_argument("--every", type=float, default=0.05, help="seconds between two steps")
        field.add_argument("--modbus-port", type=int, default=0)
        field.add_argument("--opcua-port", type=int, default=0)
    opcua = kinds.add_parser("opcua", help="an OPC UA server for values that come on stdin")
    opcua.add_argument("--port", type=int, default=0)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one device process."""
    asked = _arguments(argv)
    if asked.kind == "opcua":
        asyncio.run(_opcua(asked.port))
        return
    source: Source
    if asked.kind == "plant":
        source = SkidSource(asked.seed)
        field = Field(source, asked.every, asked.speed)
    else:
        source = TableSource(asked.csv, asked.modbus.split(","), asked.opcua.split(","))
        field = Field(source, asked.every)
    asyncio.run(field.run(asked.modbus_port, asked.opcua_port))


if __name__ == "__main__":
    main()
