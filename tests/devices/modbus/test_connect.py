"""Connecting, and what is said when it fails: each sentence names place, cause and cure."""

import asyncio
import errno
import socket

import pytest

from edgetwin.core.errors import ConfigError, DeviceLost
from edgetwin.core.plan import OpcuaSettings
from edgetwin.core.tags import TagTable
from edgetwin.devices.modbus import ModbusDriver


@pytest.fixture
def lone(virtual):
    """A driver of one register at any host."""

    def make(host, port=502, timeout=300_000_000, unit=1):
        tags = virtual.holding_tags([1])
        settings = virtual.ModbusSettings(host, port, unit, timeout)
        group = virtual.ScanGroup(0, 10**8, range(1))
        plan = virtual.DevicePlan(0, "pump", "modbus", settings, (group,))
        return ModbusDriver(plan, tags, None, lambda: None)

    return make


async def refusal(driver):
    with pytest.raises(DeviceLost) as lost:
        await driver.connect()
    return str(lost.value)


async def test_a_port_where_nobody_listens_is_told_with_the_cure(lone):
    with socket.socket() as bound:  # bound but not listening: refuses
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        text = await refusal(lone("127.0.0.1", port))
    assert text.startswith(f"pump at 127.0.0.1:{port}: the connection is refused")
    assert "Check the port (most devices: 502)" in text


async def test_an_address_that_never_answers_is_given_up_at_the_deadline(lone, monkeypatch):
    async def never(*_, **__):
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    text = await refusal(lone("127.0.0.1", timeout=50_000_000))
    assert "nothing answered within 0.05 s. Check that the device has power" in text


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route to it. Check `address`"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no route to it"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied. Check"),
    ],
)
async def test_what_the_network_says_is_put_in_words(lone, monkeypatch, error, words):
    async def fail(*_, **__):
        raise error

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", fail)
    assert words in await refusal(lone("127.0.0.1"))


async def test_a_name_that_does_not_exist_is_told_as_such(lone, monkeypatch):
    async def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    text = await refusal(lone("pump-plc"))
    assert (
        "pump at pump-plc:502: the name cannot be resolved. Check how `address` is written" in text
    )


async def test_lost_raises_at_once_where_there_never_was_a_connection(lone):
    with pytest.raises(DeviceLost, match="never connected"):
        await lone("127.0.0.1").lost()


async def test_the_socket_sends_at_once_and_notices_a_dead_network(lone):
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    driver = lone("127.0.0.1", server.sockets[0].getsockname()[1])
    tuned = []
    loop = asyncio.get_running_loop()
    real = loop.create_connection

    async def watch(*args, **more):
        transport, protocol = await real(*args, **more)
        tuned.append(transport.get_extra_info("socket"))
        return transport, protocol

    loop.create_connection = watch
    await driver.connect()
    (sock,) = tuned
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 900
    await driver.close()
    server.close()
    await server.wait_closed()


def test_settings_of_another_driver_are_a_mistake_of_the_caller(virtual):
    plan = virtual.DevicePlan(0, "pump", "modbus", OpcuaSettings("opc.tcp://x"), ())
    with pytest.raises(TypeError, match="pump: settings are OpcuaSettings"):
        ModbusDriver(plan, TagTable(()), None, lambda: None)


def test_a_tag_longer_than_a_request_stops_the_start(virtual):
    tags = virtual.holding_tags([1])
    long = virtual.Tag(0, "pump/x", type=virtual.ValueType.FLOAT64, address=tags[0].address)
    settings = virtual.ModbusSettings("h", max_registers=2)
    plan = virtual.DevicePlan(0, "pump", "modbus", settings, (virtual.ScanGroup(0, 1, range(1)),))
    with pytest.raises(ConfigError, match="pump/x is 4 registers long"):
        ModbusDriver(plan, TagTable((long,)), None, lambda: None)
