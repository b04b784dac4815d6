"""The demo's devices as real processes, read by the stock clients."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from asyncua.client.client import Client
from pymodbus.client import AsyncModbusTcpClient

from edgetwin.demo.processes import Child

pytestmark = pytest.mark.e2e

URI = "urn:edgetwin:demo:meter"
FLOAT = AsyncModbusTcpClient.DATATYPE.FLOAT32


@asynccontextmanager
async def devices(*arguments: str):
    """A field process and a client to each of its devices."""
    child = await Child.start("edgetwin.demo.serve", *arguments)
    try:
        modbus_port, opcua_port = await child.ports()
        modbus = AsyncModbusTcpClient("127.0.0.1", port=modbus_port, retries=0, timeout=5)
        await modbus.connect()
        try:
            async with Client(f"opc.tcp://127.0.0.1:{opcua_port}/meter") as opcua:
                yield child, modbus, opcua
        finally:
            modbus.close()
    finally:
        assert await child.end() == 0


async def floats(modbus, count):
    answer = await modbus.read_input_registers(0, count=2 * count, device_id=1)
    values = modbus.convert_from_registers(answer.registers, FLOAT)
    return values if isinstance(values, list) else [values]


async def nodes(opcua, *identifiers):
    space = await opcua.get_namespace_index(URI)
    return await opcua.read_values([opcua.get_node(f"ns={space};{one}") for one in identifiers])


async def setpoint(modbus):
    answer = await modbus.read_holding_registers(0, count=2, device_id=1)
    return modbus.convert_from_registers(answer.registers, FLOAT)


async def write(modbus, value):
    return await modbus.write_registers(0, modbus.convert_to_registers(value, FLOAT), device_id=1)


async def until(fact, deadline=5.0):
    """Read until a fact is true; the device's own pace is the only clock."""
    async with asyncio.timeout(deadline):
        while not await fact():
            pass


async def test_one_skid_is_seen_on_both_protocols():
    async with devices("plant", "--every", "0.02") as (_, modbus, opcua):
        pressure, suction, current, valve = await floats(modbus, 4)
        flow, temperature, vibration = await nodes(opcua, "s=Flow", "i=1002", "s=Vibration")
        running = await modbus.read_discrete_inputs(0, count=1, device_id=1)
        assert 3 < pressure < 5.5
        assert 0 < suction < 0.4
        assert 2 < current < 8
        assert 40 < valve < 70
        assert 8 < flow < 16
        assert 20 < temperature < 60
        assert 0 < vibration < 5
        assert running.bits[0]

        assert not (await write(modbus, 1500.0)).isError()
        assert await setpoint(modbus) == 1500

        async def faster():
            (more,) = await nodes(opcua, "s=Flow")
            return more > flow * 1.15 and (await floats(modbus, 1))[0] > pressure + 1

        await until(faster)


async def test_a_speed_outside_the_range_and_an_unknown_register_are_refused():
    async with devices("plant") as (_, modbus, _):
        before = await setpoint(modbus)
        assert (await write(modbus, 2000.0)).exception_code == 3  # illegal data value
        assert (await write(modbus, float("nan"))).exception_code == 3
        assert 600 <= before <= 1750
        beyond = await modbus.read_input_registers(6, count=4, device_id=1)
        assert beyond.exception_code == 2  # illegal data address


async def test_the_pressure_sensor_freezes_and_thaws_on_command():
    async with devices("plant", "--every", "0.01") as (child, modbus, _):
        child.send("freeze")

        async def stands_still():
            seen = {tuple(await floats(modbus, 2)) for _ in range(50)}
            return len({row[0] for row in seen}) == 1 and len({row[1] for row in seen}) > 1

        async def moves():
            return not await stands_still()

        await until(stands_still)
        child.send("heal")
        await until(moves)


async def test_a_table_is_played_row_by_row_on_both_protocols(tmp_path):
    table = tmp_path / "rig.csv"
    rows = [(k, 10.5 + k, 100.0 - k) for k in range(250)]
    text = "at;Current;Volume Flow RateRMS\n" + "".join(f"{a};{b};{c}\n" for a, b, c in rows)
    table.write_text(text)
    arguments = ("--csv", str(table), "--modbus", "Current", "--opcua", "Volume Flow RateRMS")
    async with devices("rows", *arguments, "--every", "0.002") as (child, modbus, opcua):
        node = "s=Volume Flow RateRMS"
        assert await floats(modbus, 1) == [10.5]
        assert await nodes(opcua, node) == [100.0]
        child.send("go")
        async with asyncio.timeout(30):
            assert [await child.line() for _ in range(3)] == ["row 100", "row 200", "done"]
        assert await floats(modbus, 1) == [10.5 + 249]
        assert await setpoint(modbus) == 249

        async def last_row():
            return await nodes(opcua, node) == [100.0 - 249]

        await until(last_row)


async def test_the_devices_end_with_the_stdin_of_their_process():
    child = await Child.start("edgetwin.demo.serve", "plant")
    ports = await child.ports()
    assert await child.end() == 0
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_sigterm_ends_both_processes():
    child = await Child.start("edgetwin.demo.serve", "plant")
    ports = await child.ports()
    child.process.terminate()
    async with asyncio.timeout(30):
        assert await child.process.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", ports[1])
    await child.end()
