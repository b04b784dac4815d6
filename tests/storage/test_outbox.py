"""The outbox against a model of what must be in it: numbers, cursors, quota, gaps."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
        return await self.database.run(self.outbox.open)

    async def write(self, *drafts, wall=9, **acked):
        await self.database.run(lambda tx: self.outbox.write(tx, drafts, Done(acked), wall))

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
