"""The embedded broker, and the line to it that can be cut."""

import asyncio
import contextlib
import queue

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgetwin.demo.line import Line
from edgetwin.demo.processes import Child

LATE = 10


async def echo(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
async def target():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_bytes_pass_both_ways_and_a_half_close_ends_the_connection(target):
    line = Line(target)
    reader, writer = await asyncio.open_connection("127.0.0.1", await line.start())
    block = bytes(range(256)) * 1000
    writer.write(block)
    async with asyncio.timeout(LATE):
        assert await reader.readexactly(len(block)) == block
        writer.write_eof()
        assert await reader.read() == b""
    writer.close()
    await line.close()


async def test_a_cut_resets_what_is_open_and_what_comes_until_it_is_mended(target):
    line = Line(target)
    port = await line.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"a")
    async with asyncio.timeout(LATE):
        assert await reader.readexactly(1) == b"a"
        line.cut()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        late_reader, late = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionResetError):
            assert await late_reader.read() == b""
        line.mend()
        again_reader, again = await asyncio.open_connection("127.0.0.1", port)
        again.write(b"b")
        assert await again_reader.readexactly(1) == b"b"
    for one in (writer, late, again):
        one.close()
    await line.close()


async def test_a_target_that_is_not_there_looks_like_a_reset():
    line = Line(1)
    reader, writer = await asyncio.open_connection("127.0.0.1", await line.start())
    async with asyncio.timeout(LATE):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()
    await line.close()


def connect(port, name):
    """A stock client with the queue of what it receives; ``None`` when it is subscribed."""
    client = Client(
        CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv311
    )
    got: queue.Queue = queue.Queue()
    client.on_message = lambda _client, _data, message: got.put((message.topic, message.payload))
    client.on_subscribe = lambda *_: got.put(None)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client, got


@pytest.mark.e2e
async def test_a_subscriber_gets_what_is_published_and_the_will_of_a_client_that_was_cut_off():
    broker = await Child.start("edgetwin.demo.broker")
    (port,) = await broker.ports()
    line = Line(port)
    line_port = await line.start()
    subscriber, got = await asyncio.to_thread(connect, port, "subscriber")
    subscriber.subscribe("plant/#", qos=1)
    assert await asyncio.to_thread(got.get, timeout=LATE) is None
    publisher = Client(
        CallbackAPIVersion.VERSION2, client_id="pub", protocol=MQTTProtocolVersion.MQTTv311
    )
    publisher.will_set("plant/status", b"gone", qos=1, retain=True)
    await asyncio.to_thread(publisher.connect, "127.0.0.1", line_port)
    publisher.loop_start()
    publisher.publish("plant/value", b"1", qos=1)
    assert await asyncio.to_thread(got.get, timeout=LATE) == ("plant/value", b"1")
    line.cut()
    assert await asyncio.to_thread(got.get, timeout=LATE) == ("plant/status", b"gone")
    for client in (publisher, subscriber):
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
    await line.close()
    assert await broker.end() == 0
