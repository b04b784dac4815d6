"""pymodbus's server as a process of its own: ``python server_process.py``.

Unit 7 with 400 holding registers and 64 coils from address 0, 100 input registers from 100 on that
count up, 16 discrete inputs. Takes a free port on loopback and prints it.
"""

import asyncio
import sys

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


async def main() -> None:
    bits, registers = DataType.BITS, DataType.REGISTERS
    memory = (
        [SimData(0, values=[False] * 64, datatype=bits)],
        [SimData(0, values=[True] * 16, datatype=bits)],
        [SimData(0, values=[0] * 400, datatype=registers)],
        [SimData(100, values=list(range(100)), datatype=registers)],
    )
    server = ModbusTcpServer(SimDevice(7, memory), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    sys.stdout.write(f"{server.transport.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
