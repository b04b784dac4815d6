"""A device for the conformance suite: pymodbus's server on loopback, our driver beside it."""

import asyncio
import contextlib
import importlib.util
import os
import random
import socket
import ssl
import struct
import subprocess
import sys
import time
import tty
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.plan import DevicePlan, ModbusSettings, ScanGroup, TlsForm, Transport, WriteBy
from edgetwin.core.reading import Instant, Scalar
from edgetwin.core.tags import Tag, TagTable, ValueType, WriteLimits
from edgetwin.devices.modbus import ModbusDriver

UNIT = 7
HOLDS = {
    ValueType.INT16: (-1234, ">h", ("", "BA")),
    ValueType.UINT16: (54321, ">H", ("", "BA")),
    ValueType.INT32: (-123456789, ">i", ("", "ABCD", "CDAB", "BADC", "DCBA")),
    ValueType.UINT32: (3456789012, ">I", ("", "CDAB", "BADC", "DCBA")),
    ValueType.FLOAT32: (-12.375, ">f", ("", "CDAB", "BADC", "DCBA")),
    ValueType.INT64: (-(2**62) - 1, ">q", ("", "GHEFCDAB", "BADCFEHG", "HGFEDCBA")),
    ValueType.UINT64: (2**64 - 2, ">Q", ("", "GHEFCDAB", "CDABGHEF", "EFGHABCD")),
    ValueType.FLOAT64: (6.02214076e23, ">d", ("", "GHEFCDAB", "BADCFEHG", "HGFEDCBA")),
    ValueType.BCD16: (0x1234, ">H", ("", "BA")),
    ValueType.BCD32: (0x12345678, ">I", ("", "CDAB")),
}
BCD_VALUE = {ValueType.BCD16: 1234.0, ValueType.BCD32: 12345678.0}


@dataclass
class Memory:
    """What the server holds and what the driver shall read, built together."""

    holding: dict[int, int] = field(default_factory=dict)
    tags: list[Tag] = field(default_factory=list)
    expected: list[Scalar | None] = field(default_factory=list)

    def add(self, address: ModbusAddress, kind: ValueType, expected: Scalar | None, **more) -> None:
        name = f"skid/{kind}-{address}"
        tag = Tag(len(self.tags), name, type=kind, device=0, address=address, **more)
        self.tags.append(tag)
        self.expected.append(expected)

    def put(self, offset: int, raw: bytes) -> None:
        for i in range(0, len(raw), 2):
            self.holding[offset + i // 2] = int.from_bytes(raw[i : i + 2], "big")


def reorder(plain: bytes, order: str) -> bytes:
    return bytes(plain["ABCDEFGH".index(letter)] for letter in order) if order else plain


def build_memory() -> Memory:
    """One tag of every type and order, scaled ones, bits, text, and one that does not exist."""
    memory = Memory()
    limits = WriteLimits(-1e30, 1e30)
    for i in range(20):
        address = ModbusAddress(Table.COIL, 32 + i)
        memory.add(address, ValueType.BIT, float(i % 3 == 0), write=limits)
    for i in range(20):
        memory.add(ModbusAddress(Table.DISCRETE, 16 + i), ValueType.BIT, float(i % 2))
    for i in range(150):
        memory.add(ModbusAddress(Table.INPUT, 100 + i), ValueType.UINT16, i * 0.5 - 40, **SCALED)
    at = 10
    for kind, (held, code, orders) in HOLDS.items():
        for order in orders:
            raw = struct.pack(code, held)
            memory.put(at, reorder(raw, order))
            value = BCD_VALUE.get(kind, held if "64" in kind.value else float(held))
            value = float(value) if kind is ValueType.FLOAT64 else value
            address = ModbusAddress(Table.HOLDING, at)
            memory.add(address, kind, value, order=order, write=limits)
            at += kind.registers + 1
            memory.put(at - 1, b"\xde\xad")
    memory.put(at, b"\x80\x01")
    for bit in (0, 1, 15):
        address = ModbusAddress(Table.HOLDING, at, bit)
        memory.add(address, ValueType.BIT, float(bit != 1), write=limits)
    memory.put(at + 1, b"P-101 \0\0")
    memory.add(ModbusAddress(Table.HOLDING, at + 1), ValueType.TEXT, "P-101", length=4)
    memory.put(at + 5, struct.pack(">h", 405))
    scaled = {"scale": 0.1, "offset": -10.0, "write": limits}
    memory.add(ModbusAddress(Table.HOLDING, at + 5), ValueType.INT16, 30.5, **scaled)
    memory.add(ModbusAddress(Table.HOLDING, at + 7), ValueType.UINT16, None)  # does not exist
    memory.put(at + 9, b"\x00\x07")
    memory.add(ModbusAddress(Table.HOLDING, at + 9), ValueType.UINT16, 7.0, write=limits)
    return memory


SCALED = {"scale": 0.5, "offset": -40.0}


def sim_device(memory: Memory, action) -> SimDevice:
    bits, registers = DataType.BITS, DataType.REGISTERS
    last = max(memory.holding)
    held = [
        SimData(at, values=word, datatype=registers, readonly=at == last)
        for at, word in sorted(memory.holding.items())
    ]
    return SimDevice(
        UNIT,
        simdata=(
            [SimData(32, values=[i % 3 == 0 for i in range(32)], datatype=bits)],
            [SimData(16, values=[i % 2 == 1 for i in range(32)], datatype=bits)],
            held,
            [SimData(100, values=list(range(150)), datatype=registers)],
        ),
        action=action,
    )


def instant() -> Instant:
    return Instant(time.monotonic_ns(), time.time_ns())


class SerialServer:
    """A serial port whose far end is a TCP server that speaks RTU: a pty and two pumps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: list[int] = []

    async def start(self, port: int) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._held = [master, slave]
        self.path.symlink_to(os.ttyname(slave))
        asyncio.get_running_loop().add_reader(master, self._to_server)
        self._pump = asyncio.create_task(self._to_port())

    def _to_server(self) -> None:
        self._writer.write(os.read(self._held[0], 4096))

    async def _to_port(self) -> None:
        while data := await self._reader.read(4096):
            os.write(self._held[0], data)

    async def stop(self) -> None:
        """As when the adapter is pulled out: the port hangs up, and its name is gone."""
        if not self._held:
            return
        self._pump.cancel()
        asyncio.get_running_loop().remove_reader(self._held[0])
        self.path.unlink()
        self._writer.close()
        while self._held:
            os.close(self._held.pop())


class PymodbusBench:
    """The conformance suite's ``Bench`` for every transport, against pymodbus's server."""

    polled = True

    def __init__(self, conformance: ModuleType, port: int, settings: dict, pki: Path) -> None:
        memory = build_memory()
        self.memory = memory
        self.port = port
        self.pki = pki
        self.transport = settings.get("transport", Transport.TCP)
        host = "127.0.0.1"
        if self.transport is Transport.SERIAL:
            host = str(pki / f"tty{port}")
            self.serial = SerialServer(Path(host))
        if self.transport is Transport.TLS:
            files = (pki / name for name in ("ca.pem", "client.pem", "client.key"))
            settings["tls"] = TlsForm(*files)
        self.tags = TagTable(tuple(memory.tags))
        self.expected = {i: v for i, v in enumerate(memory.expected) if v is not None}
        self.missing = memory.expected.index(None)
        self.sink = conformance.Recorder()
        self.now = instant
        modbus = ModbusSettings(host, port, UNIT, **settings)
        third = len(memory.tags) // 3
        spans = (range(third), range(third, len(memory.tags)))
        groups = tuple(ScanGroup(n, 100_000_000, span) for n, span in enumerate(spans))
        self.plan = DevicePlan(0, "skid", "modbus", modbus, groups)
        self.driver = ModbusDriver(self.plan, self.tags, self.sink, instant)
        self.writes = tuple(self._writes())
        last = len(memory.tags) - 1
        self.read_only = (last, 9.0)
        self.unfit = (self._of(ValueType.INT16), 40000.0)
        self._server: ModbusTcpServer | None = None
        self._thaw = asyncio.Event()
        self._thaw.set()

    def _of(self, kind: ValueType) -> int:
        return next(t.index for t in self.tags if t.type is kind and t.write is not None)

    def _writes(self):
        values = (0.0, -7.0, 1.0, 12.0)
        for tag in self.tags:
            if tag.write is None or tag.index == len(self.tags) - 1:
                continue
            for value in values:
                unsigned = tag.type.name.startswith(("U", "BCD")) or tag.type is ValueType.BIT
                if value < 0 and unsigned:
                    continue
                few = tag.address.bit >= 0 or not tag.index % 10
                if tag.type is ValueType.BIT and (value > 1 or not few):
                    continue
                yield tag.index, value

    async def _act(self, *_):
        await self._thaw.wait()

    async def start_server(self) -> None:
        self._thaw.set()
        device = sim_device(self.memory, self._act)
        address = ("127.0.0.1", self.port)
        framer = FramerType.RTU if self.transport.is_rtu else FramerType.SOCKET
        if self.transport is Transport.TLS:
            context = server_context(self.pki)
            self._server = ModbusTlsServer(device, framer=framer, address=address, sslctx=context)
        else:
            self._server = ModbusTcpServer(device, framer=framer, address=address)
        await self._server.serve_forever(background=True)
        if self.transport is Transport.SERIAL:
            await self.serial.start(self.port)

    async def stop_server(self) -> None:
        self._thaw.set()
        if self.transport is Transport.SERIAL:
            await self.serial.stop()
        server, self._server = self._server, None
        if server is not None:
            await server.shutdown()

    async def freeze_server(self) -> None:
        self._thaw.clear()


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities; one has signed certificates for the server and for its client."""
    folder = tmp_path_factory.mktemp("modbus-pki")

    def openssl(words: str) -> None:
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)

    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    for ca in ("ca", "other"):
        openssl(f"req -x509 {key} -keyout {ca}.key -out {ca}.pem -days 30 -subj /CN={ca}")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:plc-7\n")
    for name, days in (("server", 30), ("expired", -1), ("client", 30)):
        openssl(f"req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        sign = f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names"
        openssl(f"{sign} -days {days} -out {name}.pem")
    return folder


def server_context(pki: Path, name: str = "server") -> ssl.SSLContext:
    """As Modbus/TCP Security wants it: the client has to show a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pki / "ca.pem")
    context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def free_port() -> int:
    """A port below the ephemeral range, so that no outgoing connection takes it meanwhile."""
    while True:
        port = random.SystemRandom().randrange(20000, 30000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture(
    params=[
        pytest.param({}, id="one-at-a-time"),
        pytest.param({"pause": 200_000, "max_registers": 40, "max_gap": 0}, id="small-and-slow"),
        pytest.param({"transport": Transport.TLS}, id="tls"),
        pytest.param({"transport": Transport.RTU_TCP}, id="rtu-over-tcp"),
        pytest.param({"transport": Transport.SERIAL}, id="serial"),
        pytest.param({"write_by": WriteBy.MULTIPLE}, id="writes-by-15-and-16"),
        pytest.param({"write_by": WriteBy.COMBINED}, id="writes-by-23"),
    ]
)
async def bench(
    request: pytest.FixtureRequest, conformance: ModuleType, free_port: int, pki: Path
) -> AsyncIterator[PymodbusBench]:
    settings = {"timeout": 300_000_000, **request.param}
    bench = PymodbusBench(conformance, free_port, settings, pki)
    await bench.start_server()
    yield bench
    await bench.driver.close()
    await bench.stop_server()


@pytest.fixture(name="instant")
def _instant():
    return instant


@pytest.fixture(scope="module")
def server_port() -> Iterator[int]:
    """pymodbus's server in a process of its own: see server_process.py."""
    script = Path(__file__).with_name("server_process.py")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


def _load(name: str) -> ModuleType:
    """A module beside this file, by its path: tests have no packages."""
    path = Path(__file__).with_name(f"{name}.py")
    name = f"edgetwin_{name}_modbus"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def virtual() -> ModuleType:
    """The module virtual.py."""
    return _load("virtual")


@pytest.fixture(scope="session")
def campaign(virtual: ModuleType) -> ModuleType:
    """The module campaign.py."""
    return _load("campaign")
