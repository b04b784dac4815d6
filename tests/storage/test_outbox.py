"""The outbox against a model of what must be in it: numbers, cursors, quota, gaps."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetwin.core import compact, payload
from edgetwin.core.summary import Columns, Summary
from edgetwin.storage.database import Database
from edgetwin.storage.outbox import Done, Draft, Outbox

BOTH = ("cloud", "plant")


def draft(stream="event", upstreams=BOTH, body=b'{"a":1}', wall=5):
    return Draft(stream.partition("-")[0], stream, upstreams, body, wall)


class Box:
    """An outbox over a real file, reopened at will."""

    def __init__(self, path, quota=1 << 20):
        self.database = Database(path)
        self.quota = quota
        self.upstreams = BOTH

    async def open(self):
        self.outbox = Outbox(self.upstreams, self.quota)
        await self.database.open()
        gone = await self.database.run(self.outbox.open)
        self.outbox.publish()
        return gone

    async def write(self, *drafts, wall=9, **acked):
        await self.database.run(lambda tx: self.outbox.write(tx, drafts, Done(acked), wall))
        self.outbox.publish()

    async def read(self, upstream="cloud", after=0, limit=1000):
        return await self.database.run(lambda tx: self.outbox.read(tx, upstream, after, limit))

    async def rows(self):
        return await self.database.run(lambda tx: tx.number("SELECT count(*) FROM records"))


@pytest.fixture
async def box(tmp_path):
    made = Box(tmp_path / "outbox.db")
    await made.open()
    yield made
    await made.database.close()
    made.database.end()


async def test_each_stream_counts_for_itself_and_names_its_log(box):
    await box.write(draft("event"), draft("summary-10s"), draft("event"))
    records = await box.read()
    log = box.outbox.log
    assert [(r.stream, r.sequence) for r in records] == [
        (f"event@{log}", 1),
        (f"summary-10s@{log}", 1),
        (f"event@{log}", 2),
    ]
    assert [r.kind for r in records] == ["event", "summary", "event"]
    assert json.loads(records[2].payload) == {
        "v": 1,
        "stream": f"event@{log}",
        "seq": 2,
        "boot": 1,
        "a": 1,
    }


async def test_numbers_go_on_over_restarts_and_each_start_has_a_boot_number(box):
    for boot in (1, 2, 3):
        assert box.outbox.boot == boot
        await box.write(draft())
        await box.open()
    assert [(r.sequence, r.boot) for r in await box.read()] == [(1, 1), (2, 2), (3, 3)]


async def test_records_are_deleted_when_the_last_upstream_has_them(box):
    await box.write(*[draft() for _ in range(5)])
    await box.write(cloud=5)
    assert await box.rows() == 5
    await box.write(plant=3)
    assert await box.rows() == 2
    await box.write(plant=5)
    assert await box.rows() == 0
    assert box.outbox.bytes == 0


async def test_upstream_gets_only_its_own_and_does_not_hold_up_the_rest(box):
    await box.write(draft(upstreams=("cloud",)), draft("values", upstreams=("plant",)))
    assert [r.stream.partition("@")[0] for r in await box.read("plant")] == ["values"]
    assert {n: b.records for n, b in box.outbox.backlog.items()} == {"cloud": 1, "plant": 1}
    await box.write(cloud=1)
    assert box.outbox.cursors == {"cloud": 2, "plant": 0}, "who waits for nothing is at the head"
    await box.write(plant=2)
    assert await box.rows() == 0


async def test_cursor_never_moves_back(box):
    await box.write(*[draft() for _ in range(5)])
    await box.write(cloud=4)
    await box.write(cloud=2)
    assert box.outbox.cursors["cloud"] == 4
    assert box.outbox.backlog["cloud"].records == 1


async def test_unacknowledged_records_are_there_after_a_restart(box):
    await box.write(*[draft(wall=100 + i) for i in range(5)])
    await box.write(cloud=2, plant=3)
    await box.open()
    assert box.outbox.cursors == {"cloud": 2, "plant": 3}
    assert box.outbox.backlog["cloud"].records == 3
    assert box.outbox.backlog["cloud"].oldest == 102
    assert [r.sequence for r in await box.read(after=2)] == [3, 4, 5]


async def test_new_upstream_starts_with_what_comes_and_a_removed_one_is_named(box):
    await box.write(draft())
    box.upstreams = ("plant", "third")
    assert await box.open() == ("cloud",)
    await box.write(draft(upstreams=box.upstreams))
    assert [r.sequence for r in await box.read("third", box.outbox.cursors["third"])] == [2]
    assert [r.sequence for r in await box.read("plant", box.outbox.cursors["plant"])] == [1, 2]


async def test_quota_drops_the_oldest_summaries_first_and_tells_which(box):
    box.quota = 64_000
    await box.open()
    for _ in range(300):
        await box.write(draft(), draft("summary-10s", body=b'{"x":"%s"}' % (b"x" * 500)))
        assert box.outbox.bytes <= box.quota + 1000
    records = await box.read()
    events = [r.sequence for r in records if r.kind == "event"]
    assert events == list(range(1, 301)), "events are the last to go"
    kept = {r.sequence for r in records if r.kind == "summary"}
    told = set()
    for gap in (json.loads(r.body)["gap"] for r in records if r.kind == "gap"):
        assert gap["stream"].startswith("summary-10s@")
        numbers = set(range(gap["from_seq"], gap["to_seq"] + 1))
        assert len(numbers) == gap["count"]
        assert not told & numbers
        told |= numbers
    assert kept | told == set(range(1, 301))
    assert not kept & told
    assert box.outbox.backlog["cloud"].records == len(records)


async def test_quota_takes_events_when_nothing_else_is_left_and_gaps_stay(box):
    box.quota = 64_000
    await box.open()
    for _ in range(50):
        await box.write(*[draft() for _ in range(30)])
    records = await box.read(limit=9999)
    kept = {r.sequence for r in records if r.kind == "event"}
    gaps = [json.loads(r.body)["gap"] for r in records if r.kind == "gap"]
    told = {n for gap in gaps for n in range(gap["from_seq"], gap["to_seq"] + 1)}
    assert all(gap["stream"].startswith("event@") for gap in gaps)
    assert kept
    assert told
    assert kept | told == set(range(1, 1501)), "sent + told = made, exactly"
    assert not kept & told


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.sampled_from([("cloud",), ("plant",), BOTH])),
            st.tuples(st.just("ack"), st.sampled_from(BOTH), st.integers(1, 5)),
            st.tuples(st.just("restart")),
        ),
        max_size=30,
    )
)
async def test_each_upstream_gets_each_of_its_records_once_and_in_order(tmp_path_factory, steps):
    box = Box(tmp_path_factory.mktemp("box") / "outbox.db")
    await box.open()
    made = {name: [] for name in BOTH}
    got = {name: [] for name in BOTH}
    acked = dict.fromkeys(BOTH, 0)
    for number, step in enumerate(steps):
        if step[0] == "write":
            await box.write(draft(upstreams=step[1], body=b'{"n":%d}' % number))
            for name in step[1]:
                made[name].append(number)
        elif step[0] == "ack":
            name, limit = step[1:]
            records = await box.read(name, max(acked[name], box.outbox.cursors[name]), limit)
            got[name] += [json.loads(r.body)["n"] for r in records]
            if records:
                acked[name] = records[-1].position
                await box.write(**{name: acked[name]})
        else:
            await box.open()
        for name in BOTH:
            assert box.outbox.backlog[name].records == len(made[name]) - len(got[name])
    for name in BOTH:
        rest = await box.read(name, max(acked[name], box.outbox.cursors[name]))
        assert got[name] + [json.loads(r.body)["n"] for r in rest] == made[name]
    await box.database.close()
    box.database.end()


async def close(box):
    """As an upstream does that has come back to a long backlog."""
    await box.database.run(lambda tx: box.outbox.write(tx, (), Done(close=True), 9))
    box.outbox.publish()


async def strike(box, name, *positions):
    done = Done(beyond={name: positions})
    await box.database.run(lambda tx: box.outbox.write(tx, (), done, 9))
    box.outbox.publish()


async def test_closed_streams_tell_their_last_numbers_and_new_ones_begin(box):
    await box.write(draft(), draft(), draft("summary-10s"))
    await close(box)
    await box.write(draft())
    log = box.outbox.log
    closing, later = await box.read(after=box.outbox.split)
    assert json.loads(closing.body)["closed"] == {f"event@{log}": 2, f"summary-10s@{log}": 1}
    assert (closing.kind, closing.stream, closing.sequence) == ("closed", f"closed@{log}.2", 1)
    assert (later.stream, later.sequence) == (f"event@{log}.2", 1)
    await box.open()
    await box.write(draft())
    assert (await box.read())[-1].sequence == 2, "a restart goes on in the same section"
    await close(box)
    closing = (await box.read(after=box.outbox.split))[0]
    assert json.loads(closing.body)["closed"] == {f"closed@{log}.2": 1, f"event@{log}.2": 2}


async def test_what_is_acknowledged_ahead_of_the_cursor_is_not_given_again(box):
    await box.write(*[draft() for _ in range(6)])
    await strike(box, "cloud", 4, 5)
    assert [r.position for r in await box.read("cloud")] == [1, 2, 3, 6]
    assert [r.position for r in await box.read("plant")] == [1, 2, 3, 4, 5, 6]
    assert box.outbox.backlog["cloud"].records == 4
    await strike(box, "cloud", 4)
    assert box.outbox.backlog["cloud"].records == 4, "once is enough"
    await strike(box, "plant", 5)
    assert await box.rows() == 5, "who has it all lets go of it"
    await box.write(cloud=6, plant=6)
    assert await box.rows() == 0
    assert box.outbox.bytes == 0


SECOND = 1_000_000_000
WALL = 1_732_278_000 * SECOND


def summary(n, tags=100):
    """A summary of ten seconds: each number in it is new."""
    ones = [n + i / 7 for i in range(tags)]
    body = {
        "birth": "b1",
        "from": n * 10_000,
        "to": (n + 1) * 10_000,
        "frames": [n, n],
        "lost": 0,
        "count": [100] * tags,
        "good": [1] * tags,
        "min": ones,
        "max": ones,
        "mean": ones,
        "last": ones,
        "quality": [0] * tags,
    }
    wall = WALL + (n + 1) * 10 * SECOND
    return Draft(
        "summary", "summary-10s", BOTH, json.dumps(body, separators=(",", ":")).encode(), wall
    )


def numbers_of(records):
    """Numbers of summaries sent whole, thinned away, and told as lost."""
    whole, thinned, lost = [], [], []
    for record in records:
        body = json.loads(record.body)
        if record.kind == "summary" and "thinned" in body:
            span = body["thinned"]
            thinned += range(span["from_seq"], span["to_seq"] + 1)
            assert span["count"] == span["to_seq"] - span["from_seq"] + 1
            assert span["to_seq"] == record.sequence
            assert body["count"][0] == 100 * span["count"]
        elif record.kind == "summary":
            whole.append(record.sequence)
        elif record.kind == "gap" and body["gap"]["stream"].startswith("summary"):
            told = range(body["gap"]["from_seq"], body["gap"]["to_seq"] + 1)
            assert len(told) == body["gap"]["count"]
            lost += told
    return whole, thinned, lost


@pytest.mark.parametrize(("quota", "loses"), [(400_000, False), (28_000, True)])
async def test_days_without_a_broker_are_thinned_then_dropped_and_add_up(box, quota, loses):
    box.quota = quota
    await box.open()
    made = 800
    for n in range(made):
        await box.write(summary(n), *([draft()] if n % 40 == 0 else []), wall=n)
        assert box.outbox.bytes <= quota
    files = sum(path.stat().st_size for path in box.database.path.parent.glob("outbox.db"))
    assert files <= quota + (1 << 20)
    records = await box.read(limit=99_999)
    whole, thinned, lost = numbers_of(records)
    assert sorted(whole + thinned + lost) == list(range(1, made + 1)), "each once"
    assert thinned
    assert bool(lost) == loses
    if not loses:  # else even the present is thinned
        assert whole[-1] == made, "the present is whole"
        assert max(thinned) < min(whole)
    events = [r.sequence for r in records if r.kind == "event"]
    assert events == list(range(1, made // 40 + 1)), "events are the last to go"
    assert box.outbox.backlog["cloud"].records == len(records)


@pytest.mark.parametrize("size", [20, 90, 170, 250, 300, 400, 500, 700, 950, 5000])
async def test_what_records_are_said_to_take_is_what_the_file_takes(box, size):
    await box.open()
    box.outbox.quota = 1 << 30
    body = b"{" + os.urandom(size // 2).hex().encode()
    await box.write(*(replace(draft(body=body), stored=body) for _ in range(1_000_000 // size)))
    said = box.outbox.bytes
    await box.database.close()
    takes = box.database.path.stat().st_size
    assert 0.6 * said < takes < 1.2 * said


async def test_summary_in_steps_is_read_as_it_was_first_sent(box):
    await box.open()
    n = 50
    none, some = np.zeros(0, np.int64), np.arange(n) / 10
    columns = Columns(
        *[np.full(n, 100)] * 2, *[some] * 6, none, none, none / 1, np.zeros(n, np.uint8)
    )
    stored, told = compact.squeeze(Summary("", WALL, WALL + SECOND, 1, 100, 0, columns), "b1")
    body = payload.summary(told, "b1")
    made = Draft("summary", "summary-1s", BOTH, body, WALL, stored)
    await box.write(*[made] * 25)
    first = [record.body for record in await box.read()]
    await box.database.close()
    await box.open()
    assert [record.body for record in await box.read()] == first == [body] * 25


async def test_what_may_be_on_its_way_is_not_thinned(box):
    box.quota = 100_000
    await box.open()
    for n in range(30):
        await box.write(summary(n))
    sent = await box.read(limit=20)
    for n in range(30, 400):
        await box.write(summary(n))
    whole, thinned, lost = numbers_of(await box.read(limit=99_999))
    assert not set(thinned) & {r.sequence for r in sent}
    assert sorted(whole + thinned + lost) == list(range(1, 401))


async def test_summaries_of_two_births_are_not_mixed(box):
    box.quota = 30_000
    await box.open()
    for n in range(120):
        made = summary(n)
        other = made.body.replace(b'"b1"', b'"b2"') if n % 12 >= 7 else made.body
        await box.write(Draft("summary", "summary-10s", BOTH, other, made.wall))
    records = [r for r in await box.read(limit=9999) if r.kind == "summary"]
    assert any(b"thinned" in r.body for r in records)
    for body in (json.loads(r.body) for r in records):
        middle = {round(n) % 12 >= 7 for n in (body["min"][0], body["max"][0])}
        assert middle == {body["birth"] == "b2"}


async def test_file_of_an_older_version_gets_its_new_column(tmp_path):
    box = Box(tmp_path / "outbox.db")
    await box.database.open()
    await box.database.run(
        lambda tx: tx.run(
            "CREATE TABLE records (position INTEGER PRIMARY KEY, kind TEXT, stream TEXT,"
            " seq INTEGER, boot INTEGER, wall INTEGER, body BLOB, upstreams TEXT)"
        )
    )
    await box.open()
    await box.write(draft())
    assert len(await box.read()) == 1
    await box.database.close()
    box.database.end()
