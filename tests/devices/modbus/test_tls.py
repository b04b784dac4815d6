"""Modbus/TCP Security: the device is verified, we show our certificate, errors name the cause."""

import asyncio
import contextlib
import re
import ssl

import pytest

from edgetwin.core.errors import DeviceLost
from edgetwin.core.plan import DevicePlan, ModbusSettings, ScanGroup, TlsForm, Transport
from edgetwin.devices.modbus import ModbusDriver


def context(pki, name):
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pki / "ca.pem")
    made.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    made.verify_mode = ssl.CERT_REQUIRED
    return made


@pytest.fixture
async def serve(pki):
    """``port = await serve(certificate)``; None: no TLS at all."""
    servers = []

    async def answer(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while request := await reader.readexactly(12):
                writer.write(request[:4] + b"\0\5" + request[6:8] + b"\2\1\1")
        writer.close()

    async def start(name="server"):
        made = context(pki, name) if name else None
        servers.append(await asyncio.start_server(answer, "127.0.0.1", 0, ssl=made))
        return servers[-1].sockets[0].getsockname()[1]

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def made(pki, virtual, conformance):
    """``made(port, …)``: a driver with the right files, or others."""
    drivers = []

    def make(port, host="127.0.0.1", **files):
        names = {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key", **files}
        tls = {
            key: pki / value if key.endswith("_file") and value else value
            for key, value in names.items()
        }
        settings = ModbusSettings(
            host, port, 1, 2_000_000_000, transport=Transport.TLS, tls=TlsForm(**tls)
        )
        plan = DevicePlan(0, "plc", "modbus", settings, (ScanGroup(0, 10**8, range(1)),))
        sink = conformance.Recorder()
        drivers.append(ModbusDriver(plan, virtual.holding_tags([1]), sink, lambda: None))
        return drivers[-1], sink

    yield make
    for driver in drivers:
        await driver.close()


async def reads(driver, sink):
    await driver.connect()
    driver.start_scan(0)
    await sink.until(lambda: sink.values.get(0) == 257.0, "the register")


async def refusal(driver):
    """Where TLS 1.3 refuses our certificate, it does so behind the handshake."""
    try:
        await driver.connect()
        driver.start_scan(0)
        await asyncio.wait_for(driver.lost(), 5)
    except DeviceLost as lost:
        return str(lost)
    raise AssertionError("it was not refused")


async def test_a_device_that_is_verified_and_knows_us_is_read(serve, made):
    await reads(*made(await serve()))


async def test_the_name_in_the_certificate_may_be_another_than_the_address(serve, made):
    await reads(*made(await serve(), server_name="plc-7"))


async def test_any_certificate_is_accepted_only_when_told_to_and_with_a_warning(
    serve, made, caplog
):
    await reads(*made(await serve("expired"), any_certificate=True))
    assert "any certificate is accepted" in caplog.text


@pytest.mark.parametrize(
    ("server", "wanted", "words"),
    [
        ("server", {"ca_file": "other.pem"}, "not accepted: .* as `ca_file`"),
        ("server", {"ca_file": None}, "not accepted: .* as `ca_file`"),
        ("expired", {}, "expired.*out of date, or this machine's clock"),
        ("server", {"server_name": "plc-8"}, "Write the name that is in it as `server_name`"),
        ("server", {"cert_file": None, "key_file": None}, "Check `cert_file` and `key_file`"),
        (
            "server",
            {"cert_file": "lost.pem"},
            "lost.pem or its key .* cannot be used: No such file",
        ),
        ("server", {"key_file": "server.key"}, "belong together"),
        ("server", {"ca_file": "lost.pem"}, "lost.pem cannot be used: No such file"),
        (None, {}, "its port speaks TLS"),
    ],
    ids=["authority", "system", "expired", "name", "ours", "file", "key", "ca-file", "plain"],
)
async def test_what_is_wrong_with_tls_is_told_with_its_cure(serve, made, server, wanted, words):
    driver, _ = made(await serve(server), **wanted)
    text = await refusal(driver)
    assert text.startswith("plc at 127.0.0.1:")
    assert re.search(words, text), text
