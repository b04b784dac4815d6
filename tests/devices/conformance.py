"""What every driver must keep: the seam of ``edgetwin/devices/driver.py`` as checks.

A driver's own tests provide one fixture, ``bench``: the driver, not yet connected, beside a real
server on loopback that is running. ``tests/devices/conftest.py`` then hands each check to

    async def test_driver_keeps_the_contract(check, bench):
        await check(bench)

Nothing here sleeps: every wait is for a fact, and has a deadline.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import pytest

from edgetwin.core.errors import DeviceLost
from edgetwin.core.plan import DevicePlan
from edgetwin.core.quality import Quality
from edgetwin.core.reading import (
    Authority,
    Instant,
    ReadingBatch,
    Scalar,
    WriteOutcome,
    WriteRequest,
    WriteResult,
)
from edgetwin.core.tags import TagTable
from edgetwin.devices.driver import Driver

DEADLINE_S = 10.0
NEVER = 1 << 62


class Recorder:
    """A sink that remembers: each tag's last value and quality, all batches, all write results."""

    def __init__(self) -> None:
        self.batches: list[ReadingBatch] = []
        self.results: list[WriteResult] = []
        self.values: dict[int, Scalar] = {}
        self.quality: dict[int, Quality] = {}
        self.heard: set[int] = set()
        self._news = asyncio.Event()

    def readings(self, batch: ReadingBatch) -> None:
        self.batches.append(batch)
        tags = indices_of(batch)
        quality = np.broadcast_to(np.asarray(batch.quality, np.uint8), (len(tags),))
        for tag, value, code in zip(tags, batch.values, quality, strict=True):
            self.quality[tag] = Quality(int(code))
            self.values[tag] = float(value)
        self.values.update(batch.objects)
        self.heard.update(tags)
        self._news.set()

    def confirmed(self, tags: range) -> None:
        self.heard.update(tags)
        self._news.set()

    def written(self, result: WriteResult) -> None:
        self.results.append(result)
        self._news.set()

    async def until(self, fact: Callable[[], bool], what: str) -> None:
        """Wait for a fact about what was recorded."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not fact():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{what}: not within {DEADLINE_S} s") from None

    async def silence(self) -> None:
        """See that nothing comes for a while."""
        self._news.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await self._news.wait()


class Bench(Protocol):
    """One driver beside one real server.

    ``expected``   tag → the engineering value (or text) that the server holds; all tags that exist
    ``missing``    a tag of the plan that the server does not have
    ``writes``     tag, value: what the server takes; among them 0 and a negative value
    ``read_only``  a tag that the server refuses to write, and a value that would fit
    ``unfit``      a writable tag and a value its type cannot hold
    ``polled``     readings come on ``start_scan`` only (False: a subscription)
    """

    driver: Driver
    plan: DevicePlan
    tags: TagTable
    sink: Recorder
    now: Callable[[], Instant]
    expected: Mapping[int, Scalar]
    missing: int
    writes: tuple[tuple[int, float], ...]
    read_only: tuple[int, float]
    unfit: tuple[int, float]
    polled: bool

    async def start_server(self) -> None:
        """Start the server (again) at the same place."""

    async def stop_server(self) -> None:
        """End the server and close its connections."""

    async def freeze_server(self) -> None:
        """Let the server go silent with the connection open, as a hung device does."""


def indices_of(batch: ReadingBatch) -> list[int]:
    """The twin indices of a batch, one by one."""
    if isinstance(batch.tags, slice):
        return list(range(batch.tags.start, batch.tags.stop, batch.tags.step or 1))
    return [int(i) for i in batch.tags]


def request_for(tag: int, value: float, number: int = 1, expires: int = NEVER) -> WriteRequest:
    """A write as the guard would have let it through."""
    return WriteRequest(number, tag, value, Authority.TECHNICIAN, "test", "conformance", expires)


@contextmanager
def no_task_left() -> Iterator[None]:
    """Whatever the driver started inside is over at the end."""
    before = driver_tasks()
    yield
    left = driver_tasks() - before
    assert not left, f"the driver left tasks behind: {left}"


def driver_tasks() -> set[asyncio.Task[object]]:
    """The tasks that run code of edgetwin/devices."""
    return {
        task
        for task in asyncio.all_tasks()
        if "edgetwin/devices" in getattr(task.get_coro(), "cr_code", task).co_filename
    }


async def connected(bench: Bench) -> None:
    """Connect within the deadline."""
    async with asyncio.timeout(DEADLINE_S):
        await bench.driver.connect()


async def scan_all(bench: Bench) -> None:
    """Scan each group once and wait until every one of its tags was heard of.

    A tag that the device does not have may be spoken of once, and then no more.
    """
    if bench.polled:
        bench.sink.heard.clear()
    for group in bench.plan.groups:
        assert bench.driver.start_scan(group.number), f"group {group.number} was still out"
    known_wrong = {t for t, q in bench.sink.quality.items() if q is Quality.CONFIG_ERROR}
    wanted = {tag for group in bench.plan.groups for tag in group.tags} - known_wrong
    await bench.sink.until(lambda: wanted <= bench.sink.heard, "every tag heard of")


async def write(bench: Bench, request: WriteRequest) -> WriteResult:
    """Write, and wait for the one result."""
    before = len(bench.sink.results)
    bench.driver.start_write(request)
    await bench.sink.until(lambda: len(bench.sink.results) > before, f"result of {request}")
    assert len(bench.sink.results) == before + 1, "one write, one result"
    result = bench.sink.results[-1]
    assert (result.number, result.tag) == (request.number, request.tag)
    return result


async def loss(bench: Bench) -> str:
    """Wait until the driver says that the device is lost; what it says."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            await bench.driver.lost()
    except DeviceLost as lost:
        return str(lost)
    except TimeoutError:
        raise AssertionError(f"lost() did not raise within {DEADLINE_S} s") from None
    raise AssertionError("lost() returned; it must raise DeviceLost")


# ---------------------------------------------------------------- reading


async def every_value_that_the_device_holds_is_read_true_and_good(bench: Bench) -> None:
    await connected(bench)
    await scan_all(bench)
    for tag, value in bench.expected.items():
        name = bench.tags[tag].name
        assert bench.sink.quality[tag] is Quality.GOOD, f"{name}: {bench.sink.quality[tag]!r}"
        seen = bench.sink.values[tag]
        same = seen == value
        if isinstance(value, float):
            same = math.isclose(float(seen), value, rel_tol=1e-12, abs_tol=1e-12)
        assert same, f"{name}: read {seen!r}, the device holds {value!r}"


async def a_tag_that_the_device_does_not_have_is_a_config_error_and_the_others_stay_good(
    bench: Bench,
) -> None:
    await connected(bench)
    for _ in range(3):
        await scan_all(bench)
    assert bench.sink.quality[bench.missing] is Quality.CONFIG_ERROR
    for tag in bench.expected:
        assert bench.sink.quality[tag] is Quality.GOOD, bench.tags[tag].name


async def batches_are_columns_of_equal_length_over_the_devices_own_tags(bench: Bench) -> None:
    await connected(bench)
    await scan_all(bench)
    own = {tag for group in bench.plan.groups for tag in group.tags}
    for batch in bench.sink.batches:
        tags = indices_of(batch)
        assert set(tags) <= own, "a driver speaks of its own tags only"
        assert len(set(tags)) == len(tags) == len(batch.values), "one value for each tag"
        assert batch.values.dtype == np.float64
        if not isinstance(batch.quality, int):
            assert batch.quality.dtype == np.uint8
            assert len(batch.quality) == len(tags)
        if not isinstance(batch.source_time, int):
            assert batch.source_time.dtype == np.int64
            assert len(batch.source_time) == len(tags)
        assert {tag for tag, _ in batch.objects} <= set(tags)


async def a_batch_keeps_its_values_after_later_scans(bench: Bench) -> None:
    await connected(bench)
    await scan_all(bench)
    held = [(batch, batch.values.copy()) for batch in bench.sink.batches]
    for tag, value in bench.writes:
        await write(bench, request_for(tag, value))
    await scan_all(bench)
    for batch, values in held:
        assert np.array_equal(batch.values, values, equal_nan=True), "a batch was written over"


async def a_scan_asked_for_while_the_last_is_out_is_an_overrun(bench: Bench) -> None:
    if not bench.polled:
        return
    await connected(bench)
    for group in bench.plan.groups:
        assert bench.driver.start_scan(group.number)
        assert not bench.driver.start_scan(group.number)
    wanted = {tag for group in bench.plan.groups for tag in group.tags}
    await bench.sink.until(lambda: wanted <= bench.sink.heard, "the first scan's readings")
    await scan_all(bench)


# ---------------------------------------------------------------- writing


async def a_write_is_read_back_and_seen_by_the_next_scan(bench: Bench) -> None:
    await connected(bench)
    stands: dict[int, tuple[float, float]] = {}
    for number, (tag, value) in enumerate(bench.writes, 1):
        result = await write(bench, request_for(tag, value, number))
        name, limits = bench.tags[tag].name, bench.tags[tag].write
        assert limits is not None
        assert result.outcome is WriteOutcome.WRITTEN, f"{name} := {value}: {result}"
        near = limits.tolerance + 1e-9
        assert abs(result.read_back - value) <= near, f"{name}: {result}"
        stands[tag] = (value, near)
        if number % 10 and number < len(bench.writes):
            continue
        await scan_all(bench)
        for other, (wanted, slack) in stands.items():
            await bench.sink.until(
                lambda o=other, w=wanted, s=slack: abs(float(bench.sink.values[o]) - w) <= s,
                f"{bench.tags[other].name} read as {wanted}",
            )


async def a_write_that_the_device_refuses_says_so_in_words(bench: Bench) -> None:
    await connected(bench)
    result = await write(bench, request_for(*bench.read_only))
    assert result.outcome is WriteOutcome.REFUSED, result
    assert len(result.detail) > 10, "the reason in words"
    await scan_all(bench)


async def a_value_that_does_not_fit_is_refused_and_never_sent(bench: Bench) -> None:
    await connected(bench)
    tag, value = bench.unfit
    await scan_all(bench)
    before = bench.sink.values[tag]
    for number, odd in enumerate((value, math.nan, math.inf)):
        result = await write(bench, request_for(tag, odd, number))
        assert result.outcome is WriteOutcome.REFUSED, result
        assert result.detail, "the reason in words"
    await scan_all(bench)
    assert bench.sink.values[tag] == before


async def a_write_whose_time_is_over_expires_unsent(bench: Bench) -> None:
    await connected(bench)
    tag, value = bench.writes[0]
    result = await write(bench, request_for(tag, value, expires=bench.now().mono - 1))
    assert result.outcome is WriteOutcome.EXPIRED, result
    assert math.isnan(result.read_back)


async def a_write_without_a_connection_is_answered_at_once(bench: Bench) -> None:
    result = await write(bench, request_for(*bench.writes[0]))
    assert result.outcome is WriteOutcome.NO_COMMUNICATION, result


# ---------------------------------------------------------------- losing and finding again


async def a_server_that_ends_is_lost_and_found_again_each_time(bench: Bench) -> None:
    for _ in range(3):
        await connected(bench)
        await scan_all(bench)
        await bench.stop_server()
        text = await loss(bench)
        assert bench.plan.name in text, f"the message names the device: {text}"
        await a_write_without_a_connection_is_answered_at_once(bench)
        bench.driver.start_scan(bench.plan.groups[0].number)
        await bench.driver.close()
        await refused_connection_says_what_to_do(bench)
        await bench.start_server()
        bench.sink.quality.clear()
        bench.sink.heard.clear()
    await every_value_that_the_device_holds_is_read_true_and_good(bench)


async def refused_connection_says_what_to_do(bench: Bench) -> None:
    """Part of the check above: nobody listens."""
    with pytest.raises(DeviceLost) as refused:
        await connected(bench)
    text = str(refused.value)
    assert bench.plan.name in text, f"the message names the device: {text}"
    assert len(text) > 40, f"the message names cause and cure: {text}"


async def a_server_that_goes_silent_spoils_its_tags_and_is_lost(bench: Bench) -> None:
    await connected(bench)
    await scan_all(bench)
    await bench.freeze_server()
    watch = asyncio.create_task(loss(bench))
    for group in bench.plan.groups:
        bench.driver.start_scan(group.number)
    bench.driver.start_write(request_for(*bench.writes[0]))
    await bench.sink.until(lambda: bool(bench.sink.results), "the open write's result")
    assert bench.sink.results[0].outcome is WriteOutcome.NO_COMMUNICATION
    while not watch.done():
        for group in bench.plan.groups:
            bench.driver.start_scan(group.number)
        await asyncio.wait({watch}, timeout=0.02)
    assert bench.plan.name in await watch
    if bench.polled:
        silent = {Quality.NO_COMMUNICATION}
        await bench.sink.until(
            lambda: {bench.sink.quality[tag] for tag in bench.expected} == silent,
            "the last of what was asked to be given up",
        )


async def a_driver_that_is_closed_says_no_more_and_leaves_nothing(bench: Bench) -> None:
    await bench.driver.close()
    with no_task_left():
        await connected(bench)
        for group in bench.plan.groups:
            bench.driver.start_scan(group.number)
        bench.driver.start_write(request_for(*bench.writes[0]))
        async with asyncio.timeout(DEADLINE_S):
            await bench.driver.close()
        assert [r.outcome for r in bench.sink.results] == [WriteOutcome.NO_COMMUNICATION]
        heard = len(bench.sink.batches)
        await bench.driver.close()
        assert bench.driver.start_scan(bench.plan.groups[0].number) in (True, False)
        await bench.sink.silence()
        assert len(bench.sink.batches) == heard, "a closed driver must be silent"
    await connected(bench)
    await scan_all(bench)


CHECKS: tuple[Callable[[Bench], Awaitable[None]], ...] = (
    every_value_that_the_device_holds_is_read_true_and_good,
    a_tag_that_the_device_does_not_have_is_a_config_error_and_the_others_stay_good,
    batches_are_columns_of_equal_length_over_the_devices_own_tags,
    a_batch_keeps_its_values_after_later_scans,
    a_scan_asked_for_while_the_last_is_out_is_an_overrun,
    a_write_is_read_back_and_seen_by_the_next_scan,
    a_write_that_the_device_refuses_says_so_in_words,
    a_value_that_does_not_fit_is_refused_and_never_sent,
    a_write_whose_time_is_over_expires_unsent,
    a_write_without_a_connection_is_answered_at_once,
    a_server_that_ends_is_lost_and_found_again_each_time,
    a_server_that_goes_silent_spoils_its_tags_and_is_lost,
    a_driver_that_is_closed_says_no_more_and_leaves_nothing,
)
