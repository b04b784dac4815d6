"""Modbus on a virtual clock: no sockets, no waiting, every run with one seed the same.

``VirtualLoop`` is a real asyncio loop whose time jumps to the next timer instead of passing, and
whose connections end in a ``Device`` of ours. So the driver runs unchanged, a timeout of a second
costs microseconds, and a million reads with any mix of faults (campaign.py) take about a minute.
"""

import asyncio
import selectors
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.plan import DevicePlan, ModbusSettings, ScanGroup, Transport
from edgetwin.core.reading import Instant
from edgetwin.core.tags import Tag, TagTable, ValueType, WriteLimits
from edgetwin.devices.modbus import ModbusDriver
from edgetwin.devices.modbus.rtu import crc


class TcpSpeech:
    """Frames of Modbus TCP. ``unseal`` gives the number and what is behind the header."""

    in_order = False
    """Replies may overtake each other: the worst that a gateway could do."""

    @staticmethod
    def split(data: bytes) -> list[bytes]:
        frames = []
        while data:
            size = 6 + int.from_bytes(data[4:6], "big")
            frames.append(data[:size])
            data = data[size:]
        return frames

    @staticmethod
    def unseal(frame: bytes) -> tuple[bytes, bytes]:
        return frame[:2], frame[6:]

    @staticmethod
    def seal(number: bytes, body: bytes) -> bytes:
        return number + b"\0\0" + len(body).to_bytes(2, "big") + body


class RtuSpeech:
    """Frames of RTU. A unit, and a line, works off what it is asked one after the other."""

    in_order = True

    @staticmethod
    def split(data: bytes) -> list[bytes]:
        return [data]  # one request is open at a time

    @staticmethod
    def unseal(frame: bytes) -> tuple[bytes, bytes]:
        return b"", frame[:-2]

    @staticmethod
    def seal(number: bytes, body: bytes) -> bytes:
        return body + crc(body)


class _Selector(selectors.DefaultSelector):
    """Lets the time pass that it is asked to wait, at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise AssertionError("the loop would wait for ever: nothing is due")
            self.now += max(timeout, 0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time is virtual, and every connection leads to ``device``."""

    def __init__(self, device: "Device | None" = None) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self.device = device or Device()

    def time(self) -> float:
        return self._virtual.now

    def now(self) -> Instant:
        ns = int(self._virtual.now * 1e9)
        return Instant(ns, ns)

    async def getaddrinfo(self, host, port, **_):
        return [(0, 0, 0, "", (host, port))]

    async def create_connection(self, factory, *_, **__):
        protocol = factory()
        wire = Wire(self, protocol, self.device)
        protocol.connection_made(wire)
        return wire, protocol


class _NoSocket:
    def setsockopt(self, *_) -> None:
        """Takes every option."""


class Wire(asyncio.Transport):
    """The driver's end of a connection to a virtual device."""

    def __init__(self, loop: VirtualLoop, protocol: asyncio.Protocol, device: "Device") -> None:
        super().__init__({"socket": _NoSocket()})
        self.loop, self.protocol, self.device = loop, protocol, device
        self.sent: list[bytes] = []
        self.up = True
        self._last_at = 0.0
        device.wire = self

    def write(self, data: bytes) -> None:
        if not self.up:
            return  # the other side has gone, and its leaving is still under way
        for frame in self.device.speech.split(data):
            self.sent.append(frame)
            self.device.asked(self, frame)

    def abort(self) -> None:
        if self.up:
            self.up = False
            self.loop.call_soon(self.protocol.connection_lost, None)

    def deliver(self, data: bytes, delay: float = 0.0, *more: bytes) -> None:
        """Bytes arrive at the driver, in one piece or several, unless the connection is gone."""
        at = self.loop.time() + delay
        if self.device.speech.in_order:
            at = self._last_at = max(at, self._last_at + 1e-6)
        self.loop.call_at(at, self._arrive, data, *more)

    def _arrive(self, *pieces: bytes) -> None:
        for piece in pieces:
            if self.up:
                self.protocol.data_received(piece)


@dataclass
class Device:
    """Answers reads of holding registers with ``fresh`` words, and remembers what it said.

    ``answer`` may be replaced: it gets the wire and the right reply, and sends what it likes.
    """

    fresh: Callable[[int], list[int]] = lambda n: [7] * n
    answer: "Callable[[Wire, bytes], None]" = lambda wire, reply: wire.deliver(reply, 0.001)
    truth: dict[int, list[int]] = field(default_factory=dict)
    wire: Wire | None = None
    speech: TcpSpeech | RtuSpeech = field(default_factory=TcpSpeech)

    def asked(self, wire: Wire, frame: bytes) -> None:
        number, body = self.speech.unseal(frame)
        unit, function, first, count = struct.unpack(">BBHH", body[:6])
        if function != 3:
            self.answer(wire, self.speech.seal(number, body[:6]))
            return
        words = self.truth[first] = self.fresh(count)
        data = struct.pack(f">{count}H", *words)
        self.answer(wire, self.speech.seal(number, bytes([unit, 3, len(data)]) + data))


def holding_tags(sizes: list[int]) -> TagTable:
    """For each size, that many neighbouring uint16 registers, 100 apart from the next."""
    tags = []
    for block, size in enumerate(sizes):
        for i in range(size):
            address = ModbusAddress(Table.HOLDING, 100 * block + i)
            name, limits = f"dev/{block}-{i}", WriteLimits(0, 65535)
            kind = ValueType.UINT16
            tags.append(Tag(len(tags), name, type=kind, device=0, address=address, write=limits))
    return TagTable(tuple(tags))


def make_driver(loop: VirtualLoop, sink, tags: TagTable, unit: int = 1, **more) -> ModbusDriver:
    """A driver of one scan group over all tags, in the speech of the loop's device."""
    group = ScanGroup(0, 100_000_000, range(len(tags)))
    if isinstance(loop.device.speech, RtuSpeech):
        more = {"transport": Transport.RTU_TCP, **more}
    settings = ModbusSettings("device", 502, unit, **more)
    name = "dev" if unit == 1 else f"dev{unit}"
    plan = DevicePlan(0, name, "modbus", settings, (group,))
    return ModbusDriver(plan, tags, sink, loop.now)
