"""The desk: what the disk has not kept is not carried out, and everything is answered."""

import asyncio
from dataclasses import replace

import pytest

from edgetwin.config import compile_text
from edgetwin.core.engine import Engine
from edgetwin.core.errors import StorageError
from edgetwin.core.frame import CloudMode
from edgetwin.core.plan import Mode
from edgetwin.core.reading import Instant
from edgetwin.core.request import ModeWanted, WriteWanted
from edgetwin.runtime import desk as desks
from edgetwin.runtime.desk import TRAY, Desk, Petition
from edgetwin.runtime.tally import Tally
from edgetwin.storage.request_log import RequestLog

CONFIG = """\
gateway: g
state: /nowhere
control: {enabled: true}
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:1
    tags:
      p: {at: 3x0001, type: float32}
      n: {at: 4x0001, type: float32, write: {min: 0, max: 9}}
loops:
  pressure: {law: pid, pv: skid/p, sp: 4, mv: skid/n, gain: 1}
upstream:
  cloud:
    broker: mqtt://127.0.0.1
    requests: {keys: [a.pem], tags: [skid/n], loops: [pressure]}
"""
MS = 1_000_000
NOW = 10_000_000 * MS


class Log(RequestLog):
    """The real log, on a disk that can be told to hang or to refuse."""

    def __init__(self, folder):
        super().__init__(folder)
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.error = None
        self.calls = 0
        self.opened = asyncio.Event()

    async def open(self, wall):
        await super().open(wall)
        self.opened.set()

    async def keep(self, claims, outcomes, wall):
        self.calls += 1
        await self.goes_on.wait()
        if self.error is not None:
            raise self.error
        return await super().keep(claims, outcomes, wall)


class Bench:
    def __init__(self, folder):
        self.wall = NOW
        self.engine = Engine(compile_text(CONFIG, "g.yaml"), lambda *_: None)
        self.log = Log(folder)
        self.desk = Desk(self.log, self.turn, lambda: Instant(self.wall, self.wall))
        self.causes = []
        self.tally = Tally("cloud")
        self.replies = asyncio.Queue()

    def turn(self, cause):
        self.causes.append(cause)
        frame = self.engine.turn(cause, Instant(self.wall, self.wall))
        self.desk.put(frame)
        return frame

    def ask(self, sequence=1, wanted=None, **more):
        wanted = wanted or ModeWanted("pressure", Mode.OFF)
        now = self.wall // MS
        petition = Petition(
            *("cloud", "thumb", "room", sequence, f"nonce-{sequence}"),
            *(now, (now + 20_000) * MS, "Anna", wanted, self.replies.put_nowait, self.tally),
        )
        self.desk.take(replace(petition, **more))

    async def reply(self):
        return await asyncio.wait_for(self.replies.get(), 10)


@pytest.fixture
async def bench(tmp_path):
    made = Bench(tmp_path)
    made.wall -= 1000 * MS
    running = asyncio.create_task(made.desk.run())
    await asyncio.wait_for(made.log.opened.wait(), 10)
    made.wall = NOW
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    made.log.goes_on.set()
    made.log.error = None
    await made.desk.end()


async def test_what_is_asked_is_kept_carried_out_and_answered(bench):
    bench.ask()
    reply = await bench.reply()
    assert (reply.key, reply.sequence, reply.nonce) == ("room", 1, "nonce-1")
    assert reply.state == "applied"
    assert bench.causes == [CloudMode("room/1", "cloud", "Anna", "pressure", Mode.OFF)]
    bench.ask(2, WriteWanted("skid/p", 1.0))
    assert (await bench.reply()).state == "invalid"
    bench.ask(3)  # states go to disk with the next claim at the latest
    await bench.reply()
    states = {row.sequence: row.state for row in await bench.log.last(9)}
    assert states[1] == "applied"
    assert states[2] == "invalid"


async def test_a_replay_is_answered_and_not_carried_out(bench):
    bench.ask()
    await bench.reply()
    bench.ask()
    assert "it came before" in (await bench.reply()).reason
    bench.ask(nonce="other")
    assert (await bench.reply()).state == "invalid"
    assert len(bench.causes) == 1
    assert bench.tally.refused == {"replay": 2}


async def test_a_disk_that_refuses_makes_requests_fail(bench):
    bench.log.error = StorageError("no space left")
    bench.ask()
    reply = await bench.reply()
    assert (reply.state, reply.reason) == ("failed", "nothing was done: no space left")
    bench.log.error = None
    bench.ask(2)
    assert (await bench.reply()).state == "applied"
    assert [cause.id for cause in bench.causes] == ["room/2"]


async def test_a_disk_that_hangs_makes_requests_fail_in_time_and_they_stay_undone(bench):
    bench.log.goes_on.clear()
    bench.ask(1)
    assert "does not answer" in (await bench.reply()).reason
    bench.ask(2)
    assert "does not answer" in (await bench.reply()).reason
    assert bench.log.calls == 1
    bench.log.goes_on.set()
    bench.ask(3)
    while (reply := await bench.reply()).state == "failed":
        bench.ask(reply.sequence + 1)
    assert [cause.id for cause in bench.causes] == [f"room/{reply.sequence}"]
    bench.ask(1)
    again = await bench.reply()
    assert (again.state, again.sequence) == ("failed", 1)
    assert "too slow" in again.reason


async def test_a_request_that_expires_while_it_waits_is_not_carried_out(bench):
    bench.log.goes_on.clear()
    bench.ask()
    await asyncio.sleep(0)
    bench.wall += 20_000 * MS
    bench.log.goes_on.set()
    reply = await bench.reply()
    assert reply.state == "failed"
    assert "expired" in reply.reason
    assert bench.causes == []


async def test_a_full_tray_refuses_what_comes_then(bench):
    for sequence in range(1, TRAY + 3):
        bench.ask(sequence)
    refused = [await bench.reply() for _ in range(2)]
    assert {r.sequence for r in refused} == {TRAY + 1, TRAY + 2}
    assert all("wait already" in r.reason for r in refused)
    done = [await bench.reply() for _ in range(TRAY)]
    assert {r.state for r in done} == {"applied"}
    assert bench.tally.taken == TRAY


async def test_after_its_close_nothing_reaches_the_field(bench):
    bench.ask(1)
    bench.desk.close()
    bench.ask(2)
    for _ in range(2):
        assert "the gateway ends" in (await bench.reply()).reason
    assert bench.causes == []


async def test_until_the_log_is_open_requests_are_refused(tmp_path):
    (tmp_path / "requests.db").mkdir()
    bench = Bench(tmp_path)
    bench.ask()
    assert (await bench.reply()).state == "failed"
    with pytest.raises(StorageError):
        await bench.desk.run()
    bench.ask(2)
    assert "requests.db" in (await bench.reply()).reason
    assert bench.causes == []
    bench.log.end()


async def test_every_request_is_counted_once(bench):
    for sequence in (1, 1, 2, 2, 3):
        bench.ask(sequence)
        await bench.reply()
    told = bench.tally.as_dict()
    assert told["taken"] + sum(told["refused"].values()) == 5
    assert sum(told["ended"].values()) == told["taken"] == 3


async def test_a_deadline_of_the_disk_is_shorter_than_the_promised_second():
    assert desks._DISK_S < 1
