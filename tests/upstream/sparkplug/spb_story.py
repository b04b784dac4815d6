"""The life of an edge node, told twice: by MQTT 5 with a primary host, and by 3.1.1 without.

The office runs for real against a real broker with the witness between them; frames are made by
hand on a virtual clock, and a host of our own says STATE and commands.
"""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field

import numpy as np
import spb_wire
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from spb_witness import CONNECT, DISCONNECT, PUBLISH, SUBSCRIBE, Witness

from edgetwin.core.frame import Frame, Link, Tick
from edgetwin.core.plan import (
    SECOND,
    DevicePlan,
    GatewayPlan,
    MqttSettings,
    SparkplugSettings,
    UpstreamPlan,
)
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.tags import Tag, TagKind, TagTable, ValueType, WriteLimits
from edgetwin.runtime import clock
from edgetwin.runtime.frames import FrameQueue
from edgetwin.runtime.office import Office

GROUP, NODE, HOST = "plant 1", "gw", "scada"
TAGS = TagTable(
    (
        Tag(0, "skid/pressure", device=0, type=ValueType.FLOAT32, unit="bar", low=0, high=10),
        Tag(1, "skid/count", device=0, type=ValueType.INT32, deadband=2),
        Tag(2, "skid/running", device=0, type=ValueType.BIT, write=WriteLimits(0, 1)),
        Tag(3, "meter/flow", device=1, type=ValueType.FLOAT64),
        Tag(4, "meter/serial", device=1, type=ValueType.TEXT),
        Tag(5, "meter/total", device=1, type=ValueType.INT64),
        Tag(6, "pump/power", kind=TagKind.DERIVED, type=ValueType.FLOAT64, unit="kW"),
        Tag(7, "loop/p/out", kind=TagKind.LOOP, type=ValueType.FLOAT64),
    )
)
ASSETS = {"pump": (0, 3, 6)}
DEVICES = ("skid", "meter", "pump")


class Desk:
    """An office with one Sparkplug upstream, and frames made by hand."""

    def __init__(self, state, port, *, host="", every=SECOND // 10, keepalive_s=5):
        state.mkdir(parents=True, exist_ok=True)
        broker = MqttSettings("127.0.0.1", port, tls=False, client_id="gw", keepalive_s=keepalive_s)
        spoken = SparkplugSettings(GROUP, NODE, host, every)
        upstream = UpstreamPlan("scada", broker, "", sparkplug=spoken)
        devices = tuple(DevicePlan(n, d, "modbus", None, ()) for n, d in enumerate(DEVICES[:2]))
        self.plan = GatewayPlan("gw", state, TAGS, devices, upstreams=(upstream,), assets=ASSETS)
        self.frames = FrameQueue()
        self.office = Office(self.plan, self.frames, clock.now)
        self.number = self.mono = 0
        self.total = 2**53 + 1

    def put(self, cause, *, after_s=0.1, inner=()):
        self.number += 1
        self.mono += int(after_s * SECOND)
        self.frames.put(Frame(self.number, Instant(self.mono, time.time_ns()), cause, inner))

    def skid(self, pressure, count=0.0, running=1.0, *, quality=0, **more):
        values = np.array([pressure, count, running])
        self.put(ReadingBatch(slice(0, 3), values, quality), **more)

    def meter(self, flow, serial="A-1", **more):
        objects = ((4, serial), (5, self.total))
        values = np.array([flow, np.nan, float(self.total)])
        power = ReadingBatch(slice(6, 7), np.array([flow * 2]))
        self.put(ReadingBatch(slice(3, 6), values, objects=objects), inner=(power,), **more)

    def out(self, value):
        loop = ReadingBatch(slice(7, 8), np.array([value]))
        self.put(Tick(), inner=(loop,))

    @property
    def status(self):
        return self.office.status()["upstreams"]["scada"]

    async def until(self, fact, deadline_s=10.0):
        """Wait until the status says so; time passes meanwhile."""
        async with asyncio.timeout(deadline_s):
            while not fact(self.status):
                self.put(Tick(), after_s=0.001)
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def working(desk):
    running = asyncio.create_task(desk.office.run())
    try:
        yield desk
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.wait_for(desk.office.close(), 4)


class Host:
    """A host application: commands and STATE, in a thread of paho's."""

    def __init__(self, port):
        self.client = Client(
            CallbackAPIVersion.VERSION2, client_id="host", protocol=MQTTProtocolVersion.MQTTv311
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def state(self, online, timestamp, host=HOST):
        said = json.dumps({"online": online, "timestamp": timestamp})
        self.client.publish(f"spBv1.0/STATE/{host}", said, 1, retain=True)

    def command(self, *metrics, device="", raw=None, retain=False):
        verb = f"DCMD/{NODE}/{device}" if device else f"NCMD/{NODE}"
        now = time.time_ns() // 1_000_000
        content = spb_wire.command(now, *metrics) if raw is None else raw
        self.client.publish(f"spBv1.0/{GROUP}/{verb}", content, 0, retain=retain)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@dataclass
class Sent:
    """A message of the edge node. ``number`` is its place among all packets of its recording."""

    number: int
    connection: int
    verb: str
    device: str
    topic: str
    qos: int
    retain: bool
    wall_ms: int
    payload: object


@dataclass
class Story:
    """What was recorded: packets as they passed, and our own reading of them."""

    packets: list
    primary_host: str
    most_lines: int
    marks: dict = field(default_factory=dict)

    def __post_init__(self):
        self.sent = [_sent(p) for p in self.packets if p.kind == PUBLISH and not p.inward]
        self.connects = [p for p in self.packets if p.kind == CONNECT]
        self.goodbyes = [p for p in self.packets if p.kind == DISCONNECT and not p.inward]
        self.subscribes = [p for p in self.packets if p.kind == SUBSCRIBE]
        self.heard = [p for p in self.packets if p.kind == PUBLISH and p.inward]

    def of(self, *verbs):
        return [each for each in self.sent if each.verb in verbs]

    def will(self, connection):
        found = next(p for p in self.connects if p.connection == connection)
        return spb_wire.read(found.facts["will"]["payload"])

    @property
    def sessions(self):
        return {
            c: [s for s in self.sent if s.connection == c]
            for c in sorted({s.connection for s in self.sent})
        }


def _sent(packet):
    f = packet.facts
    levels = f["topic"].split("/")
    verb, device = levels[2] if len(levels) > 2 else "", "/".join(levels[4:])
    return Sent(
        packet.number,
        packet.connection,
        verb,
        device,
        f["topic"],
        f["qos"],
        f["retain"],
        packet.wall_ms,
        spb_wire.read(f["payload"]),
    )


def verbs(packets):
    return [_sent(p).verb for p in packets if p.kind == PUBLISH and not p.inward]


def hearing(packets):
    """How many messages the edge node has been given."""
    return sum(p.kind == PUBLISH and p.inward for p in packets)


def pressures(packets):
    """Every pressure that was told, in order."""
    sent = (_sent(p) for p in packets if p.kind == PUBLISH and not p.inward)
    return [m.value for s in sent if s.device == "skid" for m in s.payload.metrics if m.alias == 1]


def times(verb, wanted):
    return lambda packets: verbs(packets).count(verb) >= wanted


async def with_a_primary_host(broker_port, state):
    """MQTT 5: wait for the host, live, lose a device, be reborn, be refused, lose the host."""
    witness, host = Witness(broker_port), Host(broker_port)
    await witness.open()
    marks = {}
    try:
        async with working(Desk(state, witness.port, host=HOST)) as desk:
            await _wait_for_host(desk, witness, host, marks)
            await _live(desk, witness)
            await _lose_a_device(desk, witness, marks)
            await _hear_commands(desk, witness, host, marks)
            await _lose_the_host(desk, witness, host, marks)
            await _lose_the_line(desk, witness)
            marks["stopping"] = len(witness.packets)
        await witness.until(lambda ps: ps[-1].kind == DISCONNECT or _last_line_is_down(witness))
    finally:
        host.close()
        await witness.close()
    return Story(witness.packets, HOST, witness.most_lines, marks)


def _last_line_is_down(witness):
    return witness.open_lines == 0


async def _wait_for_host(desk, witness, host, marks):
    desk.skid(1.0)
    desk.meter(5.0)
    await witness.until(lambda ps: any(p.kind == SUBSCRIBE for p in ps))
    host.state(True, 1000, host="another")
    host.state(False, 2000)
    await witness.until(lambda ps: hearing(ps) >= 1)
    desk.skid(1.5)
    await desk.until(lambda s: s["backlog"] >= 1)
    marks["unborn until"] = len(witness.packets)
    host.state(True, 3000)
    await witness.until(times("DBIRTH", 3))


async def _live(desk, witness):
    seen = len(verbs(witness.packets))
    desk.skid(2.0, count=1.0)  # the count moves by less than its deadband
    desk.skid(2.0, count=1.0)  # nothing has changed
    desk.skid(2.5, count=-7.0)
    desk.meter(6.0, serial="B-2")
    desk.out(40.0)
    desk.skid(12.0)  # out of range: uncertain
    desk.skid(np.nan, quality=int(Quality.DEVICE_FAULT))
    for n in range(300):
        desk.skid(3 + n / 100)
    await witness.until(lambda ps: len(verbs(ps)) >= seen + 300)


async def _lose_a_device(desk, witness, marks):
    marks["device lost"] = len(witness.packets)
    desk.put(Link(0, up=False, reason="cable"))
    await witness.until(times("DDEATH", 1))
    desk.meter(7.0)
    desk.put(Link(0, up=True))
    desk.skid(4.0)
    await witness.until(times("DBIRTH", 4))


async def _hear_commands(desk, witness, host, marks):
    marks["rebirth asked"] = len(witness.packets)
    heard = hearing(witness.packets)
    host.command(("Node Control/Rebirth", True))
    await witness.until(lambda ps: hearing(ps) > heard)
    await asyncio.sleep(0.05)  # now the edge node has read it too; births are due a second apart
    for n in range(20):
        desk.skid(5 + n / 10)
    await witness.until(times("NBIRTH", 2))
    host.command(("Device Control/Reboot", True), device="skid")
    host.command(("running", 0.0), device="skid")
    host.command(raw=b"\xff\xff\xff garbage")
    await desk.until(lambda s: s["refused"] >= 3)
    desk.skid(6.0)
    await witness.until(times("NDATA", 1))


async def _lose_the_host(desk, witness, host, marks):
    heard = hearing(witness.packets)
    host.state(False, 2500)  # older than the last word: a will that comes late
    await witness.until(lambda ps: hearing(ps) > heard)
    marks["old offline"] = len(witness.packets)
    desk.skid(9.5)
    await witness.until(lambda ps: 9.5 in pressures(ps))  # nothing else is under way then
    marks["host offline"] = len(witness.packets)
    host.state(False, 4000)
    await witness.until(times("NDEATH", 1))
    await desk.until(lambda s: not s["connected"])
    for n in range(5):
        desk.skid(7 + n / 10)
    await desk.until(lambda s: s["backlog"] >= 1)
    births = verbs(witness.packets).count("NBIRTH")
    marks["host back"] = len(witness.packets)
    host.state(True, 5000)
    await witness.until(times("NBIRTH", births + 1))
    await desk.until(lambda s: s["connected"] and s["backlog"] == 0)


async def _lose_the_line(desk, witness):
    births = verbs(witness.packets).count("NBIRTH")
    desk.skid(8.0)
    witness.cut()
    await desk.until(lambda s: not s["connected"])
    await witness.until(times("NBIRTH", births + 1))
    desk.skid(8.5)
    desk.out(41.0)
    await desk.until(lambda s: s["connected"] and s["backlog"] == 0)


async def without_a_primary_host(broker_port, state):
    """MQTT 3.1.1: 255 connections ago there was a zero."""
    state.mkdir(parents=True)
    (state / "sparkplug-scada.bdseq").write_text("253\n")
    witness = Witness(broker_port, refuse_v5=True)
    await witness.open()
    marks = {}
    try:
        async with working(Desk(state, witness.port)) as desk:
            desk.skid(1.0)
            desk.meter(5.0)
            await witness.until(times("DBIRTH", 3))
            desk.skid(2.0)
            desk.out(9.0)
            await witness.until(times("NDATA", 1))
            witness.cut()
            await desk.until(lambda s: not s["connected"])
            await desk.until(lambda s: s["connected"])
            desk.skid(3.0)
            await witness.until(times("NBIRTH", 2))
            marks["stopping"] = len(witness.packets)
        await witness.until(lambda ps: ps[-1].kind == DISCONNECT or _last_line_is_down(witness))
    finally:
        await witness.close()
    return Story(witness.packets, "", witness.most_lines, marks)
