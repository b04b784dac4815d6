"""Outbox and journal in one file: what happens when that file is spoiled under way."""

import json
import os

from edgetwin.core.reading import Instant
from edgetwin.storage.journal import Requested
from edgetwin.storage.outbox import Draft, Outbox
from edgetwin.storage.store import Store

NAMES = ("cloud",)


def make(path):
    return Store(path, Outbox(NAMES, 1 << 26), lambda: Instant(5, 17_000_000_000))


def event(number):
    return Draft("event", "event", NAMES, b'{"n":%d}' % number, number)


async def test_records_and_journal_are_kept_together(tmp_path):
    store = make(tmp_path / "outbox.db")
    await store.open()
    written = Requested(1, 5, "skid/speed", "loop", "x", "y", 0.0, 1.0)
    await store.commit([event(1)], [written])
    await store.close()
    await store.open()
    assert [r.sequence for r in await store.read("cloud", 0, 9)] == [1]
    assert [row.tag for row in await store.journal(9)] == ["skid/speed"]
    await store.close()
    store.end()


async def test_damaged_file_is_kept_a_new_one_started_and_the_gap_told(tmp_path, caplog):
    path = tmp_path / "outbox.db"
    store = make(path)
    await store.open()
    await store.commit([event(n) for n in range(200)], [])
    first_log = store.outbox.log
    await store.close()
    path.write_bytes(b"SQLite is not what this is" * 1000)
    await store.open()
    await store.commit([event(1000)], [])
    gap, record = await store.read("cloud", 0, 9)
    assert store.outbox.log != first_log, "numbers start anew, so streams must have new names"
    assert record.sequence == 1
    told = json.loads(gap.body)["gap"]
    assert (told["stream"], told["count"]) == ("*", None)
    assert "outbox.damaged-17.db" in told["reason"]
    assert (tmp_path / "outbox.damaged-17.db").exists()
    assert "set aside" in caplog.text
    await store.close()
    store.end()


async def test_damage_noticed_while_running_costs_no_new_record(tmp_path):
    path = tmp_path / "outbox.db"
    store = make(path)
    await store.open()
    body = b'{"x":"%s"}' % os.urandom(3000).hex().encode()  # more than SQLite keeps in memory
    await store.commit([Draft("event", "event", NAMES, body, n) for n in range(2000)], [])
    await store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    await store.open()
    path.write_bytes(content)
    assert await store.read("cloud", 0, 9000) == []
    await store.commit([event(1000)], [])
    records = await store.read("cloud", 0, 99)
    assert [r.kind for r in records] == ["gap", "event"]
    await store.close()
    store.end()


async def test_quota_shrinks_while_the_disk_is_nearly_full(tmp_path, monkeypatch):
    store = make(tmp_path / "outbox.db")
    await store.open()
    true = os.statvfs(tmp_path)
    nearly_full = os.statvfs_result((*true[:4], (8 << 20) // true.f_frsize, *true[5:]))
    monkeypatch.setattr("edgetwin.storage.store.os.statvfs", lambda _path: nearly_full)
    body = b'{"x":"%s"}' % os.urandom(3000).hex().encode()
    for n in range(20):
        drafts = [Draft("event", "event", NAMES, body, n) for _ in range(50)]
        await store.commit(drafts, [])
    assert store.outbox.bytes <= store.outbox.quota < 4 << 20, "of six megabytes"
    records = await store.read("cloud", 0, 9999)
    gaps = [json.loads(r.body)["gap"] for r in records if r.kind == "gap"]
    assert sum(gap["count"] for gap in gaps) + len(records) - len(gaps) == 1000
    monkeypatch.undo()
    await store.commit([event(1)], [])
    assert store.outbox.quota == 1 << 26
    await store.close()
    store.end()
