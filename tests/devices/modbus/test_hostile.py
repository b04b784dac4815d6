"""No reply of a hostile device is ever a wrong good value, and a good reply after it is read."""

import asyncio
import contextlib
import os
import struct
from collections.abc import AsyncIterator

import pytest

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.errors import DeviceLost
from edgetwin.core.plan import DevicePlan, ModbusSettings, ScanGroup
from edgetwin.core.quality import Quality
from edgetwin.core.tags import Tag, TagTable, ValueType
from edgetwin.devices.modbus import ModbusDriver

UNIT = 1


def resize(reply, data, count=None):
    """The reply with other data, its lengths honest unless ``count`` lies."""
    said = len(data) if count is None else count
    return reply[:4] + struct.pack(">H", 3 + len(data)) + reply[6:8] + bytes([said]) + data


def exception(reply, code, function=0x83):
    return reply[:4] + bytes([0, 3, reply[6], function, code])


# name → what the device sends in the place of the right 13-byte reply (two registers, function 3)
REPLIES = {
    "wrong id": lambda r: bytes([r[0] ^ 0x40]) + r[1:],
    "id with its bytes swapped": lambda r: r[1::-1] + r[2:],
    "id 0": lambda r: b"\0\0" + r[2:],
    "id of the request before": lambda r: struct.pack(">H", int.from_bytes(r[:2]) - 1) + r[2:],
    "wrong unit": lambda r: r[:6] + b"\x09" + r[7:],
    "unit 0": lambda r: r[:6] + b"\0" + r[7:],
    "wrong protocol id": lambda r: r[:2] + b"\x12\x34" + r[4:],
    "short frame": lambda r: r[:-2],
    "header only": lambda r: r[:6],
    "length 0": lambda r: r[:4] + b"\0\0" + r[6:],
    "length 65535": lambda r: r[:4] + b"\xff\xff" + r[6:],
    "length one too long": lambda r: r[:4] + b"\0\x08" + r[6:],
    "length one too short": lambda r: r[:4] + b"\0\x06" + r[6:],
    "byte count lies upwards": lambda r: resize(r, r[9:], 6),
    "byte count lies downwards": lambda r: resize(r, r[9:], 2),
    "function 4 for a request of 3": lambda r: r[:7] + b"\x04" + r[8:],
    "no register": lambda r: resize(r, b""),
    "one register instead of two": lambda r: resize(r, r[9:11]),
    "five registers instead of two": lambda r: resize(r, r[9:] + b"\0\1\0\2\0\3"),
    "odd byte count": lambda r: resize(r, r[9:12]),
    "garbage": lambda r: os.urandom(40),
    "junk before the reply": lambda r: b"\xde\xad\xbe" + r,
    "junk behind the reply": lambda r: r + b"\xde\xad\xbe\xef",
    "text": lambda r: b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "an RTU frame": lambda r: bytes([UNIT, 3, 4]) + r[9:] + b"\x12\x34",
    "the request echoed": lambda r: r[:4] + b"\0\6" + r[6:8] + b"\0\0\0\2",
    "exception device failure": lambda r: exception(r, 4),
    "exception busy": lambda r: exception(r, 6),
    "exception with an unknown code": lambda r: exception(r, 77),
    "exception of another function": lambda r: exception(r, 2, 0x84),
    "long exception": lambda r: r[:4] + b"\0\4" + r[6:7] + b"\x83\x02\x02",
    "nothing": lambda r: b"",
    "half a reply, then a whole one": lambda r: r[:11] + r,
    "flood of unasked frames": lambda r: (bytes([r[0] ^ 0x40]) + r[1:]) * 2000,
    "a megabyte of junk": lambda r: os.urandom(1 << 20),
}
HARMLESS = {"twice the same reply": lambda r: r + r}


class Hostile:
    """A Modbus TCP server that spoils its replies for as long as it is told to.

    Register 0 counts the requests, register 1 is its complement: an old answer is known as such.
    """

    def __init__(self) -> None:
        self.spoil = None
        self.asked = 0

    async def serve(self, reader, writer) -> None:
        try:
            while request := await reader.readexactly(12):
                self.asked += 1
                data = struct.pack(">HH", self.asked & 0xFFFF, ~self.asked & 0xFFFF)
                reply = request[:4] + b"\0\x07" + request[6:8] + b"\x04" + data
                await self._send(writer, reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _send(self, writer, reply) -> None:
        if asyncio.iscoroutinefunction(self.spoil):
            await self.spoil(writer, reply)
        else:
            writer.write(self.spoil(reply) if self.spoil else reply)
        await writer.drain()


async def drip(writer, reply):
    for byte in reply:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.02)


async def late(writer, reply):
    await asyncio.sleep(0.12)
    writer.write(reply)


async def hang_up(writer, reply):
    writer.write(reply[:9])
    writer.close()


async def reset(writer, reply):
    writer.transport.abort()


TIMED = {"slow drip": drip, "late reply": late, "hang up in a reply": hang_up, "reset": reset}


@pytest.fixture
async def hostile(conformance) -> AsyncIterator[tuple]:
    device = Hostile()
    server = await asyncio.start_server(device.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tags = TagTable(
        tuple(
            Tag(i, f"dev/{i}", type=ValueType.UINT16, address=ModbusAddress(Table.HOLDING, i))
            for i in range(2)
        )
    )
    settings = ModbusSettings("127.0.0.1", port, UNIT, timeout=80_000_000)
    plan = DevicePlan(0, "dev", "modbus", settings, (ScanGroup(0, 10**8, range(2)),))
    sink = conformance.Recorder()
    driver = ModbusDriver(plan, tags, sink, lambda: None)
    yield device, driver, sink
    await driver.close()
    server.close()
    await server.wait_closed()


async def reconnect(driver):
    """A busy machine may not answer the knock in time: knock again, as a supervisor does."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(DeviceLost):
                return await driver.connect()


async def scan(device, driver, sink):
    """One scan, over a new connection where the last was given up. Its quality; good means true."""
    lost = asyncio.ensure_future(driver.lost())
    await asyncio.sleep(0)
    if lost.done():
        assert isinstance(lost.exception(), DeviceLost)
        await reconnect(driver)
    else:
        lost.cancel()
    sink.heard.clear()
    sink.values.clear()
    assert driver.start_scan(0)
    await sink.until(lambda: len(sink.heard) == 2, "the readings of both tags")
    if sink.quality[0] is Quality.GOOD:
        wanted = {0: float(device.asked & 0xFFFF), 1: float(~device.asked & 0xFFFF)}
        assert sink.values == wanted, "an old or spoiled reply was taken for the answer"
    return sink.quality[0]


@pytest.mark.parametrize("name", [*REPLIES, *TIMED])
async def test_a_spoiled_reply_is_never_good_and_the_next_right_one_is_read(hostile, name):
    device, driver, sink = hostile
    device.spoil = (REPLIES | TIMED)[name]
    for _ in range(4):
        assert (await scan(device, driver, sink)).is_bad, name
    device.spoil = None
    good = 0
    for _ in range(20):  # two would do on a quiet machine
        good = good + 1 if (await scan(device, driver, sink)).is_good else 0
        if good == 2:
            return
    raise AssertionError("right replies are not read any more")


@pytest.mark.parametrize("name", HARMLESS)
async def test_a_harmless_oddity_costs_no_value(hostile, name):
    device, driver, sink = hostile
    device.spoil = HARMLESS[name]
    good = [await scan(device, driver, sink) is Quality.GOOD for _ in range(8)]
    assert sum(good) >= 4, "on a quiet machine: all"


@pytest.mark.parametrize(
    ("seed", "wanted"),
    [
        (1, {"in_flight": 1}),
        (2, {"in_flight": 4}),
        (3, {"framing": "rtu"}),
        (4, {"framing": "rtu", "alike": True}),
    ],
    ids=["tcp", "tcp-4-in-flight", "rtu", "rtu-all-alike"],
)
def test_10000_reads_with_every_fault_at_random_give_no_wrong_good_value(
    campaign, seed, wanted, caplog
):
    caplog.set_level("CRITICAL")
    report = campaign.campaign(10_000, seed, **wanted)
    assert report.wrong == []
    assert report.good > 5_000, "and the right ones are still read"
    assert len(report.spoiled) >= 18


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
def test_10000_malformed_replies_are_never_good_and_crash_nothing(campaign, framing, caplog):
    caplog.set_level("CRITICAL")
    report = campaign.campaign(10_000, 5, framing=framing, mangled=True)
    assert (report.good, report.wrong) == (0, [])
    assert report.bad >= 10_000
