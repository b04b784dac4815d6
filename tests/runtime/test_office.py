"""The office against a real broker: what an independent subscriber sees, whatever happens."""

import asyncio
import contextlib
import importlib.util
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from edgetwin.core import received
from edgetwin.core.contract.kinds import MESSAGES
from edgetwin.core.contract.schema import schema
from edgetwin.core.event import Event, EventKind
from edgetwin.core.frame import Frame, Tick
from edgetwin.core.plan import SECOND, GatewayPlan, MqttSettings, UpstreamPlan
from edgetwin.core.reading import (
    Authority,
    Instant,
    ReadingBatch,
    WriteOutcome,
    WriteRequest,
    WriteResult,
)
from edgetwin.core.tags import Tag, TagTable, WriteLimits
from edgetwin.runtime import clock
from edgetwin.runtime.frames import FrameQueue
from edgetwin.runtime.office import Office
from edgetwin.runtime.supervise import keep

TAGS = TagTable(
    tuple(
        Tag(i, f"skid/t{i}", device=0, write=WriteLimits(0, 9) if i == 2 else None)
        for i in range(3)
    )
)
WALL = 1_732_278_000 * SECOND


def upstream(port, name="cloud", **more):
    window, values = more.pop("window", SECOND), more.pop("values", False)
    broker = MqttSettings(
        "127.0.0.1", port, tls=False, client_id=f"gw-{name}", keepalive_s=1, **more
    )
    return UpstreamPlan(name, broker, "plant/gw", window, values)


class Desk:
    """An office, and frames made by hand: their clock is virtual, the office's own is real."""

    def __init__(self, state, *upstreams, quota=1 << 20, capacity=10_000):
        self.plan = GatewayPlan("gw", state, TAGS, (), upstreams=upstreams, outbox_bytes=quota)
        self.frames = FrameQueue(capacity)
        self.number = 0
        self.mono = 0
        self.office = Office(self.plan, self.frames, clock.now)

    def put(self, cause=None, *, after_s=0.1, events=(), writes=()):
        self.number += 1
        self.mono += int(after_s * SECOND)
        at = Instant(self.mono, WALL + self.mono)
        if cause is None:
            cause = ReadingBatch(slice(0, 3), np.full(3, float(self.number)))
        self.frames.put(Frame(self.number, at, cause, events=events, writes=writes))

    def event(self, text):
        self.put(Tick(), after_s=0.001, events=(Event(EventKind.ANOMALY, "skid", text),))

    async def until(self, fact, deadline_s=10.0):
        """Wait until the office's own status says so."""
        async with asyncio.timeout(deadline_s):
            while not fact(self.office.status()):
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


JUDGES = {kind: Draft202012Validator(schema(of)) for kind, of in MESSAGES.items()}
A_FEW = 50


def outside_the_contract(ledger):
    """What is wrong with the retained messages, and with the first and last of each stream."""
    told = list(ledger.retained.items())
    for stream, seen in ledger.records.items():
        texts = [seen[number] for number in sorted(seen)]
        some = texts[:A_FEW] + texts[A_FEW:][-A_FEW:]
        told += [(re.split("[-@]", stream)[0], json.loads(text)) for text in some]
    found = ((kind, error) for kind, m in told for error in JUDGES[kind].iter_errors(m))
    return [f"{kind}: {error.json_path} {error.message}" for kind, error in found]


@pytest.fixture
def subscriber(mosquitto, upstream_rig):
    made = upstream_rig.Subscriber(mosquitto.port)
    yield made
    made.close()
    assert outside_the_contract(made.ledger) == []


def count(kind, wanted):
    return lambda ledger: len(ledger.messages(kind)) >= wanted


def cloud(status):
    return status["upstreams"]["cloud"]


@pytest.mark.broker
async def test_subscriber_gets_birth_status_summaries_and_events(mosquitto, subscriber, tmp_path):
    async with working(Desk(tmp_path, upstream(mosquitto.port))) as desk:
        for _ in range(25):
            desk.put()
        desk.event("valve")
        assert await subscriber.saw(count("event", 1))
        assert await subscriber.saw(count("summary", 2))
        assert subscriber.ledger.retained["status"]["status"] == "online"
    assert await subscriber.saw(count("summary", 3))
    ledger = subscriber.ledger
    assert await subscriber.saw(lambda led: led.retained["status"]["status"] == "offline")
    assert ledger.retained["status"]["cause"] == "stopped"
    assert ledger.messages("event")[0]["text"] == "valve"
    rows = [received.tabulate(m, ledger.retained["birth"]) for m in ledger.messages("summary-1s")]
    assert sum(row["skid/t0"]["count"] for row in rows) == 25, "the last window ended early"
    assert rows[0]["skid/t0"]["min"] == 1.0
    assert rows[0]["skid/t0"]["quality"] == "good"
    assert not ledger.holes()


@pytest.mark.broker
async def test_broker_restart_leaves_no_hole_and_no_double(mosquitto, subscriber, tmp_path):
    async with working(Desk(tmp_path, upstream(mosquitto.port))) as desk:
        for round_ in range(3):
            for n in range(40):
                desk.event(f"{round_}-{n}")
            await desk.until(lambda s: cloud(s)["connected"])
            await asyncio.to_thread(mosquitto.stop)
            for n in range(40, 80):
                desk.event(f"{round_}-{n}")
            await desk.until(lambda s: not cloud(s)["connected"] and cloud(s)["backlog"] >= 40)
            assert "broker 127.0.0.1" in cloud(desk.office.status())["error"]
            await asyncio.to_thread(mosquitto.start)
        assert await subscriber.saw(count("event", 240), 20)
    ledger = subscriber.ledger
    assert not ledger.holes()
    assert not ledger.doubles()
    assert not ledger.conflicts
    assert ledger.reordered == 0


@pytest.mark.broker
@pytest.mark.parametrize("fault", ["cut", "swallow"])
async def test_spoiled_line_leaves_no_hole(mosquitto, subscriber, upstream_rig, tmp_path, fault):
    proxy = upstream_rig.Proxy(mosquitto.port)
    await proxy.open()
    async with working(Desk(tmp_path, upstream(proxy.port))) as desk:
        await desk.until(lambda s: cloud(s)["connected"])
        for n in range(200):
            desk.event(f"before {n}")
        assert await subscriber.saw(count("event", 20))
        if fault == "swallow":
            proxy.swallow = True
            desk.event("into the hole")
            await desk.until(lambda s: not cloud(s)["connected"])
            assert "swallows" in cloud(desk.office.status())["error"]
            proxy.swallow = False
        proxy.cut()
        for n in range(50):
            desk.event(f"after {n}")
        wanted = 250 + (fault == "swallow")
        assert await subscriber.saw(count("event", wanted))
    assert proxy.connections >= 2
    ledger = subscriber.ledger
    assert not ledger.holes()
    assert not ledger.doubles()
    assert ledger.reordered == 0
    assert ledger.duplicates <= 20 * proxy.connections, "at most a window each time"
    await proxy.close()


@pytest.mark.broker
async def test_dead_upstream_does_not_hold_up_the_other_and_gets_all_later(
    mosquitto, subscriber, upstream_rig, tmp_path
):
    folder = tmp_path / "second"
    folder.mkdir()
    second = upstream_rig.Mosquitto(folder)
    plans = upstream(mosquitto.port), upstream(second.port, "plant", window=2 * SECOND)
    async with working(Desk(tmp_path, *plans)) as desk:
        for n in range(100):
            desk.event(str(n))
        assert await subscriber.saw(count("event", 100))
        await desk.until(lambda s: cloud(s)["backlog"] == 0)
        assert desk.office.status()["upstreams"]["plant"]["backlog"] >= 100
    assert "summary-2s" not in str(subscriber.ledger.records.keys())
    second.start()
    late = upstream_rig.Subscriber(second.port)
    async with working(Desk(tmp_path, *plans)):
        assert await late.saw(count("event", 100))
    assert not late.ledger.holes()
    assert {m["boot"] for m in late.ledger.messages("event")} == {1}
    late.close()
    second.stop()


@pytest.mark.broker
async def test_raw_values_go_out_frame_by_frame(mosquitto, subscriber, tmp_path):
    async with working(Desk(tmp_path, upstream(mosquitto.port, values=True))) as desk:
        for _ in range(50):
            desk.put()
        assert await subscriber.saw(count("values", 50))
    values = [m["values"] for m in subscriber.ledger.messages("values")]
    assert values[6] == {"skid/t0": 7, "skid/t1": 7, "skid/t2": 7}
    assert [v["skid/t0"] for v in values] == list(range(1, 51))


@pytest.mark.broker
async def test_frames_that_were_dropped_are_told_as_a_gap(mosquitto, subscriber, tmp_path):
    desk = Desk(tmp_path, upstream(mosquitto.port), capacity=10)
    for _ in range(3):
        desk.put()
    async with working(desk):
        desk.event("all before this was read")
        assert await subscriber.saw(count("event", 1))
        first = desk.number + 1
        for _ in range(30):
            desk.put()
        assert await subscriber.saw(count("gap", 1))
        assert desk.office.status()["dropped_frames"] >= 20
    (message,) = subscriber.ledger.messages("gap")
    assert message["gap"]["stream"] == "frames"
    assert message["gap"]["count"] >= 20
    assert message["gap"]["from_seq"] <= first + 1


@pytest.mark.broker
async def test_disk_that_refuses_costs_no_record_until_memory_is_full(
    mosquitto, subscriber, tmp_path, monkeypatch
):
    monkeypatch.setattr("edgetwin.runtime.keeper._PENDING", 100)
    monkeypatch.setattr("edgetwin.runtime.keeper._FIRST_RETRY_NS", SECOND // 20)
    monkeypatch.setattr("edgetwin.runtime.keeper._LAST_RETRY_NS", SECOND // 20)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with working(Desk(tmp_path, upstream(mosquitto.port))) as desk:
        desk.event("first")
        assert await subscriber.saw(count("event", 1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # no file grows any more
        try:
            for n in range(60):
                desk.event(f"kept {n}")
            await desk.until(lambda s: s["storage"] and s["unsaved"] >= 60)
            assert "Check the disk" in desk.office.status()["storage"]
            for n in range(140):
                desk.event(f"perhaps {n}")
            await desk.until(lambda s: s["unsaved"] == 100)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await desk.until(lambda s: not s["storage"])
        assert await subscriber.saw(count("event", 101))
        assert await subscriber.saw(count("gap", 1))
    lost = [m["gap"]["count"] for m in subscriber.ledger.messages("gap")]
    got = [m["text"] for m in subscriber.ledger.messages("event")]
    assert sum(lost) + len(got) == 201
    assert got[-1] == "perhaps 139"
    assert not subscriber.ledger.holes()


@pytest.mark.broker
async def test_state_directory_that_comes_late_is_waited_for(mosquitto, subscriber, tmp_path):
    state = tmp_path / "late"
    async with working(Desk(state, upstream(mosquitto.port))) as desk:
        desk.event("patience")
        await desk.until(lambda s: s["storage"])
        state.mkdir()
        assert await subscriber.saw(count("event", 1))


async def test_unreachable_broker_is_told_and_closing_takes_no_time(tmp_path, upstream_rig):
    async with working(Desk(tmp_path, upstream(upstream_rig.free_port()))) as desk:
        desk.event("nobody hears")
        await desk.until(lambda s: cloud(s)["error"])
        assert "nothing listens there" in cloud(desk.office.status())["error"]
    assert cloud(desk.office.status())["backlog"] >= 1


async def test_writes_are_in_the_journal_without_any_upstream(tmp_path):
    request = WriteRequest(1, 2, 7.5, Authority.LOOP, "loop pressure", "pid", 1 << 60)
    result = WriteResult(1, 2, WriteOutcome.WRITTEN, 7.5)
    async with working(Desk(tmp_path)) as desk:
        desk.put(writes=(request,))
        desk.put(result)
        await desk.until(lambda s: s["boot"])
        async with asyncio.timeout(10):
            while not (rows := await desk.office._store.journal(9)) or rows[0].ended is None:  # noqa: ASYNC110 (the journal is asked; it tells nobody)
                await asyncio.sleep(0.02)
    (row,) = rows
    assert (row.tag, row.before, row.value, row.outcome) == ("skid/t2", 1.0, 7.5, "written")


def test_paho_stays_out_of_memory_without_an_upstream(tmp_path):
    code = (
        "import sys; from pathlib import Path; from edgetwin.core.plan import GatewayPlan;"
        "from edgetwin.core.tags import TagTable; from edgetwin.runtime.frames import FrameQueue;"
        "from edgetwin.runtime.office import Office; from edgetwin.runtime import clock;"
        "Office(GatewayPlan('g', Path('.'), TagTable(()), ()), FrameQueue(), clock.now);"
        "print('paho' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


@pytest.mark.broker
def test_ten_kills_with_a_flapping_broker_lose_and_double_nothing(upstream_rig, tmp_path):
    if upstream_rig.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed (Debian: apt install mosquitto)")
    path = Path(__file__).parents[1] / "upstream" / "kills.py"
    spec = importlib.util.spec_from_file_location("edgetwin_upstream_kills", path)
    kills = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = kills
    spec.loader.exec_module(kills)
    report = kills.campaign(upstream_rig, tmp_path, kills=10, outage_s=2.0)
    assert report.clean, report
    assert report.kills == 10
    assert len(report.boots) == 10
    assert report.records > 200


@pytest.mark.broker
async def test_new_records_overtake_a_long_backlog_and_no_stream_loses_its_order(
    mosquitto, subscriber, tmp_path
):
    plan = upstream(mosquitto.port)
    await asyncio.to_thread(mosquitto.stop)
    async with working(Desk(tmp_path, plan)) as desk:
        for n in range(600):
            desk.event(f"past {n}")
        await desk.until(lambda s: cloud(s)["backlog"] >= 600)
        await asyncio.to_thread(mosquitto.start)
        await desk.until(lambda s: cloud(s)["connected"])
        ages = []
        while cloud(desk.office.status())["backlog"] > 100:  # the past is still on its way
            put, n = asyncio.get_running_loop().time(), len(ages)
            desk.event(f"now {n}")
            assert await subscriber.saw(lambda led, n=n: f'"now {n}"' in led.text, 5)
            ages.append(asyncio.get_running_loop().time() - put)
        assert len(ages) > 3
        assert max(ages) < 1.0
        assert await subscriber.saw(count("event", 600 + len(ages)), 20)
        await desk.until(lambda s: cloud(s)["backlog"] == 0)
    ledger = subscriber.ledger
    (closing,) = ledger.messages("closed")
    (first,) = (name for name in closing["closed"] if name.startswith("event@"))
    past = [m["text"] for m in ledger.messages(first) if m["stream"] == first]
    assert past == [f"past {n}" for n in range(600)], "complete, by the number of its last record"
    assert closing["closed"][first] == 600
    assert not ledger.holes()
    assert ledger.reordered == 0
    assert ledger.duplicates == 0


@pytest.mark.broker
async def test_disk_that_hangs_holds_up_no_frame_and_is_told(
    mosquitto, subscriber, tmp_path, monkeypatch
):
    monkeypatch.setattr("edgetwin.runtime.keeper._ANSWER_S", 0.05)
    monkeypatch.setattr("edgetwin.runtime.keeper._HANGS_NS", SECOND // 10)
    async with working(Desk(tmp_path, upstream(mosquitto.port))) as desk:
        desk.event("before")
        assert await subscriber.saw(count("event", 1))
        answers = threading.Event()
        desk.office._store._database._thread.submit(answers.wait, 20)  # SQLite's only thread hangs
        for n in range(30):
            desk.event(f"meanwhile {n}")
        await desk.until(lambda s: "does not answer" in s["storage"])
        for n in range(30):
            desk.event(f"later {n}")
        await desk.until(lambda s: s["unsaved"] >= 60)
        assert len(desk.frames) < 10, "frames are taken all the same"
        answers.set()
        assert await subscriber.saw(count("event", 61))
        await desk.until(lambda s: not s["storage"])
    assert not subscriber.ledger.holes()
    assert not subscriber.ledger.doubles()


@pytest.mark.broker
async def test_office_that_dies_of_an_error_is_back_in_five_seconds(
    mosquitto, subscriber, tmp_path, monkeypatch
):
    desk = Desk(tmp_path, upstream(mosquitto.port))
    running = asyncio.create_task(keep("office", desk.office.run))
    desk.event("before")
    assert await subscriber.saw(count("event", 1))
    with monkeypatch.context() as broken:
        broken.setattr("edgetwin.runtime.sender.Sender._send", None)
        desk.event("the one that kills it")
        await desk.until(lambda s: not cloud(s)["connected"])
    desk.event("after")
    assert await subscriber.saw(count("event", 3), 5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await desk.office.close()
    assert not subscriber.ledger.holes()


@pytest.mark.broker
async def test_edited_configuration_keeps_what_is_queued(mosquitto, subscriber, tmp_path):
    async with working(Desk(tmp_path, upstream(9, window=SECOND))) as desk:
        for n in range(30):
            desk.event(f"queued {n}")
        await desk.until(lambda s: cloud(s)["backlog"] >= 30)
    edited = upstream(mosquitto.port, window=2 * SECOND, values=True)
    async with working(Desk(tmp_path, edited)) as desk:
        desk.event("fresh")
        assert await subscriber.saw(count("event", 31))
        await desk.until(lambda s: cloud(s)["backlog"] == 0)
    texts = [m["text"] for m in subscriber.ledger.messages("event")]
    assert texts == [f"queued {n}" for n in range(30)] + ["fresh"]
    async with working(Desk(tmp_path, edited)) as desk:
        desk.event("again")
        assert await subscriber.saw(count("event", 32))
    assert subscriber.ledger.duplicates == 0, "nothing is said again after a clean stop"
    assert not subscriber.ledger.holes()


@pytest.mark.broker
async def test_new_topic_takes_along_what_was_queued_under_the_old_one(
    mosquitto, upstream_rig, tmp_path
):
    before = replace(upstream(9), topic="edgetwin/gw")
    async with working(Desk(tmp_path, before)) as desk:
        desk.event("queued")
        await desk.until(lambda s: cloud(s)["backlog"] >= 1)
    below = upstream_rig.Subscriber(mosquitto.port, "acme/berlin/gw/#")
    try:
        after = replace(upstream(mosquitto.port), topic="acme/berlin/gw")
        async with working(Desk(tmp_path, after)) as desk:
            desk.event("fresh")
            assert await below.saw(count("event", 2))
        assert [m["text"] for m in below.ledger.messages("event")] == ["queued", "fresh"]
        assert not below.ledger.holes()
    finally:
        below.close()


@pytest.mark.broker
async def test_name_that_is_gone_for_a_while_costs_nothing(
    mosquitto, subscriber, tmp_path, monkeypatch
):
    known, real = threading.Event(), socket.getaddrinfo

    def resolve(host, *rest, **more):
        if host == "broker.test" and not known.is_set():
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real("127.0.0.1" if host == "broker.test" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    plan = upstream(mosquitto.port)
    plan = replace(plan, broker=replace(plan.broker, host="broker.test"))
    async with working(Desk(tmp_path, plan)) as desk:
        for n in range(20):
            desk.event(str(n))
        await desk.until(lambda s: "name cannot be resolved" in cloud(s)["error"])
        assert "plain text" in cloud(desk.office.status())["warning"]
        known.set()
        assert await subscriber.saw(count("event", 20))
    assert not subscriber.ledger.holes()


@pytest.mark.broker
async def test_revoked_credentials_stop_the_line_until_they_are_given_back(
    upstream_rig, tmp_path, monkeypatch
):
    monkeypatch.setattr("edgetwin.runtime.forwarder._REFUSED_WAIT_S", 0.2)
    folder, key = tmp_path / "broker", tmp_path / "password"
    folder.mkdir()
    broker = upstream_rig.Mosquitto(folder, f"password_file {folder}/users", anonymous=False)
    tool = shutil.which("mosquitto_passwd", path=f"{os.environ['PATH']}:/usr/sbin")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed")

    def give(word):
        subprocess.run([tool, "-b", "-c", f"{folder}/users", "gw", word], check=True)

    give("first")
    key.write_text("first\n")
    broker.start()
    plan = upstream(broker.port, user="gw", password_file=key)
    async with working(Desk(tmp_path, plan)) as desk:
        desk.event("one")
        await desk.until(lambda s: cloud(s)["connected"] and not cloud(s)["backlog"])
        await asyncio.to_thread(broker.stop)
        give("second")
        await asyncio.to_thread(broker.start)
        for n in range(20):
            desk.event(f"kept {n}")
        await desk.until(lambda s: "refuses user 'gw'" in cloud(s)["error"])
        assert cloud(desk.office.status())["backlog"] >= 20
        key.write_text("second\n")  # read anew for each connection
        await desk.until(lambda s: cloud(s)["connected"] and not cloud(s)["backlog"])
    await asyncio.to_thread(broker.stop)
