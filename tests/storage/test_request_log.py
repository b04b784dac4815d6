"""The log of requests: none twice, over restarts and kills; a damaged file takes nothing old."""

import asyncio
import sys
from dataclasses import replace

import pytest

from edgetwin.core.errors import StorageError
from edgetwin.storage.request_log import FILE, Claim, Outcome, RequestLog

MS = 1_000_000
MADE = 1_000 * MS
CLAIM = Claim("thumb", 5, "nonce-5", 2_000, 2_000 * MS, "cloud", "Anna", "skid/n to 5")


@pytest.fixture
async def kept(tmp_path):
    log = RequestLog(tmp_path)
    await log.open(MADE)
    yield log
    await log.close()
    log.end()


async def one(log, claim, *outcomes):
    (standing,) = await log.keep([claim], outcomes, 0)
    return standing


def other(sequence, nonce, **more):
    return replace(CLAIM, sequence=sequence, nonce=nonce, **more)


async def test_a_number_is_taken_once_and_only_upwards(kept):
    assert (await one(kept, CLAIM)).taken
    for claim in (CLAIM, other(4, "nonce-4"), other(5, "another"), other(6, "nonce-5")):
        assert not (await one(kept, claim)).taken
    assert (await one(kept, other(6, "nonce-6"))).taken
    assert (await one(kept, other(1, "nonce-5", key="other"))).taken


async def test_the_same_request_again_is_told_how_it_stands(kept):
    await one(kept, CLAIM)
    assert (await one(kept, CLAIM)).state == "open"
    outcome = Outcome("thumb", 5, "applied", "read back", 3_000 * MS)
    standing = await one(kept, CLAIM, outcome)
    assert (standing.taken, standing.state, standing.reason) == (False, "applied", "read back")
    assert (await one(kept, other(5, "stolen"))).state == ""


async def test_two_of_one_number_in_one_batch_are_one(kept):
    standings = await kept.keep([CLAIM, CLAIM, other(5, "x")], (), 0)
    assert [s.taken for s in standings] == [True, False, False]


async def test_what_was_issued_before_the_file_was_made_is_refused(kept):
    standing = await one(kept, other(9, "nonce-9", issued=1_000))
    assert not standing.taken
    assert "before" in standing.reason
    assert (await one(kept, other(9, "nonce-9", issued=1_001))).taken


async def test_what_has_no_number_is_given_the_next(kept):
    claim = other(0, "")
    assert [s.sequence for s in await kept.keep([claim, claim], (), 0)] == [1, 2]


async def test_after_a_restart_nothing_is_taken_again_and_what_was_open_has_failed(tmp_path):
    for life in range(2):
        log = RequestLog(tmp_path)
        await log.open((1_000 + life) * MS)
        assert (await one(log, CLAIM)).taken is (life == 0)
        (row,) = await log.last(9)
        assert (row.state, row.by) == (("open", "failed")[life], "Anna")
        await log.close()
        log.end()


async def test_what_was_kept_survives_a_kill(tmp_path):
    program = f"""
import asyncio, os, pathlib
from edgetwin.storage.request_log import Claim, RequestLog
async def main():
    log = RequestLog(pathlib.Path({str(tmp_path)!r}))
    await log.open({MADE})
    await log.keep([{CLAIM!r}], (), 0)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await killed.wait() == -9
    log = RequestLog(tmp_path)
    await log.open(MADE)
    assert not (await one(log, CLAIM)).taken
    await log.close()
    log.end()


async def test_a_damaged_file_is_set_aside_and_old_requests_are_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    log = RequestLog(tmp_path)
    await log.open(3_000 * MS)
    assert not (await one(log, CLAIM)).taken
    assert (await one(log, other(6, "nonce-6", issued=3_001))).taken
    assert list(tmp_path.glob("requests.damaged-*"))
    await log.close()
    log.end()


async def test_old_rows_go_and_their_numbers_stay_used(tmp_path):
    log = RequestLog(tmp_path, rows=10)
    await log.open(MADE)
    claims = [other(n, f"nonce-{n}", at=n) for n in range(1, 1500)]
    await log.keep(claims, (), 0)
    assert len(await log.last(5000)) < 1100
    assert not (await one(log, other(1, "nonce-1"))).taken
    await log.close()
    log.end()


async def test_a_disk_that_refuses_takes_nothing(tmp_path):
    (tmp_path / FILE).mkdir()
    log = RequestLog(tmp_path)
    with pytest.raises(StorageError):
        await log.open(MADE)
    log.end()
