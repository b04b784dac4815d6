"""A daemon's life: it ends when asked, in every phase, and is alone on its state directory."""

import asyncio
import os
import signal
import socket
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

NOBODY = 65534
END_S = 3
"""10 s are promised (a service manager waits longer); this is what is held."""

SKID = """\
gateway: life
control: {{enabled: true}}
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:{port}
    scan: 50 ms
    tags:
      p: {{at: 3x0001, type: float32, unit: bar}}
      n: {{at: 4x0001, type: float32, write: {{min: 600, max: 1750, rate: 600 per s}}}}
"""
LOOP = """\
loops:
  pressure: {{law: pid, pv: skid/p, sp: {sp}, mv: skid/n, gain: 1, integral: 1 s, mode: auto,
             on_stop: {on_stop}}}
"""
SILENT_ADDRESS = """\
gateway: life
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:{port}
    timeout: 1 min
    tags: {{p: {{at: 3x0001, type: float32}}}}
  meter:
    driver: opcua
    address: opc.tcp://127.0.0.1:{port}
    security: none
    timeout: 1 min
    tags: {{q: {{at: "ns=2;s=Flow"}}}}
"""
LEARNING = """\
assets:
  pump: {{tags: {{p: skid/p, n: skid/n}}, watch: {{every: 20 ms, train: {train}}}}}
"""
BROKER = 'upstream:\n  cloud: {{broker: "mqtt://127.0.0.1:{port}", window: 100 ms}}\n'


@pytest.fixture
def deaf():
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


async def ends_well(gateway, number=signal.SIGTERM):
    begun = time.monotonic()
    assert await gateway.end(number) == 0
    assert time.monotonic() - begun < END_S
    assert "stopped" in gateway.log[-1]
    assert not any("Traceback" in line for line in gateway.log), gateway.log
    assert not (gateway.state / "control.sock").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_ends_while_devices_keep_it_waiting_for_an_answer(run_gateway, deaf, number):
    async with run_gateway(SILENT_ADDRESS.format(port=deaf)) as gateway:
        await gateway.says("running")
        await ends_well(gateway, number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_ends_while_all_is_well(run_gateway, skid, number):
    async with run_gateway(SKID.format(port=skid.port)) as gateway:
        await gateway.says("skid answers")
        await ends_well(gateway, number)


async def test_ends_while_rows_are_taken_and_while_a_model_is_made(run_gateway, skid):
    for train, begins in ((100_000, "skid answers"), (120, "learning from 120 rows")):
        text = SKID.format(port=skid.port) + LEARNING.format(train=train)
        async with run_gateway(text) as gateway:
            await gateway.says(begins)
            await ends_well(gateway)


async def test_ends_while_the_broker_does_not_answer(run_gateway, skid, deaf):
    text = SKID.format(port=skid.port) + BROKER.format(port=deaf)
    async with run_gateway(text) as gateway:
        await gateway.says("skid answers")
        await gateway.until(lambda s: s["office"]["upstreams"]["cloud"]["backlog"] > 3)
        await ends_well(gateway)
        assert (gateway.state / "outbox.db").stat().st_size > 0


async def test_hold_leaves_the_output_as_it_stands_at_the_end(run_gateway, skid):
    text = SKID.format(port=skid.port) + LOOP.format(sp="200 bar", on_stop="hold")
    async with run_gateway(text) as gateway:
        await gateway.until(lambda s: s["writes"] > 2)
        await ends_well(gateway)
        assert gateway.count("it writes no more") == 1
    before = (await skid.tell())["written"]
    await asyncio.sleep(0.2)
    assert (await skid.tell())["written"] == before


@pytest.mark.parametrize(("wanted", "written"), [(1050, 1050), (1700, None)])
async def test_an_end_value_is_one_write_within_the_limits(run_gateway, skid, wanted, written):
    """Where it is too far for one write, it goes as far as the rate allows."""
    text = SKID.format(port=skid.port) + LOOP.format(sp="1 bar", on_stop=wanted)
    async with run_gateway(text) as gateway:
        await gateway.until(lambda s: s["loops"][0]["state"] == "auto")
        before = len((await skid.tell())["written"])
        await ends_well(gateway)
        assert gateway.count("is its last write") == 1
    (last,) = (await skid.tell())["written"][before:]
    assert last == written if written else 1000 < last <= 1600 + 1


def user_of(pid):
    return Path(f"/proc/{pid}").stat().st_uid


async def test_needs_no_root(run_gateway, skid, tmp_path):
    """Where the tests run as root: as nobody, without any right but to read python's own files."""
    through = ()
    if os.geteuid() == 0:
        state = tmp_path / "state"
        state.mkdir()
        os.chown(state, NOBODY, NOBODY)
        ids = ("--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
        rights = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
        through = ("setpriv", *ids, *rights, "--no-new-privs")
    async with run_gateway(SKID.format(port=skid.port), through=through) as gateway:
        await gateway.says("skid answers")
        assert user_of(gateway.process.pid) != 0
        await ends_well(gateway)


async def test_a_second_one_on_the_same_state_is_refused_and_the_first_goes_on(run_gateway, skid):
    async with run_gateway(SKID.format(port=skid.port)) as first:
        await first.says("skid answers")
        async with run_gateway(SKID.format(port=skid.port)) as second:
            assert await asyncio.wait_for(second.process.wait(), 10) == 1
            line = await second.says("another edgetwin")
        assert f"(pid {first.process.pid}) runs on this state directory" in line
        assert "Stop it first, or give this one its own 'state:'" in line
        assert (await first.status())["devices"][0]["up"]
        await ends_well(first)


async def test_after_sigkill_the_next_one_starts_at_once(run_gateway, skid):
    async with run_gateway(SKID.format(port=skid.port)) as gateway:
        await gateway.says("skid answers")
        await gateway.end(signal.SIGKILL)
    async with run_gateway(SKID.format(port=skid.port)) as gateway:
        await gateway.says("skid answers")
        await ends_well(gateway)


async def test_a_state_directory_that_cannot_be_made_is_told_with_the_cure(edgetwin, tmp_path):
    (tmp_path / "file").write_text("not a directory")
    config = tmp_path / "c.yaml"
    config.write_text(f"state: {tmp_path}/file/state\n" + SKID.format(port=1))
    code, said, complained = await edgetwin("run", config)
    assert (code, said) == (1, "")
    (line,) = complained.splitlines()
    assert f"{tmp_path}/file/state: the state directory cannot be used (Not a directory)" in line
    assert "Name another with 'state:'" in line


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file or directory. Name the configuration's YAML file"),
        (..., "cannot be read: Is a directory"),
        (b"", "the file is empty. Begin with gateway:"),
        (b"\x7fELF\x02\x01\x01\x00\xff\xfe", "this is not UTF-8"),
        (b"gateway: [", "a value is missing here"),
    ],
    ids=["missing", "directory", "empty", "binary", "broken"],
)
async def test_a_configuration_that_is_none_stops_the_start(edgetwin, tmp_path, content, says):
    path = tmp_path / "c.yaml"
    if content is ...:
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    for command in ("run", "check"):
        code, said, complained = await edgetwin(command, path)
        assert (code, said) == (78, "")
        assert complained.startswith(f"{path}:")
        assert says in complained
        assert "Traceback" not in complained
