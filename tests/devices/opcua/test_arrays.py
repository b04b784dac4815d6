"""Arrays as tags: one node read or reported, a value and a quality for each element."""

import asyncio
import math
from dataclasses import replace

import numpy as np
import pytest
from asyncua.client.ua_client import UaClient
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.nodes import parse_opcua
from edgetwin.core.plan import DevicePlan, OpcuaSettings, ScanGroup, Security
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Authority, Instant, WriteOutcome, WriteRequest
from edgetwin.core.tags import Tag, TagTable, WriteLimits
from edgetwin.devices.opcua import OpcuaDriver, choice
from edgetwin.devices.opcua.arrays import Arrays
from edgetwin.devices.opcua.batches import Batches
from edgetwin.devices.opcua.columns import DATETIME, Array, Columns

URI = "urn:edgetwin:test:tree"
SECOND = 1_000_000_000
WAYS = pytest.mark.parametrize(
    ("subscribe", "stock"),
    [(False, False), (True, False), (False, True), (True, True)],
    ids=["polled", "subscribed", "polled by the stock lane", "subscribed by the stock lane"],
)


def elements(name: str, size: int) -> list:
    whole = parse_opcua(f"nsu={URI};s={name}")
    return [replace(whole, element=str(number), of_array=True) for number in range(size)]


def table(addresses: list, **more) -> TagTable:
    return TagTable(
        tuple(Tag(i, f"skid/{i}", device=0, address=at, **more) for i, at in enumerate(addresses))
    )


@pytest.fixture
def tree(shared_tree):
    return shared_tree


async def begin(tree, *arguments: str) -> None:
    """The server with these options, its arrays as they were."""
    await tree.start(*arguments)
    await tree.order("list", "Curve", "1,2,3")


@pytest.fixture
async def connect(conformance, tree, monkeypatch):
    made = []

    async def build(addresses, *, subscribe=False, stock=False, **more):
        if stock:
            monkeypatch.setattr(choice.FastLane, "fits", lambda client: False)
        tags, sink = table(addresses, **more), conformance.Recorder()
        groups = (ScanGroup(0, 50_000_000, range(len(tags))),)
        url = tree.url.replace("/test", "/tree")
        ua = OpcuaSettings(url, subscribe=subscribe, security=Security.NONE, timeout=SECOND)
        plan = DevicePlan(0, "skid", "opcua", ua, groups, SECOND // 5)
        loop = asyncio.get_running_loop()
        now = lambda: Instant(int(loop.time() * 1e9), 0)  # noqa: E731 (a clock is a function)
        driver = OpcuaDriver(plan, tags, sink, now)
        await driver.connect()
        watch = asyncio.create_task(driver.lost())
        made.append((driver, watch))
        return driver, sink

    yield build
    for driver, watch in made:
        await driver.close()
        await asyncio.wait({watch})
        watch.exception()


async def becomes(driver, sink, expected: dict) -> None:
    """Scan until the tags have these values, or these qualities."""

    def differ():
        driver.start_scan(0)
        for tag, value in expected.items():
            is_quality = isinstance(value, Quality)
            seen = sink.quality.get(tag) if is_quality else sink.values.get(tag)
            good = is_quality or sink.quality.get(tag) == Quality.GOOD
            if seen != value or not good:
                return True
        return False

    again = asyncio.Event()
    async with asyncio.timeout(10):
        while differ():
            again.clear()
            asyncio.get_running_loop().call_later(0.05, again.set)
            await again.wait()


@WAYS
async def test_each_element_is_a_tag_beside_others_and_follows_the_array(
    connect, tree, subscribe, stock
):
    await begin(tree)
    speed = parse_opcua(f"nsu={URI};s=Speed")
    places = [speed, *elements("Curve", 4), *elements("Names", 2), *elements("Large", 2), speed]
    driver, sink = await connect(places, subscribe=subscribe, stock=stock)
    await becomes(driver, sink, {0: 100.0, 1: 1.0, 2: 2.0, 3: 3.0, 4: Quality.CONFIG_ERROR})
    await becomes(driver, sink, {5: "a", 6: "b", 7: 2**60 + 1, 8: 7.0, 9: 100.0})
    await tree.order("list", "Curve", "4,5,6,7,8")
    await becomes(driver, sink, {1: 4.0, 2: 5.0, 3: 6.0, 4: 7.0})
    await tree.order("list", "Curve", "9")
    await becomes(driver, sink, {1: 9.0, 2: Quality.CONFIG_ERROR, 4: Quality.CONFIG_ERROR})


async def test_array_of_times_tells_each_time(connect, tree):
    await begin(tree)
    driver, sink = await connect(elements("Moments", 2))
    wanted = {0: "2026-03-01T12:00:00+00:00", 1: "2026-03-02T00:00:00+00:00"}
    await becomes(driver, sink, wanted)


@pytest.mark.parametrize("subscribe", [False, True])
async def test_one_node_is_asked_for_however_many_elements_are_tags(connect, tree, subscribe):
    await begin(tree)
    driver, sink = await connect(elements("Curve", 3), subscribe=subscribe)
    await becomes(driver, sink, {0: 1.0, 1: 2.0, 2: 3.0})
    (group,) = driver._link._groups[0]
    nodes = group._nodes
    assert list(nodes) == [0]
    assert all(len(batch.values) == 3 for batch in sink.batches)


async def test_server_that_writes_no_single_element_is_read_but_not_written(connect, tree, caplog):
    await begin(tree)
    driver, sink = await connect(elements("Curve", 3), write=WriteLimits(0, 9))
    await becomes(driver, sink, {0: 1.0, 1: 2.0, 2: 3.0})
    assert "does not write one element" in caplog.text
    driver.start_write(WriteRequest(1, 1, 7.0, Authority.TECHNICIAN, "t", "t", 1 << 62))
    await sink.until(lambda: bool(sink.results), "the result")
    assert sink.results[0].outcome is WriteOutcome.REFUSED
    await becomes(driver, sink, {0: 1.0, 1: 2.0, 2: 3.0})


@pytest.mark.parametrize("subscribe", [False, True])
async def test_what_is_no_array_has_no_elements(connect, tree, caplog, subscribe):
    await begin(tree)
    driver, sink = await connect(
        [*elements("Flow", 2), *elements("Matrix", 2)], subscribe=subscribe
    )
    await becomes(driver, sink, dict.fromkeys(range(4), Quality.CONFIG_ERROR))
    assert "it holds one Double and no array. Remove 'elements'" in caplog.text


@WAYS
async def test_one_element_is_written_and_the_others_stay(connect, tree, subscribe, stock):
    await begin(tree, "--parts")
    limits = WriteLimits(0, 9)
    driver, sink = await connect(
        elements("Curve", 3), subscribe=subscribe, stock=stock, write=limits
    )
    await becomes(driver, sink, {0: 1.0, 1: 2.0, 2: 3.0})
    for number, tag in enumerate((0, 2)):
        driver.start_write(WriteRequest(number, tag, 7.0, Authority.TECHNICIAN, "t", "t", 1 << 62))
        await sink.until(lambda n=number: len(sink.results) > n, "the result")
        assert (sink.results[-1].outcome, sink.results[-1].read_back) == (WriteOutcome.WRITTEN, 7.0)
    await becomes(driver, sink, {0: 7.0, 1: 2.0, 2: 7.0})


def wishes(values):
    return [
        WriteRequest(n, n, float(v), Authority.CLOUD, "t", "t", 1 << 62)
        for n, v in enumerate(values)
    ]


async def written(driver, sink, values):
    """Write them as one array; the result of each element."""
    sink.results.clear()
    driver.start_array(wishes(values))
    await sink.until(lambda: len(sink.results) == len(values), "all results")
    return sink.results


EXTREMES = {
    "Boolean": [False, True, False],
    "SByte": [-128, 127, 0],
    "Byte": [0, 255, 1],
    "Int16": [-32768, 0, 32767],
    "UInt16": [65535, 0, 1],
    "Int32": [-(2**31), 2**31 - 1, 0],
    "UInt32": [2**32 - 1, 0, 1],
    "Int64": [-(2**63), 0, 2**53],
    "UInt64": [2**53, 0, 1],
    "Float": [-1.5, 0.0, 2.0**100],
    "Double": [0.1, -0.0, -1e300],
}


@pytest.mark.parametrize("stock", [False, True], ids=["fast", "stock"])
@pytest.mark.parametrize("parts", [True, False], ids=["in parts", "whole"])
@pytest.mark.parametrize("name", EXTREMES)
async def test_array_of_every_type_is_written_as_one_and_read_as_written(
    connect, tree, name, parts, stock
):
    await begin(tree, "--arrays", *(["--parts"] if parts else []))
    limits = WriteLimits(-math.inf, math.inf)
    driver, sink = await connect(elements(name, 3), stock=stock, write=limits)
    await becomes(driver, sink, dict.fromkeys(range(3), Quality.GOOD))
    for turn in range(3):
        values = EXTREMES[name][turn:] + EXTREMES[name][:turn]
        results = await written(driver, sink, values)
        assert [(r.tag, r.outcome) for r in results] == [
            (n, WriteOutcome.WRITTEN) for n in range(3)
        ]
        assert [r.read_back for r in results] == values
        await becomes(driver, sink, {n: float(value) for n, value in enumerate(values)})


@WAYS
async def test_elements_of_a_longer_array_are_written_together_and_the_rest_stays(
    connect, tree, subscribe, stock
):
    await begin(tree, "--parts")
    limits = WriteLimits(0, 9)
    driver, sink = await connect(
        elements("Curve", 2), subscribe=subscribe, stock=stock, write=limits
    )
    await becomes(driver, sink, {0: 1.0, 1: 2.0})
    requests = driver.counters.requests
    results = await written(driver, sink, [7.0, 8.0])
    assert [r.read_back for r in results] == [7.0, 8.0]
    if not subscribe:
        assert driver.counters.requests == requests + 2, "one write, one read-back"
    other, all_three = await connect(elements("Curve", 3))
    await becomes(other, all_three, {0: 7.0, 1: 8.0, 2: 3.0})


async def test_array_that_a_server_writes_only_whole_must_have_our_length(connect, tree):
    await begin(tree)
    driver, sink = await connect(elements("Curve", 2), write=WriteLimits(0, 9))
    await becomes(driver, sink, {0: 1.0, 1: 2.0})
    results = await written(driver, sink, [7.0, 8.0])
    assert {r.outcome for r in results} == {WriteOutcome.REFUSED}
    assert "it has 3 elements, and the configuration says elements: 2" in results[0].detail
    await becomes(driver, sink, {0: 1.0, 1: 2.0})


async def test_array_whose_time_is_over_once_it_was_measured_is_not_written(connect, tree):
    await begin(tree)
    driver, sink = await connect(elements("Curve", 3), write=WriteLimits(0, 9))
    await becomes(driver, sink, {0: 1.0, 1: 2.0, 2: 3.0})
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    soon = int((loop.time() + 0.2) * 1e9)
    tree.freeze()
    driver.start_array([each._replace(expires=soon) for each in wishes([7.0, 8.0, 9.0])])
    loop.call_later(0.3, over.set)
    await over.wait()
    await tree.start()  # it goes on
    await sink.until(lambda: len(sink.results) == 3, "all results")
    assert {r.outcome for r in sink.results} == {WriteOutcome.EXPIRED}
    await becomes(driver, sink, {0: 1.0, 1: 2.0, 2: 3.0})


async def test_array_of_which_one_element_does_not_fit_is_not_written(connect, tree):
    await begin(tree, "--arrays", "--parts")
    driver, sink = await connect(elements("Byte", 3), write=WriteLimits(-999, 999))
    await becomes(driver, sink, dict.fromkeys(range(3), Quality.GOOD))
    await written(driver, sink, [5.0, 6.0, 7.0])
    results = await written(driver, sink, [1.0, 256.0, 3.0])
    assert {r.outcome for r in results} == {WriteOutcome.REFUSED}
    assert "skid/1: 256 does not fit a Byte. No element was written" in results[0].detail
    await becomes(driver, sink, {0: 5.0, 1: 6.0, 2: 7.0})


@pytest.mark.parametrize("stock", [False, True], ids=["fast", "stock"])
@pytest.mark.parametrize("name", ["Word", "Label"])
async def test_text_is_written_as_the_node_holds_texts(connect, tree, name, stock):
    await begin(tree, "--arrays")
    limits = WriteLimits(0, 2, texts=("AUTO", "OFF", "läuft"))
    place = parse_opcua(f"nsu={URI};s={name}")
    driver, sink = await connect([place], stock=stock, write=limits)
    await becomes(driver, sink, {0: Quality.GOOD})
    for number, text in ((2, "läuft"), (0, "AUTO"), (1, "OFF")):
        sink.results.clear()
        driver.start_write(WriteRequest(1, 0, float(number), Authority.CLOUD, "t", "t", 1 << 62))
        await sink.until(lambda: bool(sink.results), "the result")
        (result,) = sink.results
        assert (result.outcome, result.read_back) == (WriteOutcome.WRITTEN, number), result
        await becomes(driver, sink, {0: text})


async def test_text_is_not_written_to_a_number(connect, tree):
    await begin(tree)
    limits = WriteLimits(0, 0, texts=("AUTO",))
    driver, sink = await connect([parse_opcua(f"nsu={URI};s=Speed")], write=limits)
    await becomes(driver, sink, {0: Quality.GOOD})
    driver.start_write(WriteRequest(1, 0, 0.0, Authority.CLOUD, "t", "t", 1 << 62))
    await sink.until(lambda: bool(sink.results), "the result")
    assert sink.results[0].outcome is WriteOutcome.REFUSED
    assert "the node holds a Double, and a text is to be written" in sink.results[0].detail


async def test_array_on_a_lost_connection_is_answered_element_by_element(connect, tree):
    await begin(tree, "--parts")
    driver, sink = await connect(elements("Curve", 3), write=WriteLimits(0, 9))
    await driver.close()
    driver.start_array(wishes([1.0, 2.0, 3.0]))
    assert [r.outcome for r in sink.results] == [WriteOutcome.NO_COMMUNICATION] * 3


@pytest.mark.parametrize("subscribe", [False, True])
async def test_missing_array_is_bad_in_all_elements_until_it_comes(connect, tree, subscribe):
    tree.stop()
    await begin(tree, "--without", "Flow")
    places = [*elements("Flow", 2), parse_opcua(f"nsu={URI};s=Speed")]
    driver, sink = await connect(places, subscribe=subscribe)
    lost = Quality.CONFIG_ERROR
    await becomes(driver, sink, {0: lost, 1: lost, 2: 100.0})
    await tree.order("add", "Flow", "1.5")
    await tree.order("list", "Flow", "2,3")
    await becomes(driver, sink, {0: 2.0, 1: 3.0, 2: 100.0})


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.data())
def test_spread_gives_each_tag_its_own_row(sizes, data):
    addresses = []
    for number, size in enumerate(sizes):
        plain = parse_opcua(f"ns=2;i={number}")
        addresses += elements(f"A{number}", size) if size else [plain]
    tags = table(addresses)
    arrays = Arrays(tags)
    firsts = [tag for tag in range(len(tags)) if arrays.first(tag) == tag]
    assert arrays.all_of(firsts) == list(range(len(tags)))
    lengths = [data.draw(st.integers(0, 7)) for _ in sizes]
    columns = Columns.empty(len(sizes))
    for place, (size, length) in enumerate(zip(sizes, lengths, strict=True)):
        columns.values[place], columns.types[place] = place, 0x8B if size else 11
        if size and length:
            held = tuple(100.0 * place + i for i in range(length))
            columns.objects.append((place, Array(11, length, held)))
    wide_tags, wide = arrays.spread(np.array(firsts, np.intp), columns)
    assert wide_tags.tolist() == list(range(len(tags)))
    row = 0
    for place, (size, length) in enumerate(zip(sizes, lengths, strict=True)):
        for element in range(size):
            is_there = element < length
            assert wide.quality[row] == (Quality.GOOD if is_there else Quality.CONFIG_ERROR)
            assert not is_there or wide.values[row] == 100.0 * place + element
            row += 1
        row += not size


def test_bad_array_is_bad_for_its_own_reason_in_every_element():
    columns = Columns.empty(1)
    columns.status[0] = 0x808C0000  # BadSensorFailure
    _, wide = Arrays(table(elements("A", 3))).spread(np.array([0]), columns)
    assert set(wide.quality) == {Quality.DEVICE_FAULT}


def test_exact_values_of_elements_are_in_order_of_their_rows():
    tags = table([*elements("A", 2), parse_opcua("ns=2;s=text"), *elements("B", 2)])
    columns = Columns.empty(3)
    columns.types[:] = 0x80 | DATETIME, 12, 0x8C
    held = Array(DATETIME, 2, (134_000_000_000_000_000, 134_000_000_010_000_000))
    columns.objects = [(0, held), (1, "on"), (2, Array(12, 2, ("x", None)))]
    _, wide = Arrays(tags).spread(np.array([0, 2, 3]), columns)
    assert [place for place, _ in wide.objects] == [0, 1, 2, 3]
    assert wide.quality.tolist() == [0, 0, 0, 0, Quality.NOT_A_NUMBER]


def test_whole_array_in_place_of_one_element_is_no_value():
    alone = replace(parse_opcua("ns=2;s=A"), element="1")
    columns = Columns.empty(1)
    columns.types[0] = 0x8B
    columns.objects = [(0, Array(11, 3, (1.0, 2.0, 3.0)))]
    batch = Batches(table([alone])).of(np.array([0]), columns)
    assert list(batch.quality) == [Quality.NOT_A_NUMBER]
    assert batch.objects == ()


@pytest.mark.parametrize(("stock", "most"), [(False, 0), (True, 50)], ids=["fast", "stock"])
async def test_slow_lane_asks_for_short_messages(connect, tree, monkeypatch, stock, most):
    asked, create = [], UaClient.create_subscription

    async def note(client, parameters, callback):
        asked.append(parameters.MaxNotificationsPerPublish)
        return await create(client, parameters, callback)

    monkeypatch.setattr(UaClient, "create_subscription", note)
    await begin(tree)
    await connect(elements("Curve", 3), subscribe=True, stock=stock)
    assert asked == [most]
