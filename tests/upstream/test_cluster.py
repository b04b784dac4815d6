"""A broker of several nodes: which is tried when, and what a lost node costs."""

import asyncio
import contextlib
import socket

import numpy as np
import pytest

from edgetwin.core.frame import Frame
from edgetwin.core.plan import SECOND, GatewayPlan, MqttSettings, UpstreamPlan
from edgetwin.core.reading import ReadingBatch
from edgetwin.core.tags import Tag, TagTable
from edgetwin.runtime import clock
from edgetwin.runtime.frames import FrameQueue
from edgetwin.runtime.office import Office
from edgetwin.upstream.cluster import Cluster, none_left
from edgetwin.upstream.mqtt import MqttLink
from edgetwin.upstream.mqtt_dial import Message, exposed
from edgetwin.upstream.mqtt_refusal import LinkLost, Refused

WILL = Message("gw/status", b"{}", retain=True)


def settings(*ports):
    others = tuple(("127.0.0.1", port) for port in ports[1:])
    return MqttSettings("127.0.0.1", ports[0], tls=False, client_id="gw", others=others)


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def second(mosquitto, upstream_rig, tmp_path):
    folder = tmp_path / "second"
    folder.mkdir()
    broker = upstream_rig.Mosquitto(folder)
    broker.start()
    yield broker
    broker.stop()


def test_the_last_good_node_is_tried_first_and_then_the_others_in_a_circle():
    cluster = Cluster(settings(1, 2, 3))
    assert [node.port for node in cluster.in_turn()] == [1, 2, 3]
    for node in cluster.in_turn():
        if node.port == 2:
            break
    assert cluster.good.port == 2
    assert [node.port for node in cluster.in_turn()] == [2, 3, 1]
    assert cluster.good.port == 2
    assert all(node.others == () for node in cluster.in_turn())


def test_all_nodes_are_told_and_only_if_all_refuse_it_is_a_refusal():
    away, no = LinkLost("a: away."), Refused("b: no")
    assert none_left([away]) is away
    assert str(none_left([away, no])) == "a: away; b: no"
    assert not isinstance(none_left([away, no]), Refused)
    assert isinstance(none_left([no, no]), Refused)


def test_plain_text_to_one_far_node_is_told():
    far = MqttSettings("127.0.0.1", 1, tls=False, others=(("broker.example", 1883),))
    assert "plain text" in exposed(far)
    assert exposed(settings(1, 2)) == ""


async def test_no_node_at_all_names_each():
    one, two = closed_port(), closed_port()
    link = MqttLink(settings(one, two), print)
    with pytest.raises(LinkLost, match=rf":{one}: nothing listens.*:{two}: nothing listens"):
        await link.connect(WILL)
    link.close()


@pytest.mark.broker
async def test_a_dead_node_is_passed_by_and_not_asked_again(mosquitto):
    link = MqttLink(settings(closed_port(), mosquitto.port), print)
    for _ in range(2):
        await link.connect(WILL)
        assert link.settings.port == mosquitto.port
        link.close()


@pytest.mark.broker
async def test_gateway_goes_on_at_another_node_and_nothing_is_missing(
    mosquitto, second, upstream_rig, tmp_path
):
    brokers = (mosquitto, second)
    witnesses = [upstream_rig.Subscriber(broker.port) for broker in brokers]
    tags = TagTable((Tag(0, "skid/p", device=0),))
    cloud = UpstreamPlan("cloud", settings(*(b.port for b in brokers)), "gw", window=SECOND // 10)
    frames = FrameQueue()
    office = Office(GatewayPlan("gw", tmp_path, tags, (), upstreams=(cloud,)), frames, clock.now)
    jobs = [asyncio.create_task(office.run()), asyncio.create_task(feed(frames))]
    try:
        assert await witnesses[0].saw(lambda ledger: summaries(ledger) >= {1, 2, 3})
        assert office.status()["upstreams"]["cloud"]["node"] == f"127.0.0.1:{mosquitto.port}"
        mosquitto.stop()
        assert await witnesses[1].saw(lambda ledger: len(summaries(ledger)) >= 5)
        assert office.status()["upstreams"]["cloud"]["node"] == f"127.0.0.1:{second.port}"
        there = summaries(witnesses[1].ledger)
        mosquitto.start()  # it still holds what it had acknowledged, and not yet passed on
        wanted = set(range(1, max(there) + 1)) - there
        assert await witnesses[0].saw(lambda ledger: summaries(ledger) >= wanted)
    finally:
        await ended(jobs)
        await office.close()
        for witness in witnesses:
            witness.close()
    told = [summaries(witness.ledger) for witness in witnesses]
    assert set().union(*told) == set(range(1, max(told[1]) + 1))


def summaries(ledger):
    return {n for stream, seen in ledger.records.items() if "summary" in stream for n in seen}


async def feed(frames):
    number = 0
    while True:
        number += 1
        frames.put(Frame(number, clock.now(), ReadingBatch(slice(0, 1), np.ones(1))))
        await asyncio.sleep(0.02)


async def ended(jobs):
    for job in jobs:
        job.cancel()
    for job in jobs:
        with contextlib.suppress(asyncio.CancelledError):
            await job
