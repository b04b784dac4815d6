"""Every write has its row: who, why, what stood before, what was asked, what came of it."""

import numpy as np
import pytest

from edgetwin.core.frame import Frame, Tick
from edgetwin.core.reading import (
    Authority,
    Instant,
    ReadingBatch,
    WriteOutcome,
    WriteRequest,
    WriteResult,
)
from edgetwin.core.tags import Tag, TagTable
from edgetwin.core.twin import Twin
from edgetwin.storage.database import Database
from edgetwin.storage.journal import Journal, Requested, entries


@pytest.fixture
async def database(tmp_path):
    made = Database(tmp_path / "j.db")
    await made.open()
    yield made
    await made.close()
    made.end()


def request(number, value=7.5):
    return WriteRequest(number, 0, value, Authority.LOOP, "loop pressure", "pid", 99)


async def test_request_and_result_make_one_row(database):
    twin = Twin(TagTable((Tag(0, "skid/speed"),)))
    twin.apply(ReadingBatch(slice(0, 1), np.array([5.0])), Instant(1, 100))
    done = WriteResult(3, 0, WriteOutcome.NOT_VERIFIED, 7.0, "differs")
    frames = (
        Frame(1, Instant(1, 100), Tick(), writes=(request(3),)),
        Frame(2, Instant(2, 200), done, writes=(request(4),)),
    )
    found = [entry for frame in frames for entry in entries(frame, twin)]
    journal = Journal()
    await database.run(journal.open)
    await database.run(lambda tx: journal.write(tx, 9, found))
    newest, row = await database.run(lambda tx: journal.last(tx, 10))
    assert (row.boot, row.number, row.at, row.tag) == (9, 3, 100, "skid/speed")
    assert (row.authority, row.by, row.reason) == ("loop", "loop pressure", "pid")
    assert (row.before, row.value, row.read_back, row.ended) == (5.0, 7.5, 7.0, 200)
    assert (row.outcome, row.detail) == ("not verified", "differs")
    assert (newest.number, newest.outcome, newest.read_back) == (4, None, None)


async def test_value_that_nobody_knew_before_is_null(database):
    journal = Journal()
    await database.run(journal.open)
    unknown = Requested(1, 5, "skid/speed", "loop", "x", "y", float("nan"), 1.0)
    await database.run(lambda tx: journal.write(tx, 1, [unknown]))
    (row,) = await database.run(lambda tx: journal.last(tx, 1))
    assert row.before is None


async def test_oldest_rows_go_when_there_are_too_many(database):
    journal = Journal(rows=100)
    await database.run(journal.open)
    for boot in (1, 2):
        rows = [Requested(n, n, "t", "loop", "x", "y", 0.0, 1.0) for n in range(1, 901)]
        await database.run(lambda tx, boot=boot, rows=rows: journal.write(tx, boot, rows))
    kept = await database.run(lambda tx: journal.last(tx, 10_000))
    assert [(row.boot, row.number) for row in kept] == [(2, n) for n in range(900, 800, -1)]
