"""What is written is what the device holds and what is read: each type, order, way and extreme.

On the wire, against a server in a process of its own. What it holds is looked at by another client.
"""

import contextlib
import random
import struct
from dataclasses import replace
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


@contextlib.asynccontextmanager
async def connected(request, tags, by):
    """A driver of these tags, a sink, and another client of the same server."""
    port, sink = (
        request.getfixturevalue("server_port"),
        request.getfixturevalue("conformance").Recorder(),
    )
    settings = ModbusSettings("127.0.0.1", port, 7, write_by=by)
    bits = sum(tag.address.table is Table.COIL for tag in tags)
    parts = (range(len(tags) - bits), range(len(tags) - bits, len(tags)))
    groups = tuple(ScanGroup(n, 100_000_000, part) for n, part in enumerate(parts) if part)
    now = request.getfixturevalue("instant")
    driver = ModbusDriver(DevicePlan(0, "plc", "modbus", settings, groups), tags, sink, now)
    await driver.connect()
    other = AsyncModbusTcpClient("127.0.0.1", port=port)
    await other.connect()
    yield driver, tags, sink, other
    other.close()
    await driver.close()


@pytest.fixture
async def rig(request):
    async with connected(request, build_tags(), request.param) as made:
        yield made


@pytest.fixture
async def arrays(request):
    async with connected(request, build_arrays(), request.param) as made:
        yield made


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
    for group in {tag.address.table is Table.COIL for tag in tags}:
        driver.start_scan(int(group))
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


# ---------------------------------------------------------------- arrays

N = 3  # elements of each array of registers
COILS = 19


def array(name, first, size, tag):
    """``size`` tags like this one, side by side."""
    table = tag.address.table
    places = [ModbusAddress(table, first + n * tag.registers) for n in range(size)]
    more = {"device": 0, "write": tag.write, "array": f"plc/{name}"}
    return [
        replace(tag, index=tag.index + n, name=f"plc/{name}_{n}", address=place, **more)
        for n, place in enumerate(places)
    ]


def build_arrays():
    limits, tags, at = WriteLimits(-1e300, 1e300), [], 0
    for kind in TYPES:
        for order in ORDERS[kind.registers]:
            place = ModbusAddress(Table.HOLDING, at)
            first = Tag(len(tags), "", type=kind, order=order, address=place, write=limits)
            tags += array(f"{kind}-{order}", at, N, first)
            at += N * kind.registers
    place = ModbusAddress(Table.COIL, 5)
    first = Tag(len(tags), "", type=ValueType.BIT, address=place, write=limits)
    tags += array("coils", 5, COILS, first)
    return TagTable(tuple(tags))


async def array_written(conformance, rig, tags, values):
    driver, _, sink, _ = rig
    sink.results.clear()
    pairs = zip(tags, values, strict=True)
    driver.start_array([conformance.request_for(t, float(v), number=t + 1) for t, v in pairs])
    await sink.until(lambda: len(sink.results) == len(tags), "every result")
    assert [r.tag for r in sink.results] == list(tags)
    for result, value in zip(sink.results, values, strict=True):
        assert (result.outcome, result.read_back) == (WriteOutcome.WRITTEN, value), result


@pytest.mark.parametrize("arrays", list(WriteBy), indirect=True)
async def test_arrays_of_every_type_and_order_are_held_and_read_as_written(arrays, conformance):
    _, table, sink, other = arrays
    rng = random.Random(12)
    names = list(dict.fromkeys(tag.array for tag in table))
    rows = {name: some(table[table.elements(name)[0]].type, rng) for name in names[:-1]}
    for _ in range(4):
        wanted = {name: list(islice(rows[name], N)) for name in names[:-1]}
        wanted["plc/coils"] = [rng.random() < 0.5 for _ in range(COILS)]
        for name, values in wanted.items():
            await array_written(conformance, arrays, table.elements(name), values)
        await read(arrays)
        for name, values in wanted.items():
            tags = [table[index] for index in table.elements(name)]
            assert [sink.values[tag.index] for tag in tags] == values, name
            first, unit = tags[0].address.offset, {"device_id": 7}
            if name == "plc/coils":
                answer = await other.read_coils(first, count=COILS, **unit)
                assert answer.bits[:COILS] == values
                continue
            answer = await other.read_holding_registers(first, count=N * tags[0].registers, **unit)
            pairs = zip(tags, values, strict=True)
            assert answer.registers == [w for t, v in pairs for w in words_of(t, v)]
