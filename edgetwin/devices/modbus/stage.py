"""A stage: this driver in front of a Modbus TCP device that is only memory, for rehearsals.

::

    ModbusDriver ─▶ Lane ─▶ Line ─▶ Prop: holds two values of each tag, shows them by turns
                              ▲──────┘ answers when told to

There is no socket, so nothing that is written here can reach a plant.
"""

import asyncio
import struct
from collections.abc import Callable

from edgetwin.core.address import ModbusAddress
from edgetwin.core.encode import DoesNotFit, encode
from edgetwin.core.plan import DevicePlan, ModbusSettings, Transport
from edgetwin.core.reading import Instant
from edgetwin.core.tags import Tag, TagTable, ValueType
from edgetwin.devices.driver import Sink
from edgetwin.devices.modbus.ask import READ_WRITE, WRITE_REGISTER, WRITE_REGISTERS
from edgetwin.devices.modbus.driver import ModbusDriver
from edgetwin.devices.modbus.line import Line
from edgetwin.devices.modbus.port import Port

_HEADER, _SIZE_AT = 6, 4
_FLOATS = (ValueType.FLOAT32, ValueType.FLOAT64)
_WRITTEN_AT = {WRITE_REGISTER: 10, WRITE_REGISTERS: 13, READ_WRITE: 17}
"""Where the registers begin in a request that writes them (§6.6, §6.12, §6.17)."""


class Stage:
    """A driver and what it talks to. Connect the driver, then ``answer`` what it has asked."""

    def __init__(
        self, device: DevicePlan, tags: TagTable, sink: Sink, now: Callable[[], Instant]
    ) -> None:
        """As a driver is made; only ``fits`` may be staged."""
        if not isinstance(device.settings, ModbusSettings):
            raise TypeError(f"{device.name}: settings are {type(device.settings).__name__}")
        self._prop = _Prop([tags[i] for group in device.groups for i in group.tags])
        port = _StagePort(device.settings, self._prop)
        self.driver = ModbusDriver(device, tags, sink, now, port)

    @staticmethod
    def fits(device: DevicePlan, tags: "list[Tag]") -> bool:
        """Whether these tags of a device can be shown: registers, on a line without silences."""
        settings = device.settings
        return (
            isinstance(settings, ModbusSettings)
            and settings.transport in (Transport.TCP, Transport.TLS)
            and all(_is_register(tag) for tag in tags)
        )

    def answer(self) -> None:
        """Answer all that was asked, and what is asked in turn; the values change first."""
        self._prop.answer()


def _is_register(tag: Tag) -> bool:
    address = tag.address
    if not isinstance(address, ModbusAddress) or address.table.is_bits:
        return False
    return tag.type not in (ValueType.BIT, ValueType.TEXT, ValueType.AUTO)


class _StagePort(Port):
    """Opens the line to the stage."""

    def __init__(self, settings: ModbusSettings, prop: "_Prop") -> None:
        super().__init__(settings)
        self._prop = prop

    async def _open(self) -> Line:
        line = self._make_line()
        self._prop.line = line
        line.connection_made(self._prop)
        return line


class _Prop(asyncio.Transport):
    """The device, and the way to it."""

    line: Line

    def __init__(self, tags: "list[Tag]") -> None:
        super().__init__()
        self._asked = b""
        self._shown, self._hidden = (_image(tags, share) for share in (0.25, 0.75))

    def write(self, data: "bytes | bytearray | memoryview[int]") -> None:
        """Keep a request."""
        self._asked += data

    def abort(self) -> None:
        """Hang up."""
        self.line.connection_lost(None)

    def answer(self) -> None:
        """See ``Stage.answer``."""
        self._shown, self._hidden = self._hidden, self._shown
        while self._asked:
            size = _HEADER + int.from_bytes(self._asked[_SIZE_AT:_HEADER])
            request, self._asked = self._asked[:size], self._asked[size:]
            self.line.data_received(self._reply(request))

    def _reply(self, request: bytes) -> bytes:
        number, unit, function, first, count = struct.unpack_from(">H4xBBHH", request)
        begin = _WRITTEN_AT.get(function)
        if begin is not None:
            self._hold(first, request[begin:])
        if begin is not None and function != READ_WRITE:
            return struct.pack(">HHH", number, 0, 6) + request[_HEADER:12]
        data = self._shown[2 * first : 2 * (first + count)]
        return struct.pack(">HHHBBB", number, 0, 3 + len(data), unit, function, len(data)) + data

    def _hold(self, first: int, data: bytes) -> None:
        for image in (self._shown, self._hidden):
            image[2 * first : 2 * first + len(data)] = data


def _image(tags: "list[Tag]", share: float) -> bytearray:
    """All registers, each tag at the same share of its range; zero where that does not fit."""
    image = bytearray(2 << 16)
    for tag in tags:
        address = tag.address
        if isinstance(address, ModbusAddress) and not address.table.is_bits:
            raw = _raw(tag, share)
            image[2 * address.offset : 2 * address.offset + len(raw)] = raw
    return image


def _raw(tag: Tag, share: float) -> bytes:
    low = tag.low if tag.low > -float("inf") else 0.0
    high = tag.high if tag.high < float("inf") else low + 100.0
    number = (low + share * (high - low) - tag.offset) / tag.scale
    number = number if tag.type in _FLOATS else round(number)
    try:
        return encode(tag, number * tag.scale + tag.offset)
    except DoesNotFit:
        return b""
