"""Modbus on a virtual clock: no sockets, no waiting, every run with one seed the same.

``VirtualLoop`` is a real asyncio loop whose time jumps to the next timer instead of passing, and
whose connections end in a ``Device`` of ours. So the driver runs unchanged, a timeout of a second
costs microseconds, and a million reads with any mix of faults take about a minute.
"""

import asyncio
import random
import selectors
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.errors import DeviceLost
from edgetwin.core.plan import DevicePlan, ModbusSettings, ScanGroup
from edgetwin.core.reading import Instant, ReadingBatch, WriteResult
from edgetwin.core.tags import Tag, TagTable, ValueType, WriteLimits
from edgetwin.devices.modbus import ModbusDriver


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
        device.wire = self

    def write(self, data: bytes) -> None:
        assert self.up
        while data:
            size = 6 + int.from_bytes(data[4:6], "big")
            self.sent.append(data[:size])
            self.device.asked(self, data[:size])
            data = data[size:]

    def abort(self) -> None:
        if self.up:
            self.up = False
            self.loop.call_soon(self.protocol.connection_lost, None)

    def deliver(self, data: bytes, delay: float = 0.0, *more: bytes) -> None:
        """Bytes arrive at the driver, in one piece or several, unless the connection is gone."""
        self.loop.call_later(delay, self._arrive, data, *more)

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

    def asked(self, wire: Wire, frame: bytes) -> None:
        tid, _, _, unit, function, first, count = struct.unpack(">HHHBBHH", frame[:12])
        if function != 3:
            self.answer(wire, frame[:4] + b"\0\6" + frame[6:12])
            return
        words = self.truth[first] = self.fresh(count)
        data = struct.pack(f">{count}H", *words)
        head = struct.pack(">HHHBBB", tid, 0, 3 + len(data), unit, 3, len(data))
        self.answer(wire, head + data)


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


def make_driver(loop: VirtualLoop, sink, tags: TagTable, **settings) -> ModbusDriver:
    """A driver of one scan group over all tags."""
    group = ScanGroup(0, 100_000_000, range(len(tags)))
    plan = DevicePlan(0, "dev", "modbus", ModbusSettings("device", 502, 1, **settings), (group,))
    return ModbusDriver(plan, tags, sink, loop.now)


# ---------------------------------------------------------------- the campaign

SIZES = [3, 5, 8, 13, 21, 34]
"""Registers per block, all different: with several requests in flight, Modbus gives no other way to
tell two replies apart whose transaction ids a device has exchanged."""

STRANGE = {"do_junk", "do_junk_before", "do_junk_behind", "do_protocol", "do_length"}


class Saboteur:
    """Spoils replies in every way that a device, a gateway or a network has been seen to."""

    def __init__(self, seed: int, share: float, *, strange: bool) -> None:
        self.random = random.Random(seed)  # noqa: S311  chance, not secrecy
        self.share = share
        self.done: Counter[str] = Counter()
        self._last = b""
        ways = [name for name in dir(self) if name.startswith("do_")]
        self._ways = ways if strange else [name for name in ways if name not in STRANGE]

    def __call__(self, wire: Wire, reply: bytes) -> None:
        if self.random.random() > self.share:
            wire.deliver(reply, self.random.uniform(0.0005, 0.02))
        else:
            way = self.random.choice(self._ways)
            self.done[way[3:]] += 1
            getattr(self, way)(wire, reply)
        self._last = reply

    def _soon(self) -> float:
        return self.random.uniform(0.0005, 0.02)

    def _junk(self, most: int) -> bytes:
        return self.random.randbytes(self.random.randint(1, most))

    def do_late(self, wire, reply):
        wire.deliver(reply, self.random.uniform(0.02, 0.35))

    def do_drop(self, wire, reply):
        """Nothing comes."""

    def do_cut(self, wire, reply):
        wire.deliver(reply[: self.random.randrange(1, len(reply))], self._soon())

    def do_cut_and_whole(self, wire, reply):
        cut = reply[: self.random.randrange(9, len(reply))]
        wire.deliver(cut + reply, self._soon())

    def do_duplicate(self, wire, reply):
        wire.deliver(reply + reply, self._soon())
        wire.deliver(reply, self.random.uniform(0.02, 0.3))

    def do_pieces(self, wire, reply):
        at = self.random.randrange(1, len(reply))
        wire.deliver(reply[:at], self._soon(), reply[at:])

    def do_other_id(self, wire, reply):
        tid = int.from_bytes(reply[:2], "big")
        wrong = self.random.choice([0, tid - 1 & 0xFFFF, tid ^ 0x8000])
        wire.deliver(wrong.to_bytes(2, "big") + reply[2:], self._soon())

    def do_replay(self, wire, reply):
        wire.deliver((self._last or reply) + reply, self._soon())

    def do_previous_only(self, wire, reply):
        if self._last != reply:
            wire.deliver(self._last, self._soon())

    def do_protocol(self, wire, reply):
        wire.deliver(reply[:2] + b"\0\1" + reply[4:], self._soon())

    def do_length(self, wire, reply):
        length = self.random.choice([0, 1, 0xFFFF, len(reply) - 7, len(reply) - 5, len(reply)])
        wire.deliver(reply[:4] + length.to_bytes(2, "big") + reply[6:], self._soon())

    def do_unit(self, wire, reply):
        wire.deliver(reply[:6] + b"\x09" + reply[7:], self._soon())

    def do_function(self, wire, reply):
        wire.deliver(reply[:7] + b"\x04" + reply[8:], self._soon())

    def do_byte_count(self, wire, reply):
        wire.deliver(reply[:8] + bytes([reply[8] + 2 & 0xFF]) + reply[9:], self._soon())

    def do_fewer(self, wire, reply):
        self._resize(wire, reply, reply[9:-2])

    def do_more(self, wire, reply):
        self._resize(wire, reply, reply[9:] + b"\0\x55")

    def do_odd(self, wire, reply):
        self._resize(wire, reply, reply[9:-1])

    def do_empty(self, wire, reply):
        self._resize(wire, reply, b"")

    def _resize(self, wire, reply, data):
        head = reply[:4] + (3 + len(data)).to_bytes(2, "big") + reply[6:8]
        wire.deliver(head + bytes([len(data)]) + data, self._soon())

    def do_exception(self, wire, reply):
        code = self.random.choice([1, 4, 5, 6, 10, 11, 77])
        wire.deliver(reply[:4] + b"\0\3" + reply[6:7] + bytes([0x83, code]), self._soon())

    def do_junk(self, wire, reply):
        wire.deliver(self._junk(300), self._soon())

    def do_junk_before(self, wire, reply):
        wire.deliver(self._junk(20) + reply, self._soon())

    def do_junk_behind(self, wire, reply):
        wire.deliver(reply + self._junk(20), self._soon())

    def do_flood(self, wire, reply):
        strange = reply[0:1] + bytes([reply[1] ^ 0x55]) + reply[2:]
        wire.deliver(strange * 20, self._soon())

    def do_close(self, wire, reply):
        wire.deliver(reply[:7], self._soon())
        wire.loop.call_later(0.02, wire.abort)


@dataclass
class Judge:
    """A sink that compares each good value with what the device held when it was last asked."""

    device: Device
    tags: TagTable
    good: int = 0
    bad: int = 0
    wrong: list[str] = field(default_factory=list)
    heard: int = 0

    def readings(self, batch: ReadingBatch) -> None:
        self.heard += len(batch.values)
        if not isinstance(batch.quality, int):
            self.bad += 1
            assert (batch.quality >= 0x80).all()
            assert np.isnan(batch.values).all()
            return
        self.good += 1
        first = self.tags[batch.tags.start].address.offset
        if batch.values.tolist() != self.device.truth[first]:
            self.wrong.append(f"{first}: {batch.values} for {self.device.truth[first]}")

    def confirmed(self, tags: range) -> None:
        raise AssertionError("Modbus never confirms")

    def written(self, result: WriteResult) -> None:
        raise AssertionError("nothing was written")


@dataclass
class Report:
    """What came of a campaign."""

    good: int
    bad: int
    wrong: list[str]
    losses: int
    spoiled: Counter[str]
    counters: object


def campaign(reads: int, seed: int, in_flight: int, share: float = 0.3) -> Report:
    """Read ``reads`` blocks from a device that spoils ``share`` of its replies.

    What is no Modbus at all only with one in flight: see edgetwin/devices/modbus/framing.py.
    """
    saboteur = Saboteur(seed, share, strange=in_flight == 1)
    device = Device(lambda n: [saboteur.random.randrange(65536) for _ in range(n)], saboteur)
    loop = VirtualLoop(device)
    tags = holding_tags(SIZES)
    judge = Judge(device, tags)
    driver = make_driver(loop, judge, tags, timeout=100_000_000, in_flight=in_flight, max_gap=0)
    try:
        losses = loop.run_until_complete(_run(driver, judge, reads))
    finally:
        loop.run_until_complete(driver.close())
        loop.close()
    return Report(judge.good, judge.bad, judge.wrong, losses, saboteur.done, driver.counters)


async def _run(driver: ModbusDriver, judge: Judge, reads: int) -> int:
    losses = 0
    while judge.good + judge.bad < reads:
        await driver.connect()
        lost = asyncio.create_task(driver.lost())
        while not lost.done() and judge.good + judge.bad < reads:
            before = judge.heard
            driver.start_scan(0)
            while judge.heard < before + len(judge.tags) and not lost.done():  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # virtual: costs no time, and an Event costs more
        lost.cancel()
        try:
            await lost
        except (DeviceLost, asyncio.CancelledError):
            losses += 1
    return losses
