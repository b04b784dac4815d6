"""The OPC UA driver against a real server: what the contract of all drivers does not cover."""

import asyncio
import logging

import numpy as np
import pytest

from edgetwin.core.errors import DeviceLost
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Authority, WriteOutcome, WriteRequest
from edgetwin.core.tags import WriteLimits
from edgetwin.devices.opcua import choice

URI = "urn:edgetwin:test:plant"
ANY = {"write": WriteLimits(-1e30, 1e30)}


def here(*names: str) -> list[str]:
    return [f"nsu={URI};{name}" for name in names]


async def heard(driver, sink, *tags: int) -> None:
    """One scan, and the word of all these tags."""
    sink.heard.clear()
    driver.start_scan(0)
    await sink.until(lambda: set(tags) <= sink.heard, f"tags {tags} heard of")


async def lost(driver) -> str:
    with pytest.raises(DeviceLost) as error:
        async with asyncio.timeout(10):
            await driver.lost()
    return str(error.value)


async def test_text_and_numeric_ids_reach_their_nodes(make, shared_server):
    await shared_server.start()
    driver, sink = make(here("s=Small", "i=1014", "s=Fixed", "i=1090"), shared_server.url)
    await driver.connect()
    await heard(driver, sink, 0, 1, 2, 3)
    assert [sink.values[tag] for tag in range(4)] == [42.0, 42.0, 7.5, 7.5]


async def test_moved_namespace_shows_no_tag_anothers_value(make, server):
    await server.start()
    driver, sink = make(here("s=Double", "i=1010"), server.url)
    await driver.connect()
    await heard(driver, sink, 0, 1)
    server.stop()
    await lost(driver)
    await driver.close()
    await server.start("--fillers", "3")
    await driver.connect()
    await heard(driver, sink, 0, 1)
    assert set(sink.quality.values()) == {Quality.GOOD}
    seen = {float(value) for batch in sink.batches for value in batch.values}
    assert {value for value in seen if not np.isnan(value)} == {6.02214076e23}


async def test_unknown_namespace_is_a_config_error_named_once(make, shared_server, caplog):
    await shared_server.start()
    addresses = ["nsu=urn:nobody;s=Flow", *here("s=Small", "s=Nope")]
    driver, sink = make(addresses, shared_server.url)
    with caplog.at_level(logging.WARNING, "edgetwin"):
        await driver.connect()
        for _ in range(3):
            await heard(driver, sink, 0, 1, 2)
    assert [sink.quality[tag] for tag in range(3)] == [
        Quality.CONFIG_ERROR,
        Quality.GOOD,
        Quality.CONFIG_ERROR,
    ]
    told = [record.getMessage() for record in caplog.records if "'at'" in record.getMessage()]
    assert len(told) == 1
    assert "no namespace urn:nobody" in told[0]
    assert "BadNodeIdUnknown" in told[0]


@pytest.mark.parametrize("subscribe", [False, True], ids=["polled", "subscribed"])
async def test_what_is_no_number_is_bad_with_its_reason(make, shared_server, subscribe):
    await shared_server.start()
    driver, sink = make(
        here("s=Array", "s=Nan", "s=Null", "s=Guid"), shared_server.url, subscribe=subscribe
    )
    await driver.connect()
    await heard(driver, sink, 0, 1, 2, 3)
    assert sink.quality[0] is Quality.CONFIG_ERROR
    assert sink.quality[1] is sink.quality[2] is Quality.NOT_A_NUMBER
    assert sink.quality[3] is Quality.CONFIG_ERROR


async def test_group_larger_than_the_server_takes_is_read_in_parts(make, shared_server):
    await shared_server.start()
    names = ("s=Small", "s=Fixed", "i=1014", "i=1090", "s=Double")
    driver, sink = make(here(*names), shared_server.url, max_nodes=2)
    await driver.connect()
    await heard(driver, sink, *range(5))
    assert [len(batch.values) for batch in sink.batches] == [2, 2, 1]
    assert driver.counters.requests == 3
    assert set(sink.quality.values()) == {Quality.GOOD}


async def test_scaled_tag_is_read_and_written_in_its_unit(make, shared_server):
    await shared_server.start()
    more = {"scale": 0.5, "offset": -40.0, **ANY}
    driver, sink = make(here("i=1003"), shared_server.url, more=more)
    await driver.connect()
    driver.start_write(_request(0, 10.0))
    await sink.until(lambda: bool(sink.results), "the write's result")
    assert sink.results[0].outcome is WriteOutcome.WRITTEN
    assert sink.results[0].read_back == 10.0
    await heard(driver, sink, 0)
    assert sink.values[0] == 10.0


async def test_node_deleted_while_running_is_a_config_error_and_the_rest_stays_good(make, server):
    await server.start()
    driver, sink = make(here("s=Double", "s=Small"), server.url)
    await driver.connect()
    await heard(driver, sink, 0, 1)
    await server.delete("Double")
    await heard(driver, sink, 0, 1)
    assert [sink.quality[0], sink.quality[1]] == [Quality.CONFIG_ERROR, Quality.GOOD]


async def test_subscription_brings_changes_as_one_batch_and_confirms_the_rest(make, server):
    await server.start("--many", "50", "--churn", "40")
    names = [f"s=Many.{n}" for n in range(50)]
    driver, sink = make(here(*names, "s=Small"), server.url, subscribe=True)
    await driver.connect()
    await heard(driver, sink, *range(51))
    sink.batches.clear()
    sink.heard.clear()
    await sink.until(lambda: len(sink.batches) >= 3, "three more notifications")
    assert 50 in sink.heard, "the tag that does not change is confirmed"
    whole = [batch for batch in sink.batches if len(batch.values) == 50]
    assert whole, "the changes of one interval come together"
    assert all(np.all(np.diff(batch.values) == 1.0) for batch in whole)
    assert all(batch.tags == slice(0, 50) for batch in whole)


async def test_lane_that_reads_otherwise_is_not_used(make, shared_server, monkeypatch, caplog):
    await shared_server.start()
    monkeypatch.setattr(choice, "differs", lambda ours, theirs: 1)
    driver, sink = make(here("s=Small"), shared_server.url)
    with caplog.at_level(logging.WARNING, "edgetwin"):
        await driver.connect()
    await heard(driver, sink, 0)
    assert sink.values[0] == 42.0
    assert sum("the slower way" in record.getMessage() for record in caplog.records) == 1


async def test_hung_server_is_lost_in_time_though_nothing_is_asked(make, server):
    await server.start()
    driver, sink = make(here("s=Small"), server.url, timeout=500_000_000)
    await driver.connect()
    await heard(driver, sink, 0)
    server.freeze()
    started = asyncio.get_running_loop().time()
    text = await lost(driver)
    assert asyncio.get_running_loop().time() - started < 2.0
    assert "plc" in text
    assert "no answer for 0.5 s" in text
    await driver.close()
    with pytest.raises(DeviceLost, match="no answer within"):
        await driver.connect()
    await server.start()
    await driver.connect()
    await heard(driver, sink, 0)


async def test_ten_restarts_leave_no_task_and_no_socket(make, shared_server, conformance):
    await shared_server.start()
    driver, sink = make(here("s=Small"), shared_server.url, subscribe=True)
    before = len(asyncio.all_tasks())
    for _ in range(10):
        await driver.connect()
        await heard(driver, sink, 0)
        await driver.close()
    assert len(asyncio.all_tasks()) == before


def _request(tag: int, value: float):
    return WriteRequest(1, tag, value, Authority.TECHNICIAN, "test", "test", 1 << 62)
