"""Compression against a real broker: nobody gets what nobody has asked for."""

import asyncio
import contextlib
import gzip
import json

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgetwin.core.contract.kinds import MESSAGES
from edgetwin.core.contract.schema import schema
from edgetwin.core.encoding import GZIP, PLAIN
from edgetwin.core.frame import Frame
from edgetwin.core.plan import SECOND, GatewayPlan, MqttSettings, UpstreamPlan
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.tags import Tag, TagTable
from edgetwin.runtime import clock
from edgetwin.runtime.frames import FrameQueue
from edgetwin.runtime.office import Office
from edgetwin.runtime.packing import Packing
from edgetwin.upstream.mqtt_listen import ListeningLink
from edgetwin.upstream.mqtt_refusal import Refused

pytestmark = pytest.mark.broker

ACCEPT = b'{"v":1,"accept":["application/json+gzip"]}'
TOPIC = "plant/gw"
TAGS = TagTable(tuple(Tag(i, f"skid/t{i}", device=0) for i in range(60)))
WALL = 1_732_278_000 * SECOND


class Reader:
    """An MQTT client: what came, with its content type. It can say what it accepts."""

    def __init__(self, port, version=MQTTProtocolVersion.MQTTv5):
        self.messages = []
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=version)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{TOPIC}/#", 1)
        self._client.on_message = lambda _c, _u, m: self._loop.call_soon_threadsafe(self._take, m)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _take(self, message):
        kind = getattr(getattr(message, "properties", None), "ContentType", None)
        self.messages.append((message.topic.rpartition("/")[2], kind, bytes(message.payload)))
        self._news.set()

    def say(self, payload):
        self._client.publish(f"{TOPIC}/accept", payload, 1, retain=True).wait_for_publish(5)

    def of(self, topic):
        return [(kind, payload) for name, kind, payload in self.messages if name == topic]

    async def until(self, fact, deadline_s=10.0):
        async with asyncio.timeout(deadline_s):
            while not fact():
                self._news.clear()
                await self._news.wait()

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.asynccontextmanager
async def sending(state, port, *, compress, versions=None):
    """An office whose clock runs as it is pushed: ``push()`` ends a window of one second.

    ``versions`` of MQTT that it speaks; any, unless told otherwise.
    """
    broker = MqttSettings("127.0.0.1", port, tls=False, client_id="gw", keepalive_s=2)
    plan = UpstreamPlan("cloud", broker, TOPIC, SECOND, compress=compress)
    frames = FrameQueue(1000)
    office = Office(GatewayPlan("gw", state, TAGS, (), upstreams=(plan,)), frames, clock.now)
    if versions:
        office._upstreams.all[0]._link._versions = versions
    number = 0

    def push():
        nonlocal number
        number += 1
        at = Instant(number * SECOND, WALL + number * SECOND)
        frames.put(Frame(number, at, ReadingBatch(slice(0, 60), np.full(60, number * 1.1))))

    running = asyncio.create_task(office.run())
    try:
        yield push, office
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.wait_for(office.close(), 4)


@pytest.fixture
async def reader(mosquitto):
    made = Reader(mosquitto.port)
    yield made
    made.close()


def fits(kind, payload):
    return Draft202012Validator(schema(MESSAGES[kind])).is_valid(json.loads(payload))


async def one_more(reader, push):
    """The content type and payload of the next summary."""
    before = len(reader.of("summary"))
    push()
    await reader.until(lambda: len(reader.of("summary")) > before)
    return reader.of("summary")[-1]


async def until_sent_as(reader, push, kind):
    """Push windows until one comes as wanted: what is asked for holds from some record on."""
    async with asyncio.timeout(10):
        while (got := await one_more(reader, push))[0] != kind:
            pass
    return got


async def test_records_are_compressed_once_readers_ask_and_plain_once_they_take_it_back(
    mosquitto, reader, tmp_path
):
    async with sending(tmp_path, mosquitto.port, compress=True) as (push, _):
        await reader.until(lambda: reader.of("birth"))
        push()
        kind, payload = await one_more(reader, push)
        assert (kind, payload[:1]) == (PLAIN, b"{")
        reader.say(ACCEPT)
        _, packed = await until_sent_as(reader, push, GZIP)
        assert len(packed) < len(payload) / 2
        assert fits("summary", gzip.decompress(packed))
        reader.say(b"")
        await until_sent_as(reader, push, PLAIN)
    [(kind, birth)] = reader.of("birth")
    assert (kind, json.loads(birth)["encodings"]) == (PLAIN, [PLAIN, GZIP])
    assert fits("birth", birth)
    assert {kind for kind, _ in reader.of("status")} == {PLAIN}
    seqs = [
        json.loads(gzip.decompress(p) if k == GZIP else p)["seq"] for k, p in reader.of("summary")
    ]
    assert seqs == list(range(1, len(seqs) + 1))


async def test_what_was_asked_before_the_gateway_came_is_found_by_it(mosquitto, reader, tmp_path):
    reader.say(ACCEPT)
    async with sending(tmp_path, mosquitto.port, compress=True) as (push, _):
        push()
        await until_sent_as(reader, push, GZIP)


async def test_without_the_option_nobody_is_listened_to(mosquitto, reader, tmp_path):
    reader.say(ACCEPT)
    async with sending(tmp_path, mosquitto.port, compress=False) as (push, _):
        push()
        for _ in range(3):
            kind, payload = await one_more(reader, push)
            assert (kind, payload[:1]) == (PLAIN, b"{")
    assert "encodings" not in json.loads(reader.of("birth")[0][1])


async def test_readers_of_mqtt_3_get_plain_json_unless_they_ask(mosquitto, tmp_path):
    old = Reader(mosquitto.port, MQTTProtocolVersion.MQTTv311)
    try:
        async with sending(tmp_path, mosquitto.port, compress=True) as (push, _):
            push()
            _, payload = await one_more(old, push)
            assert fits("summary", payload)
    finally:
        old.close()


async def test_gateway_that_speaks_mqtt_3_compresses_nothing_and_offers_nothing(
    mosquitto, reader, tmp_path
):
    reader.say(ACCEPT)
    v311 = (MQTTProtocolVersion.MQTTv311,)
    async with sending(tmp_path, mosquitto.port, compress=True, versions=v311) as (push, _):
        push()
        for _ in range(3):
            kind, payload = await one_more(reader, push)
            assert (kind, payload[:1]) == (None, b"{")
    assert "encodings" not in json.loads(reader.of("birth")[0][1])


async def test_who_may_not_read_what_readers_accept_goes_on_without(
    mosquitto, reader, tmp_path, caplog, monkeypatch
):
    async def no(*_):  # mosquitto's own lists of rights know no subscribing
        raise Refused("not authorized")

    monkeypatch.setattr(ListeningLink, "subscribe", no)
    async with sending(tmp_path, mosquitto.port, compress=True) as (push, office):
        push()
        for _ in range(3):
            assert (await one_more(reader, push))[0] == PLAIN
        assert office.status()["upstreams"]["cloud"]["connected"]
    assert "may not read plant/gw/accept, so nothing is compressed" in caplog.text


def test_what_is_no_accept_message_is_counted_and_changes_nothing(caplog):
    packing = Packing("cloud", TOPIC, offered=True)
    for _ in range(3):
        packing.hear(f"{TOPIC}/accept", b"\x00" * 2000, False)
    packing.hear("elsewhere", ACCEPT, True)
    assert packing.ignored == 3
    assert len(caplog.records) == 1
    assert asyncio.run(packing.pack([b"x" * 5000])) == [(b"x" * 5000, PLAIN)]


async def test_small_and_incompressible_records_stay_plain():
    packing = Packing("cloud", TOPIC, offered=True)
    packing.hear(f"{TOPIC}/accept", ACCEPT, True)
    noise = np.random.default_rng(1).bytes(20_000)
    kinds = [kind for _, kind in await packing.pack([b"x" * 999, b"x" * 1000, noise])]
    assert kinds == [PLAIN, GZIP, PLAIN]
