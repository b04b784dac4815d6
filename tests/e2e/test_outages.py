"""Devices and disks that go away and come back: noticed in time, and nothing is left behind."""

import asyncio
import contextlib
import resource
import subprocess
from pathlib import Path

import pytest

from edgetwin.core.codec import decode
from edgetwin.core.event import EventKind
from edgetwin.core.frame import Confirmed, Tick
from edgetwin.core.plan import SECOND
from edgetwin.core.reading import ReadingBatch
from edgetwin.storage.recording import RecordingReader

pytestmark = pytest.mark.e2e

ROUNDS = 5
SCAN_S = PERIOD_S = 0.1
MACHINE_S = 1.0
"""What a busy machine may add to a deadline: the two cores here run other tests as well."""

CONFIG = """\
gateway: outages
recording: 5 MB
control: {{enabled: true}}
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:{skid}
    scan: 100 ms
    retry: 500 ms
    tags:
      p: {{at: 3x0001, type: float32, unit: bar}}
      n: {{at: 4x0001, type: float32, write: {{min: 0, max: 2000, rate: 5000 per s}}}}
  meter:
    driver: opcua
    address: opc.tcp://127.0.0.1:{meter}
    security: none
    mode: {mode}
    scan: 100 ms
    retry: 500 ms
    tags: {{flow: {{at: "nsu=urn:edgetwin:demo:meter;s=Flow"}}}}
loops:
  level: {{law: formula, pv: {pv}, sp: 5, mv: skid/n, is: 1000 + pv, every: 100 ms, mode: auto}}
"""


def all_up(status):
    return all(d["up"] and d["good"] == d["tags"] for d in status["devices"])


def held(pid):
    """File descriptors, threads, and resident memory in MB of a process."""
    process = Path(f"/proc/{pid}")
    resident = int((process / "statm").read_text().split()[1]) * resource.getpagesize()
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())), resident


async def test_devices_killed_again_and_again_are_read_again_and_leave_nothing_behind(
    run_gateway, skid, meter
):
    text = CONFIG.format(skid=skid.port, meter=meter.port, mode="poll", pv="skid/p")
    async with run_gateway(text) as gateway:
        before = None
        for _ in range(ROUNDS):
            await gateway.until(all_up)
            before = before or held(gateway.process.pid)
            await asyncio.gather(skid.kill(), meter.kill())
            for tag in ("skid/p", "meter/flow"):
                await gateway.until_tag(tag, "bad")
            await asyncio.gather(skid.start(), meter.start())
        status = await gateway.until(all_up)
        after = held(gateway.process.pid)
        assert [d["losses"] for d in status["devices"]] == [ROUNDS, ROUNDS]
        assert [d["connects"] for d in status["devices"]] == [ROUNDS + 1, ROUNDS + 1]
        await gateway.until(lambda s: s["loops"][0]["state"] == "auto")
        assert await gateway.end() == 0
    # A leak would leave one a round; our question, and the pool for blocking calls, leave fewer.
    assert after[0] < before[0] + ROUNDS, "descriptors were left behind"
    assert after[1] < before[1] + ROUNDS, "threads were left behind"
    assert after[2] - before[2] < 3e6
    assert gateway.count("skid answers") == ROUNDS + 1


@pytest.mark.parametrize(
    ("pv", "mode"), [("skid/p", "poll"), ("meter/flow", "poll"), ("meter/flow", "subscribe")]
)
async def test_silence_puts_the_loop_in_its_fail_safe_within_two_scans_and_one_period(
    run_gateway, skid, meter, pv, mode
):
    text = CONFIG.format(skid=skid.port, meter=meter.port, mode=mode, pv=pv)
    async with run_gateway(text) as gateway:
        await gateway.until(lambda s: s["loops"][0]["state"] == "auto")
        device = skid if pv.startswith("skid") else meter
        device.freeze()
        line = await gateway.says("WARNING loop level:", 5)
        device.thaw()
        await gateway.says("loop level: is back in auto")
        assert await gateway.end() == 0
    frozen = pv.partition("/")[0]  # all its tags go stale at once: any of them may be told
    assert f"loop level: {frozen}/" in line
    assert "is bad: stale" in line
    ((looked, took),) = silences(gateway.state, tag=0 if device is skid else 2)
    assert 2 * SCAN_S < took <= 2 * SCAN_S + PERIOD_S + MACHINE_S
    assert looked <= 2 * SCAN_S + PERIOD_S, "the first tick past the bound told it"


def silences(state, tag):
    """For each loop fault of a recording: how long the device had then not vouched for a tag, s.

    Before it, how long it had not at the last tick without a fault: a busy machine runs ticks late,
    and still none past the bound may go by.
    """
    (file,) = (state / "recordings").iterdir()
    vouched = ticked = 0
    for data in RecordingReader(file).frames():
        frame = decode(data)
        if any(event.kind is EventKind.LOOP_FAULT for event in frame.events):
            yield (ticked - vouched) / SECOND, (frame.at.mono - vouched) / SECOND
        match frame.input:
            case Tick():
                ticked = frame.at.mono
            case ReadingBatch(tags=slice() as tags) if tags.start <= tag < tags.stop:
                vouched = frame.at.mono
            case ReadingBatch(tags=tags) if not isinstance(tags, slice) and tag in tags:
                vouched = frame.at.mono
            case Confirmed(tags=tags) if tag in tags:
                vouched = frame.at.mono


# ---------------------------------------------------------------- the disk


class SmallDisk:
    """A file system of 4 MB in memory: full means full."""

    def __init__(self, folder):
        folder.mkdir()
        words = ("mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "edgetwin-test", str(folder))
        self._ballast, self._folder = folder / "ballast", folder
        self.works = subprocess.run(words, capture_output=True, check=False).returncode == 0

    def fill(self, _pid):
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    def free(self, _pid):
        self._ballast.unlink()

    def close(self):
        if self.works:
            subprocess.run(("umount", "-l", str(self._folder)), check=True)


class SmallFiles:
    """Where nothing can be mounted: the kernel lets the daemon's files grow no more."""

    def fill(self, pid):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    def free(self, pid):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

    def close(self):
        pass


@pytest.fixture
def disk(tmp_path):
    small = SmallDisk(tmp_path / "state")
    disk = small if small.works else SmallFiles()
    yield disk
    disk.close()


async def test_a_full_disk_costs_no_scan_and_no_write_and_is_used_again_when_there_is_room(
    run_gateway, skid, meter, disk, edgetwin
):
    text = CONFIG.format(skid=skid.port, meter=meter.port, mode="poll", pv="skid/p")
    text += "upstream:\n  cloud: {broker: 'mqtt://127.0.0.1:1', window: 100 ms}\n"
    async with run_gateway(text) as gateway:
        await gateway.until(lambda s: s["office"]["upstreams"]["cloud"]["backlog"] > 3)
        disk.fill(gateway.process.pid)
        line = await gateway.says("Control goes on; records wait in memory")
        assert "outbox.db" in line
        before = await gateway.until(lambda s: s["office"]["storage"])
        await skid.tell(measured=[50.0, 2.0, 3.0, 4.0])
        after = await gateway.until(lambda s: s["loops"][0]["mv"] == 1050)
        assert after["writes"] > before["writes"]
        _, said, _ = await edgetwin("status", "--state", gateway.state)
        assert "\ndisk " in said
        await gateway.says("Recording ended: ")
        disk.free(gateway.process.pid)
        await gateway.says("the disk takes records again")
        after = await gateway.until(lambda s: not s["office"]["storage"])
        assert gateway.count("Control goes on") == 1
        assert gateway.count("Traceback") == 0
        assert after["devices"][0]["losses"] == 0
        assert await gateway.end() == 0
