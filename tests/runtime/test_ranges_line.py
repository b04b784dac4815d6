"""Ranges of a fleet, by a real broker to a gateway's challengers, and whose are not taken."""

import asyncio
import contextlib

import numpy as np
import pytest

from edgetwin.core.frame import Frame
from edgetwin.core.plan import SECOND, GatewayPlan, MqttSettings, UpstreamPlan
from edgetwin.core.ranges import ChallengerSettings, Edges, Ranges, write
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.tags import Tag, TagTable, TypedAsset
from edgetwin.runtime import clock
from edgetwin.runtime.frames import FrameQueue
from edgetwin.runtime.office import Office
from edgetwin.runtime.ranges_line import LARGEST, RangesLines
from edgetwin.upstream.mqtt import MqttLink
from edgetwin.upstream.mqtt_dial import Message

pytestmark = pytest.mark.broker

TAGS = TagTable((Tag(0, "skid/p", device=0),))
PUMP = TypedAsset("pump", "pump-40", {"p": 0})
TOPIC = "plant/gw/ranges/pump-40"
WALL = 1_732_278_000 * SECOND


def ranges(made=1, type_="pump-40", high=4.0):
    return write(Ranges(type_, made, 1000, 40, {"p": Edges(0.0, 1.0, 3.0, high)}))


@pytest.fixture
def signer(upstream_signer, tmp_path):
    made = upstream_signer.Signer("fleet")
    made.save(tmp_path)
    return made


@pytest.fixture
def plan(mosquitto, signer, tmp_path):
    broker = MqttSettings("127.0.0.1", mosquitto.port, tls=False, client_id="gw")
    settings = ChallengerSettings((tmp_path / "fleet.pem",), 3 * SECOND)
    cloud = UpstreamPlan("cloud", broker, "plant/gw", SECOND, challenger=settings)
    return GatewayPlan("gw", tmp_path, TAGS, (), upstreams=(cloud,), typed=(PUMP,))


@contextlib.asynccontextmanager
async def sender(port):
    link = MqttLink(MqttSettings("127.0.0.1", port, tls=False, client_id="fleet"), lambda _t: None)
    await link.connect(None)
    try:
        yield lambda content, topic=TOPIC: link.publish(Message(topic, content, retain=True))
        await asyncio.wait_for(link.settled(), 5)
    finally:
        link.close()


@contextlib.asynccontextmanager
async def listening(plan):
    office = Office(plan, FrameQueue(), clock.now)
    lines = RangesLines(plan, office.challengers, clock.now)
    lines.load()
    jobs = [asyncio.create_task(run()) for _, run in lines.jobs]
    try:
        yield office, lines
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        lines.close()
        await office.close()


async def comes(fact):
    async with asyncio.timeout(5):
        while not fact():  # noqa: ASYNC110 - what is looked at announces nothing
            await asyncio.sleep(0.01)


async def test_ranges_kept_by_the_broker_reach_a_gateway_that_comes_later(plan, signer, mosquitto):
    async with sender(mosquitto.port) as send:
        send(signer.sign(ranges(made=7)))
    async with listening(plan) as (office, lines):
        await comes(lambda: office.challengers[0].ranges)
        assert office.challengers[0].ranges.made == 7
        told = lines.status()
        assert told["ranges"]["cloud"]["connected"]
        assert told["ranges"]["cloud"]["taken"] == 1
        assert told["challengers"]["pump"]["assets"] == 40


async def test_what_no_key_of_ours_has_signed_is_refused_and_counted(
    plan, signer, mosquitto, upstream_signer
):
    good = signer.sign(ranges(made=5))
    async with listening(plan) as (office, lines):
        line = lines.status
        await comes(lambda: line()["ranges"]["cloud"]["connected"])
        async with sender(mosquitto.port) as send:
            send(upstream_signer.Signer("fleet").sign(ranges(made=9)))
            send(good[:-3] + b"AAA")
            send(ranges(made=9))
            send(b"x" * (LARGEST + 1))
            send(b"")
        refused = {"wrong signature": 2, "no signed request": 1, "too large": 1}
        await comes(lambda: sum(line()["ranges"]["cloud"]["refused"].values()) == 4)
        assert line()["ranges"]["cloud"]["refused"] == refused
        assert office.challengers[0].ranges is None


async def test_signed_but_old_foreign_or_of_another_form_is_refused(plan, signer, mosquitto):
    async with listening(plan) as (office, lines):
        line = lines.status
        await comes(lambda: line()["ranges"]["cloud"]["connected"])
        async with sender(mosquitto.port) as send:
            send(signer.sign(ranges(made=5)))
            send(signer.sign(ranges(made=5)))
            send(signer.sign(ranges(made=5, high=99.0)))
            send(signer.sign(ranges(made=6, type_="fan")))
            send(signer.sign(b'{"kind":"request"}'))
        await comes(lambda: sum(line()["ranges"]["cloud"]["refused"].values()) == 3)
        assert line()["ranges"]["cloud"]["refused"] == {
            "not newer": 1,
            "other type": 1,
            "no ranges": 1,
        }
        assert office.challengers[0].ranges.made == 5


async def test_a_machine_beyond_the_fleet_is_told_upstream_and_nothing_else_happens(
    plan, signer, mosquitto, upstream_rig
):
    witness = upstream_rig.Subscriber(mosquitto.port, "plant/gw/event")
    frames = FrameQueue()
    office = Office(plan, frames, clock.now)
    assert office.challengers[0].install(Ranges("pump-40", 1, 1000, 40, {"p": Edges(0, 1, 3, 4)}))
    running = asyncio.create_task(office.run())
    try:
        for n in range(50):
            at = Instant(n * SECOND // 10, WALL + n * SECOND // 10)
            frames.put(Frame(n + 1, at, ReadingBatch(slice(0, 1), np.array([9.0]))))
        assert await witness.saw(lambda ledger: ledger.messages("event"))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await office.close()
        witness.close()
    (event,) = witness.ledger.messages("event")
    assert (event["kind"], event["subject"]) == ("challenger", "pump")
    assert event["facts"]["windows"] == event["facts"]["challenger"] == 3
