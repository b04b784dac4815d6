"""Where units are reached: a serial port, or a host and its port, with one line for all of them.

The first unit that comes opens the line, the last that goes closes it. Units share a line where the
configuration says so, and always on RTU: two connections would talk into each other's answers.
"""

import asyncio
import itertools
from weakref import WeakKeyDictionary

from edgetwin.core.plan import ModbusSettings, Transport
from edgetwin.devices.modbus.debts import Debts
from edgetwin.devices.modbus.framing import Framer
from edgetwin.devices.modbus.lane import Lane
from edgetwin.devices.modbus.line import Framing, Line
from edgetwin.devices.modbus.probing import Probing
from edgetwin.devices.modbus.reach import open_line
from edgetwin.devices.modbus.rtu import RtuFramer

CHAR_BITS = 11
"""Start, eight data, parity or a second stop bit, stop (Serial Line v1.02 §2.5.1)."""

FAST_BAUD, FAST_SILENCE_S = 19200, 0.00175
"""Above this rate the silence is no longer 3.5 characters, but fixed (§2.5.1.1)."""

ADAPTER_S = 0.02
"""USB adapters hand over what has come in every 16 ms."""

NETWORK_S = 0.1
"""How long a serial server and the network between may sit on bytes: packing time, one repeat."""

_CLOSE_S = 1.0


class Port:
    """One place. ``probing`` is about the units that have fallen silent there."""

    def __init__(self, settings: ModbusSettings) -> None:
        """Nothing is opened yet."""
        self.probing = Probing()
        self._settings = settings
        # 1 to 65535: some devices answer 0 to anything.
        self._numbers = itertools.cycle(range(1, 1 << 16))
        self._debts: dict[int, Debts] = {}  # a unit owes to the line, whoever has asked
        self._line: Line | None = None
        self._opening = asyncio.Lock()

    def serves_others(self, lane: Lane) -> bool:
        """Whether units beside this one are being served."""
        return self._line is not None and any(each is not lane for each in self._line.lanes)

    async def join(self, lane: Lane) -> None:
        """Attach a lane to the line, which is opened where it is not. Needs a deadline.

        Raises:
            OSError: the place cannot be reached, or not be used.
        """
        async with self._opening:
            if self._line is None or not self._line.is_open:
                self._line = await self._open()
            lane.debts = self._debts.setdefault(lane.unit, lane.debts)
            self._line.attach(lane)

    async def leave(self, lane: Lane, cause: str) -> None:
        """Detach a lane; the line is closed behind the last one."""
        lane.end(cause)
        line = self._line
        if line is None or line.lanes:
            return
        self._line = None
        line.end(cause)
        try:
            async with asyncio.timeout(_CLOSE_S):
                await line.closed.wait()
        except TimeoutError:
            return  # aborted already: the loop will still drop it

    async def _open(self) -> Line:
        return await open_line(self._settings, self._make_line)

    def _make_line(self) -> Line:
        return Line(_framing(self._settings), self._numbers)


def _framing(settings: ModbusSettings) -> Framing:
    if settings.transport is Transport.SERIAL:
        char_s = CHAR_BITS / settings.serial.baud
        silence_s = 3.5 * char_s if settings.serial.baud <= FAST_BAUD else FAST_SILENCE_S
        return RtuFramer(silence_s, silence_s + ADAPTER_S, char_s)
    if settings.transport is Transport.RTU_TCP:
        return RtuFramer(0.0, NETWORK_S)
    return Framer()


_ports: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[object, Port]] = WeakKeyDictionary()


def port_of(settings: ModbusSettings) -> Port:
    """The port of a unit: that of the others at its place, or one of its own."""
    if not settings.is_shared:
        return Port(settings)
    ports = _ports.setdefault(asyncio.get_running_loop(), {})
    return ports.setdefault((settings.transport, settings.host, settings.port), Port(settings))
