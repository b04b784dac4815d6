"""Whole processes: the daemon, the field devices it reads, and an independent subscriber.

Each device is a process of its own, so that it can be killed, stopped and started again.
"""

import asyncio
import ipaddress
import json
import os
import signal
import socket
import ssl
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from paho.mqtt.enums import CallbackAPIVersion

from edgetwin.status.control import ask

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 30


async def _ask_until(ask_it, fact, deadline_s):
    """The control socket answers and does not push: it is asked ten times a second."""
    async with asyncio.timeout(deadline_s):
        while True:
            if fact(answer := await ask_it()):
                return answer
            await asyncio.sleep(0.1)


class Gateway:
    """``edgetwin run`` in a process of its own. ``log`` holds every line it said."""

    def __init__(self, process, state):
        self.process = process
        self.state = state
        self.log = []
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self):
        while line := await self.process.stderr.readline():
            self.log.append(line.decode().rstrip())
            self._news.set()
        self._news.set()

    async def says(self, words, deadline_s=DEADLINE_S):
        """Wait for a log line with these words."""
        async with asyncio.timeout(deadline_s):
            while not any(words in line for line in self.log):
                assert not self._reading.done(), f"no {words!r} in:\n" + "\n".join(self.log[-9:])
                self._news.clear()
                await self._news.wait()
        return next(line for line in self.log if words in line)

    def count(self, words):
        """How many log lines hold these words."""
        return sum(words in line for line in self.log)

    async def status(self):
        return await asyncio.to_thread(ask, self.state, {"do": "status"})

    async def tag(self, name):
        """What the twin says of one tag."""
        answer = await asyncio.to_thread(ask, self.state, {"do": "tags", "pattern": name})
        return answer["tags"][0]

    async def set_mode(self, loop, mode):
        """What a person does with ``edgetwin loop``."""
        request = {"do": "mode", "loop": loop, "mode": mode, "by": "a test"}
        return await asyncio.to_thread(ask, self.state, request)

    async def until(self, fact, deadline_s=DEADLINE_S):
        """Ask for status, at most ten times a second, until a fact about it holds."""
        await self.says("running", deadline_s)
        return await _ask_until(self.status, fact, deadline_s)

    async def until_tag(self, name, quality, deadline_s=DEADLINE_S):
        """Wait until a tag's quality begins so."""
        await self.says("running", deadline_s)
        return await _ask_until(
            lambda: self.tag(name), lambda tag: tag["quality"].startswith(quality), deadline_s
        )

    async def end(self, number=signal.SIGTERM, deadline_s=10):
        """End it; gives its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), deadline_s)
        await self._reading
        return code


@pytest.fixture
def run_gateway(tmp_path):
    """Start daemons: ``async with run_gateway(config_text) as gateway``.

    ``through`` are the words of a program that starts it, such as setpriv.
    """

    @asynccontextmanager
    async def run(text, *arguments, state="state", command="run", through=(), **options):
        state = tmp_path / state
        path = state.with_suffix(".yaml")
        path.write_text(f"state: {state}\n{text}")
        process = await asyncio.create_subprocess_exec(
            *(*through, sys.executable, "-m", "edgetwin", command, str(path), *arguments),
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            **options,
        )
        gateway = Gateway(process, state)
        try:
            yield gateway
        finally:
            if process.returncode is None:
                await gateway.end(signal.SIGKILL)

    return run


@pytest.fixture
def edgetwin(tmp_path):
    """Run one command to its end: ``code, said, complained = await edgetwin("check", path)``."""

    async def run(*words):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "edgetwin", *map(str, words)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "none")},
        )
        said, complained = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        return process.returncode, said.decode(), complained.decode()

    return run


class Peer:
    """A device in a process of its own, at one port for all its lives."""

    def __init__(self, words):
        self._words = words
        self._process = None
        self.port = 0

    async def start(self):
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._words(self.port),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._send(self._first_words())
        line = await asyncio.wait_for(self._process.stdout.readline(), DEADLINE_S)
        self.port = int(line.split()[1])

    def _first_words(self):
        return b""

    def _send(self, words):
        self._process.stdin.write(words)

    async def kill(self):
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await process.communicate()

    def freeze(self):
        """It goes silent; its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)


class ModbusDevice(Peer):
    """``modbus_device.py``, and what it can be told."""

    def __init__(self):
        program = str(Path(__file__).with_name("modbus_device.py"))
        super().__init__(lambda port: (program, str(port)))

    async def tell(self, **options):
        """Change what it does; gives what was written to it, and how many requests it had."""
        self._send(json.dumps(options).encode() + b"\n")
        return json.loads(await asyncio.wait_for(self._process.stdout.readline(), DEADLINE_S))


class OpcuaDevice(Peer):
    """The demo's meter: Doubles, by name."""

    def __init__(self, values):
        super().__init__(lambda port: ("-m", "edgetwin.demo.serve", "opcua", "--port", str(port)))
        self._values = values

    def _first_words(self):
        nodes = {name: f"s={name}" for name in self._values}
        return (json.dumps(nodes) + "\n" + json.dumps(self._values) + "\n").encode()

    def show(self, **values):
        self._values |= values
        self._send(json.dumps(self._values).encode() + b"\n")


@pytest.fixture
async def skid():
    """A Modbus device; it listens."""
    device = ModbusDevice()
    await device.start()
    yield device
    await device.kill()


@pytest.fixture
async def meter():
    """An OPC UA device with the nodes Flow and Level; it listens."""
    device = OpcuaDevice({"Flow": 12.5, "Level": 3.0})
    await device.start()
    yield device
    await device.kill()


@pytest.fixture
async def other():
    """A second Modbus device."""
    device = ModbusDevice()
    await device.start()
    yield device
    await device.kill()


@pytest.fixture
async def silent():
    """A Modbus device that takes connections and never answers."""
    device = ModbusDevice()
    await device.start()
    await device.tell(read="silent")
    yield device
    await device.kill()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A folder: a certificate nobody here knows (server.crt, server.der), its key (server.pem)."""
    folder = tmp_path_factory.mktemp("certificate")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    uri = x509.UniformResourceIdentifier("urn:edgetwin:test:server")
    names = [uri, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    start = datetime.now(UTC) - timedelta(hours=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    (folder / "server.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "server.der").write_bytes(made.public_bytes(serialization.Encoding.DER))
    return folder


@pytest.fixture
async def tls_server(certificate):
    """The port of a TLS server with that certificate, which then says nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "server.crt", certificate / "server.pem")

    async def serve(reader, writer):
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def secure_server(certificate):
    """The port of an OPC UA server that signs and encrypts with that certificate."""
    program = Path(__file__).parents[1] / "devices" / "opcua" / "server.py"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(program), str(port), "--pki", str(certificate)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert await asyncio.wait_for(process.stdout.readline(), DEADLINE_S) == b"ready\n"
    yield port
    process.kill()
    await process.communicate()


class Subscriber:
    """Independent of edgetwin: what a cloud application would receive, message by message."""

    def __init__(self, port):
        self.messages = []
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="e2e", clean_session=True)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._loop.call_soon_threadsafe(self._subscribed.set)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _take(self, _client, _data, message):
        self._loop.call_soon_threadsafe(self._keep, message.topic, message.payload)

    def _keep(self, topic, payload):
        if not topic.endswith("/request") and "/ranges/" not in topic:  # our own, and no JSON
            self.messages.append((topic, json.loads(payload)))
        self._news.set()

    def publish(self, topic, payload, **options):
        """Say something, as a cloud application may."""
        self._client.publish(topic, payload, qos=1, **options)

    async def ready(self):
        await asyncio.wait_for(self._subscribed.wait(), 10)

    def of(self, kind):
        """Payloads whose topic ends so."""
        return [payload for topic, payload in self.messages if topic.endswith(f"/{kind}")]

    async def gets(self, kind, fact=lambda _: True, deadline_s=DEADLINE_S):
        """Wait for a message of a kind for which a fact holds."""
        async with asyncio.timeout(deadline_s):
            while not (found := [m for m in self.of(kind) if fact(m)]):
                self._news.clear()
                await self._news.wait()
        return found[0]

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
async def subscriber(mosquitto):
    subscriber = Subscriber(mosquitto.port)
    await subscriber.ready()
    yield subscriber
    subscriber.close()


@asynccontextmanager
async def field(kind, *arguments):
    """The demo's field devices as processes; gives (stdin, modbus port, opcua port)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "edgetwin.demo.serve", kind, *arguments, "--modbus-port", "0", "--opcua-port", "0"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)
        ports = [int(word) for word in line.decode().split()[1:]]
        yield process, *ports
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


@pytest.fixture
def field_devices():
    """``async with field_devices("plant") as (process, modbus_port, opcua_port)``."""
    return field


@pytest.fixture
def shared():
    """The development data beside the checkout; a user's machine has none."""
    folder = Path(os.environ.get("EDGETWIN_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip("the development data (EDGETWIN_SHARED, or ../shared) is not on this machine")
    return folder
