"""Tags by path, by element, with a deadband, with a method: against a real server with a tree."""

import asyncio
import time
from dataclasses import replace

import pytest

from edgetwin.core.nodes import MethodAddress, parse_opcua
from edgetwin.core.plan import DevicePlan, OpcuaSettings, ScanGroup, Security
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Authority, Instant, WriteOutcome, WriteRequest
from edgetwin.core.tags import Tag, TagTable, WriteLimits
from edgetwin.devices.opcua import OpcuaDriver

URI = "urn:edgetwin:test:tree"
FLOW = f"nsu={URI};/Objects/Skid/Flow"
PRESSURE = f"nsu={URI};/Objects/Skid/Pressure"
BY_INDEX = "/Objects/2:Skid/2:Flow"
BOTH = pytest.mark.parametrize("subscribe", [False, True], ids=["polled", "subscribed"])


@pytest.fixture
async def connect(conformance, tree):
    """connect(addresses, **of every tag or of the settings) → (driver, sink); closed at the end."""
    made = []

    async def build(addresses: list[str], subscribe=False, element="", retry=300_000_000, **more):
        places = [parse_opcua(text) for text in addresses]
        if element:
            places = [replace(place, element=element) for place in places]
        tags = TagTable(
            tuple(Tag(i, f"skid/{i}", device=0, address=at, **more) for i, at in enumerate(places))
        )
        sink = conformance.Recorder()
        groups = (ScanGroup(0, 50_000_000, range(len(tags))),)
        ua = OpcuaSettings(
            tree.url.replace("/test", "/tree"),
            subscribe=subscribe,
            security=Security.NONE,
            timeout=1_000_000_000,
        )
        plan = DevicePlan(0, "skid", "opcua", ua, groups, retry)
        driver = OpcuaDriver(plan, tags, sink, _now)
        await driver.connect()
        watch = asyncio.create_task(driver.lost())
        made.append((driver, watch))
        return driver, sink

    yield build
    for driver, watch in made:
        await driver.close()
        await asyncio.wait({watch})
        watch.exception()


def _now() -> Instant:
    return Instant(time.monotonic_ns(), time.time_ns())


async def becomes(driver, sink, tag: int, *, value=None, quality=Quality.GOOD) -> None:
    """Scan until the tag is as it should be."""

    def as_it_should_be() -> bool:
        driver.start_scan(0)
        return sink.quality.get(tag) == quality and value in (None, sink.values.get(tag))

    scan = asyncio.Event()
    async with asyncio.timeout(10):
        while not as_it_should_be():
            scan.clear()
            asyncio.get_running_loop().call_later(0.05, scan.set)
            await scan.wait()


@BOTH
async def test_path_leads_to_its_node(connect, tree, subscribe):
    await tree.start()
    driver, sink = await connect([FLOW, "/Objects/2:Skid/2:Speed"], subscribe)
    await becomes(driver, sink, 0, value=12.5)
    await becomes(driver, sink, 1, value=100.0)


async def test_path_that_ends_says_where(connect, tree, caplog):
    await tree.start()
    driver, sink = await connect([f"nsu={URI};/Objects/Skid/Flwo/Value"])
    await becomes(driver, sink, 0, quality=Quality.CONFIG_ERROR)
    assert f"nsu={URI};/Objects/Skid has no nsu={URI};Flwo" in caplog.text


@BOTH
async def test_rebuilt_server_with_other_indices_shows_no_tag_anothers_value(
    connect, tree, subscribe
):
    await tree.start()
    driver, sink = await connect([FLOW, BY_INDEX, "ns=2;s=Flow"], subscribe)
    for tag in range(3):
        await becomes(driver, sink, tag, value=12.5)
    tree.stop()
    await driver.close()
    sink.values.clear()
    sink.quality.clear()
    await tree.start("--fillers", "3")
    await driver.connect()
    for tag in range(3):
        await becomes(driver, sink, tag, value=12.5)
    assert {float(v) for batch in sink.batches for v in batch.values} == {12.5}


@BOTH
@pytest.mark.parametrize("address", [FLOW, f"nsu={URI};s=Flow"], ids=["path", "node id"])
async def test_node_that_comes_later_is_found_by_itself(connect, tree, subscribe, address):
    await tree.start("--without", "Flow")
    driver, sink = await connect([address, f"nsu={URI};s=Speed"], subscribe)
    await becomes(driver, sink, 0, quality=Quality.CONFIG_ERROR)
    await becomes(driver, sink, 1, value=100.0)
    await tree.order("add", "Flow", "7.5")
    await becomes(driver, sink, 0, value=7.5)
    await tree.order("set", "Flow", "8.5")
    await becomes(driver, sink, 0, value=8.5)


async def test_node_made_anew_under_another_id_is_found_by_its_path(connect, tree):
    await tree.start()
    await tree.order("add", "Pressure", "1.5")
    driver, sink = await connect([PRESSURE])
    await becomes(driver, sink, 0, value=1.5)
    await tree.order("delete", "Pressure")
    await becomes(driver, sink, 0, quality=Quality.CONFIG_ERROR)
    await tree.order("add", "Pressure", "2.5")
    await becomes(driver, sink, 0, value=2.5)


@pytest.mark.parametrize(("name", "element", "value"), [("Curve", "1", 2.0), ("Matrix", "1,0", 3)])
async def test_element_of_an_array_is_read_and_written(connect, tree, name, element, value):
    await tree.start("--parts")
    driver, sink = await connect([f"nsu={URI};s={name}"], element=element, write=WriteLimits(0, 9))
    await becomes(driver, sink, 0, value=value)
    driver.start_write(request(5.0))
    await sink.until(lambda: bool(sink.results), "the result")
    assert (sink.results[0].outcome, sink.results[0].read_back) == (WriteOutcome.WRITTEN, 5.0)
    await becomes(driver, sink, 0, value=5.0)


async def test_server_that_gives_the_whole_array_for_an_element_is_neither_read_nor_written(
    connect, tree, caplog
):
    await tree.start()
    driver, sink = await connect(
        [f"nsu={URI};s=Curve", f"nsu={URI};s=Flow"], element="1", write=WriteLimits(0, 9)
    )
    await becomes(driver, sink, 0, quality=Quality.CONFIG_ERROR)
    assert "gives the whole array" in caplog.text
    driver.start_write(request(5.0))
    await sink.until(lambda: bool(sink.results), "the result")
    assert sink.results[0].outcome is WriteOutcome.REFUSED


async def test_method_takes_the_setpoint_and_the_node_shows_it(connect, tree):
    await tree.start()
    method = MethodAddress(
        parse_opcua(f"nsu={URI};s=Skid"), parse_opcua(f"nsu={URI};/Objects/Skid/SetSpeed")
    )
    driver, sink = await connect(
        [f"nsu={URI};s=Speed"], method=method, write=WriteLimits(0, 5000), scale=2.0
    )
    for number, (value, outcome) in enumerate([(50.0, "written"), (4000.0, "refused")]):
        driver.start_write(request(value, number))
        await sink.until(lambda n=number: len(sink.results) > n, "the result")
        assert sink.results[-1].outcome == outcome
    assert sink.results[0].read_back == 50.0
    assert "BadOutOfRange" in sink.results[1].detail
    await becomes(driver, sink, 0, value=50.0)


async def test_method_that_takes_no_number_is_named_and_never_called(connect, tree, caplog):
    await tree.start()
    start = parse_opcua(f"nsu={URI};s=Start")
    driver, sink = await connect(
        [f"nsu={URI};s=Speed"],
        method=MethodAddress(parse_opcua(f"nsu={URI};s=Skid"), start),
        write=WriteLimits(0, 1),
    )
    assert "it takes no argument" in caplog.text
    driver.start_write(request(1.0))
    await sink.until(lambda: bool(sink.results), "the result")
    assert sink.results[0].outcome is WriteOutcome.REFUSED


async def test_server_keeps_the_deadband(connect, tree):
    await tree.start()
    driver, sink = await connect([FLOW], True, deadband=1.0, scale=0.1)
    await becomes(driver, sink, 0, value=1.25)
    for value in ("13", "20", "40"):
        await tree.order("set", "Flow", value)
        await asyncio.sleep(0.15)
    await becomes(driver, sink, 0, value=4.0)
    reported = [float(value) for batch in sink.batches for value in batch.values]
    assert reported == [1.25, 4.0]


async def test_share_of_a_range_is_one_of_the_range_that_the_node_tells(connect, tree, caplog):
    await tree.start()
    places = [f"nsu={URI};s=Level", FLOW]  # EURange 0 to 80; none
    driver, sink = await connect(places, True, deadband_share=0.1)
    await becomes(driver, sink, 0, value=40.0)
    await becomes(driver, sink, 1, value=12.5)
    for value in ("47", "49"):
        await tree.order("set", "Level", value)
        await tree.order("set", "Flow", value)
        await becomes(driver, sink, 1, value=float(value))
    await becomes(driver, sink, 0, value=49.0)
    levels = [b.values[tags_of(b).index(0)] for b in sink.batches if 0 in tags_of(b)]
    assert levels == [40.0, 49.0]
    assert "skid/1" in caplog.text.partition("EURange")[0]
    assert "skid/0" not in caplog.text


def tags_of(batch) -> list[int]:
    at = batch.tags
    return list(range(at.start, at.stop)) if isinstance(at, slice) else at.tolist()


@BOTH
async def test_calls_that_are_too_large_are_halved(connect, tree, subscribe):
    await tree.start("--most", "7", "--many", "60")
    paths = [f"nsu={URI};/Objects/Skid/Many {n}" for n in range(60)]
    driver, sink = await connect(paths, subscribe)
    for tag in range(60):
        await becomes(driver, sink, tag, value=float(tag))


def request(value: float, number: int = 1) -> WriteRequest:
    return WriteRequest(number, 0, value, Authority.TECHNICIAN, "test", "test", 1 << 62)
