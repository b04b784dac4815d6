"""The door to SQLite, on real files: what a commit means, and what a broken file does."""

import contextlib
import sqlite3

import pytest

from edgetwin.core.errors import StorageError
from edgetwin.storage.database import Damaged, Database


@pytest.fixture
async def database(tmp_path):
    made = Database(tmp_path / "x.db")
    await made.open()
    yield made
    await made.close()
    made.end()


def fill(tx):
    tx.run("CREATE TABLE t (a)")
    tx.many("INSERT INTO t VALUES (?)", [(i,) for i in range(1000)])


async def test_work_is_kept_over_close_and_open(database):
    await database.run(fill)
    await database.close()
    await database.open()
    assert await database.run(lambda tx: tx.number("SELECT count(*) FROM t")) == 1000


async def test_work_that_fails_leaves_nothing_behind(database):
    def fail(tx):
        fill(tx)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        await database.run(fail)
    with pytest.raises(StorageError, match="no such table"):
        await database.run(lambda tx: tx.rows("SELECT * FROM t"))


async def test_commits_reach_the_disk_and_only_the_owner_reads_the_file(database):
    (synchronous,) = (await database.run(lambda tx: tx.rows("PRAGMA synchronous")))[0]
    (mode,) = (await database.run(lambda tx: tx.rows("PRAGMA journal_mode")))[0]
    assert (synchronous, mode) == (2, "wal")
    await database.run(fill)
    for part in database.path.parent.iterdir():
        assert part.stat().st_mode & 0o777 == 0o600, part


@pytest.mark.parametrize("spoil", ["all", "pages"])
async def test_damaged_file_is_noticed_and_set_aside(database, spoil):
    await database.run(fill)
    await database.close()
    content = bytearray(database.path.read_bytes())
    start = 0 if spoil == "all" else 4096
    content[start:] = b"\xa5" * (len(content) - start)
    database.path.write_bytes(content)
    with pytest.raises(Damaged, match=r"x\.db"):
        await database.open()
    aside = await database.set_aside("17")
    assert aside.name == "x.damaged-17.db"
    assert aside.read_bytes() == content
    await database.open()
    await database.run(fill)


async def test_file_that_another_program_holds_is_told_with_a_cure(database):
    await database.run(fill)
    await database.close()
    with contextlib.closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="Another program has the file open"):
            await database.open()
    await database.open()
    assert await database.run(lambda tx: tx.number("SELECT count(*) FROM t")) == 1000


async def test_directory_that_is_missing_is_named(tmp_path):
    database = Database(tmp_path / "nowhere" / "x.db")
    with pytest.raises(StorageError, match="nowhere"):
        await database.open()
    with pytest.raises(StorageError, match="not open"):
        await database.run(fill)
    database.end()


async def test_full_file_refuses_and_keeps_what_it_had(database):
    await database.run(fill)
    await database.run(lambda tx: tx.run("PRAGMA max_page_count=20"))
    with pytest.raises(StorageError, match="Free some space"):
        await database.run(
            lambda tx: tx.many("INSERT INTO t VALUES (?)", [(b"x" * 1000,) for _ in range(200)])
        )
    assert await database.run(lambda tx: tx.number("SELECT count(*) FROM t")) == 1000
