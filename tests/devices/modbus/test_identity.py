"""What is written is what the device holds and what is read: each type, order, way and extreme.

On the wire, against a server in a process of its own. What it holds is looked at by another client.
"""

import random
import struct
from itertools import islice

import pytest
from pymodbus.client import AsyncModbusTcpClient

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.plan import DevicePlan, ModbusSettings, ScanGroup, WriteBy
from edgetwin.core.reading import WriteOutcome
from edgetwin.core.tags import Tag, TagTable, ValueType, WriteLimits
from edgetwin.devices.modbus import ModbusDriver

ORDERS = {
    1: ["AB", "BA"],
    2: ["ABCD", "CDAB", "BADC", "DCBA"],
    4: ["ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA", "CDABGHEF", "EFGHABCD"],
}
CODES = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q"}
CODES |= {"uint64": ">Q", "float32": ">f", "float64": ">d"}
TYPES = [ValueType(name) for name in [*CODES, "bcd16", "bcd32"]]
TURNS = 12


def extremes(kind):
    if kind.value.startswith("float"):
        return [0.0, -0.0, -1.5, 1.0, 2.0**-100, -3.25 * 2.0**100]
    if kind.value.startswith("bcd"):
        return [0, 1, 10 ** (4 * kind.registers) - 1]
    bits = 16 * kind.registers
    if kind.value.startswith("u"):
        return [0, False, True, 1 << (bits - 1), (1 << bits) - 1 if bits < 64 else (1 << 64) - 2048]
    return [0, False, -1, -(1 << (bits - 1)), (1 << (bits - 1)) - (1 if bits < 64 else 1024)]


def some(kind, rng):
    """The extremes, then chance; whole numbers that float64 holds."""
    yield from extremes(kind)
    while True:
        if kind.value.startswith("float"):
            yield struct.unpack(">f", struct.pack(">f", rng.uniform(-1e6, 1e6)))[0]
        elif kind.value.startswith("bcd"):
            yield rng.randrange(10 ** (4 * kind.registers))
        else:
            low = 0 if kind.value.startswith("u") else -(1 << min(16 * kind.registers - 1, 53))
            yield rng.randrange(low, 1 << min(16 * kind.registers - (low < 0), 53))


def plain_bytes(kind, value):
    if kind.value.startswith("bcd"):
        return bytes.fromhex(f"{int(value):0{4 * kind.registers}d}")
    code = CODES[kind.value]
    return struct.pack(code, value if code in ">f>d" else int(value))


def words_of(tag, value):
    plain = plain_bytes(tag.type, value)
    raw = bytes(plain["ABCDEFGH".index(letter)] for letter in tag.order)
    return list(struct.unpack(f">{tag.registers}H", raw))


def build_tags():
    limits, tags, at = WriteLimits(-1e300, 1e300), [], 0
    for kind in TYPES:
        for order in ORDERS[kind.registers]:
            address = ModbusAddress(Table.HOLDING, at)
            more = {"order": order, "address": address, "device": 0, "write": limits}
            tags.append(Tag(len(tags), f"plc/{kind}-{order}", type=kind, **more))
            at += kind.registers
    for bit in range(16):
        address = ModbusAddress(Table.HOLDING, at, bit)
        name, kind = f"plc/bit-{bit}", ValueType.BIT
        tags.append(Tag(len(tags), name, type=kind, address=address, device=0, write=limits))
    return TagTable(tuple(tags))


@pytest.fixture
async def rig(server_port, conformance, request):
    tags, sink = build_tags(), conformance.Recorder()
    settings = ModbusSettings("127.0.0.1", server_port, 7, write_by=request.param)
    group = ScanGroup(0, 100_000_000, range(len(tags)))
    now = request.getfixturevalue("instant")
    driver = ModbusDriver(DevicePlan(0, "plc", "modbus", settings, (group,)), tags, sink, now)
    await driver.connect()
    other = AsyncModbusTcpClient("127.0.0.1", port=server_port)
    await other.connect()
    yield driver, tags, sink, other
    other.close()
    await driver.close()


async def written(conformance, rig, requests):
    driver, tags, sink, _ = rig
    sink.results.clear()
    for tag, value in requests.items():
        driver.start_write(conformance.request_for(tag, value))
    await sink.until(lambda: len(sink.results) == len(requests), "every result")
    for result in sink.results:
        value = requests[result.tag]
        assert result.outcome is WriteOutcome.WRITTEN, f"{tags[result.tag].name} {value}: {result}"
        assert result.read_back == value


async def read(rig):
    driver, tags, sink, _ = rig
    sink.heard.clear()
    driver.start_scan(0)
    await sink.until(lambda: len(sink.heard) == len(tags), "a whole scan")


@pytest.mark.parametrize("rig", list(WriteBy), indirect=True)
async def test_what_is_written_is_held_and_read_for_every_type_and_order(rig, conformance):
    _, tags, sink, other = rig
    rng = random.Random(11)
    numbers = [tag for tag in tags if tag.type is not ValueType.BIT]
    rows = {tag.index: list(islice(some(tag.type, rng), TURNS)) for tag in numbers}
    for turn in range(TURNS):
        wanted = {tag.index: rows[tag.index][turn] for tag in numbers}
        await written(conformance, rig, wanted)
        await read(rig)
        for tag in numbers:
            value = wanted[tag.index]
            assert sink.values[tag.index] == value, tag.name
            answer = await other.read_holding_registers(
                tag.address.offset, count=tag.registers, device_id=7
            )
            assert answer.registers == words_of(tag, value), f"{tag.name} {value}"


@pytest.mark.parametrize("rig", [WriteBy.SINGLE], indirect=True)
async def test_one_bit_of_a_register_is_written_and_its_15_neighbours_stay(rig, conformance):
    _, tags, _, other = rig
    bits = [tag for tag in tags if tag.type is ValueType.BIT]
    place, rng, word = bits[0].address.offset, random.Random(5), 0
    for _ in range(60):
        tag, on = rng.choice(bits), rng.random() < 0.5
        await written(conformance, rig, {tag.index: float(on)})
        word = word | 1 << tag.address.bit if on else word & ~(1 << tag.address.bit)
        answer = await other.read_holding_registers(place, count=1, device_id=7)
        assert answer.registers == [word]
