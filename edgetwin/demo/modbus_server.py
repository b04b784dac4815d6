"""A Modbus TCP device of the demo, over the stock pymodbus server.

    1x0001        a status bit
    3x0001 …      what is measured, float32 each (two registers, high word first)
    4x0001        what may be commanded, float32

Requests are answered from one image of the device, so that a block read never mixes two instants.
"""

import asyncio
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

READ_DISCRETE, READ_HOLDING, READ_INPUT = 2, 3, 4
WRITES = (6, 16)  # one register, many registers
UNIT = 1


@dataclass(slots=True)
class Image:
    """What the device shows now. The owner fills it in; the server only reads."""

    measured: Sequence[float]
    status: bool = False
    command: float = 0.0


def registers(values: Sequence[float]) -> list[int]:
    """Float32 values as registers, high word first."""
    raw = struct.pack(f">{len(values)}f", *values)
    return list(struct.unpack(f">{len(raw) // 2}H", raw))


class ModbusDevice:
    """Serves an image. ``commanded`` says of each written setpoint whether it is taken."""

    def __init__(self, image: Image, commanded: Callable[[float], bool]) -> None:
        """Nothing listens yet."""
        self.image = image
        self._commanded = commanded
        self._server: ModbusTcpServer | None = None

    async def start(self, port: int = 0) -> int:
        """Listen on loopback; the port that was taken is given back."""
        device = SimDevice(UNIT, self._memory(), action=self._answer)
        self._server = ModbusTcpServer(device, address=("127.0.0.1", port))
        await self._server.serve_forever(background=True)
        listener = cast("asyncio.Server", self._server.transport)
        return int(listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the listener and all connections."""
        if self._server:
            await self._server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus leaves it so

    def _memory(self) -> tuple[list[SimData], list[SimData], list[SimData], list[SimData]]:
        """Coils (the server wants at least one), discrete inputs, holding and input registers."""
        bits = SimData(0, values=[False] * 16, datatype=DataType.BITS)
        holding = SimData(0, values=0.0, datatype=DataType.FLOAT32)
        measured = SimData(0, values=[0.0] * len(self.image.measured), datatype=DataType.FLOAT32)
        return [bits], [bits], [holding], [measured]

    async def _answer(
        self,
        function: int,
        start: int,
        address: int,
        count: int,  # noqa: ARG002 - pymodbus's
        current: list[int],
        wanted: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Bring the registers up to date before they are read, or put a command to its owner."""
        if function in WRITES and wanted is not None:
            return self._take(address - start, [int(word) for word in wanted])
        if wanted is not None:
            return ExcCodes.ILLEGAL_FUNCTION
        if function == READ_DISCRETE:
            current[0] = int(self.image.status)
        elif function in (READ_INPUT, READ_HOLDING):
            holds = self.image.measured if function == READ_INPUT else [self.image.command]
            current[: 2 * len(holds)] = registers(holds)  # behind them pymodbus keeps a guard
        return None

    def _take(self, offset: int, words: list[int]) -> ExcCodes | None:
        """A write may bring one word or both; the command is what the register holds after it."""
        after = registers([self.image.command])
        after[offset : offset + len(words)] = words
        (value,) = struct.unpack(">f", struct.pack(">2H", *after))
        return None if self._commanded(value) else ExcCodes.ILLEGAL_VALUE
