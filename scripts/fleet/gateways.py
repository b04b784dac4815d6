"""Many gateways in one process: real offices, drafters, outboxes and lines; frames made by hand.

    gateways.py FOLDER FIRST COUNT SECONDS WINDOW KEY PORT [PORT ...]

Each has a state directory, an outbox and an MQTT connection of its own, to a node of its own first.
All watch a pump of the type ``pump-40``; every gateway's pump is a little different, one in
forty is worn, and one in forty breaks down for a while. At the end it says, as JSON lines, the last
number of each stream as it stands in the outbox: what a complete consumer must have.
"""

import asyncio
import json
import logging
import resource
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgetwin.core.event import Event, EventKind
from edgetwin.core.frame import Frame
from edgetwin.core.plan import (
    SECOND,
    DetectorPlan,
    GatewayPlan,
    MqttSettings,
    UpstreamPlan,
)
from edgetwin.core.ranges import ChallengerSettings
from edgetwin.core.reading import ReadingBatch
from edgetwin.core.tags import Tag, TagKind, TagTable, TypedAsset
from edgetwin.runtime import clock
from edgetwin.runtime.frames import FrameQueue
from edgetwin.runtime.office import Office
from edgetwin.runtime.ranges_line import RangesLines

SCAN_S = 0.2
REPORT_S = 10
TYPE = "pump-40"
PUMP = ("p", "q", "i", "t")
_NORMAL = np.array([4.2, 31.0, 12.0, 55.0])
_NOISE = np.array([0.02, 0.2, 0.1, 0.1])
_BETWEEN = np.array([0.05, 0.4, 0.3, 1.0])
_WORN = np.array([-0.9, -6.0, 2.5, 9.0])
_SETTLE_S = 60.0


@dataclass
class Pump:
    """What one gateway measures."""

    number: int
    level: np.ndarray = field(init=False)
    dice: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.dice = np.random.default_rng(self.number)
        self.level = _NORMAL + _BETWEEN * self.dice.standard_normal(len(PUMP))
        if self.worn:
            self.level += _WORN

    @property
    def worn(self) -> bool:
        """It was so when its own detector learned: only the fleet can tell."""
        return self.number % 40 == 7

    def breaks(self, at_s: float) -> bool:
        """Whether it is broken now: its own detector notices."""
        return self.number % 40 == 13 and at_s % 30 > 22

    def read(self, at_s: float) -> np.ndarray:
        """One scan of its four tags."""
        values = self.level + _NOISE * self.dice.standard_normal(len(PUMP))
        return values - 3 * _WORN if self.breaks(at_s) else values


def tag_table() -> TagTable:
    """Four measured tags of a pump, and what its detector says."""
    measured = [Tag(i, f"skid/{name}", device=0) for i, name in enumerate(PUMP)]
    told = [
        Tag(len(PUMP) + i, f"pump/{name}", kind=TagKind.DETECTOR)
        for i, name in enumerate(("score", "verdict"))
    ]
    return TagTable((*measured, *told), {f"pump/{n}": i for i, n in enumerate(PUMP)})


def make_plan(number: int, folder: Path, ports: list[int], window: int, key: Path) -> GatewayPlan:
    """One gateway; its list of nodes begins with another one than its neighbour's."""
    name = f"gw-{number}"
    turned = ports[number % len(ports) :] + ports[: number % len(ports)]
    broker = MqttSettings(
        "127.0.0.1",
        turned[0],
        tls=False,
        client_id=f"edgetwin-{name}",
        others=tuple(("127.0.0.1", port) for port in turned[1:]),
    )
    cloud = UpstreamPlan(
        "cloud",
        broker,
        f"edgetwin/{name}",
        window=window,
        challenger=ChallengerSettings((key,), REPORT_S * SECOND),
    )
    score, verdict = len(PUMP), len(PUMP) + 1
    return GatewayPlan(
        name,
        folder / name,
        tag_table(),
        (),
        detectors=(DetectorPlan("pump", tuple(range(len(PUMP))), score, verdict),),
        upstreams=(cloud,),
        typed=(TypedAsset("pump", TYPE, {n: i for i, n in enumerate(PUMP)}, verdict),),
    )


class Gateway:
    """One office, fed by one pump."""

    def __init__(self, number: int, plan: GatewayPlan) -> None:
        plan.state.mkdir(parents=True)
        self.pump = Pump(number)
        self.plan = plan
        self.queue = FrameQueue()
        self.office = Office(plan, self.queue, clock.now)
        self.ranges = RangesLines(plan, self.office.challengers, clock.now)
        self.ranges.load()
        self._number = 0
        self._broken = False

    def scan(self, at_s: float) -> None:
        """One frame: readings, what the detector says of them, and its event."""
        self._number += 1
        broken = self.pump.breaks(at_s)
        said = ReadingBatch(slice(4, 6), np.array([2.0 if broken else 0.5, float(broken)]))
        events = ()
        if broken != self._broken:
            self._broken = broken
            kind = EventKind.ANOMALY if broken else EventKind.ANOMALY_CLEARED
            events = (Event(kind, "pump", f"the pump, at {at_s:.1f} s"),)
        reading = ReadingBatch(slice(0, 4), self.pump.read(at_s))
        self.queue.put(Frame(self._number, clock.now(), reading, (said,), events=events))

    def waiting(self) -> int:
        """Records that the broker has not acknowledged."""
        told = self.office.status()
        return int(told["upstreams"]["cloud"]["backlog"]) + int(told["unsaved"])

    def second_opinion(self) -> dict[str, object]:
        """What its challenger has found, and what was true of its pump."""
        found: dict[str, object] = dict(self.ranges.status()["challengers"]["pump"])
        line = self.ranges.status()["ranges"]["cloud"]
        return {
            **found,
            "line": line,
            "worn": self.pump.worn,
            "breaks": self.pump.number % 40 == 13,
        }

    def produced(self) -> Iterator[tuple[str, int]]:
        """Each stream and its last number, as the disk has it."""
        file = sqlite3.connect(self.plan.state / "outbox.db")
        try:
            facts = dict(file.execute("SELECT key, value FROM state"))
        finally:
            file.close()
        section = int(facts.get("section", 0))
        ending = f"@{facts['log']}" + (f".{section + 1}" if section else "")
        for key, value in facts.items():
            if key.startswith("seq:") and int(value):
                yield key.removeprefix("seq:") + ending, int(value)


async def drive(gateways: list[Gateway], seconds: float) -> None:
    """Scan all of them, a part at a time, on a fixed grid."""
    loop = asyncio.get_running_loop()
    start, n = loop.time(), 0
    while (now := loop.time() - start) < seconds:
        for gateway in gateways:
            gateway.scan(now)
        n += 1
        await asyncio.sleep(max(0.0, start + n * SCAN_S - loop.time()))


async def watch(gateways: list[Gateway]) -> dict[str, float]:
    """How long gateways were without a node, and how much waited meanwhile."""
    loop = asyncio.get_running_loop()
    away: dict[str, float] = {}
    found = {"longest_s": 0.0, "interrupted": 0.0, "backlog": 0.0}
    try:
        while True:
            now = loop.time()
            for each in gateways:
                told = each.office.status()["upstreams"]["cloud"]
                found["backlog"] = max(found["backlog"], told["backlog"])
                if told["connected"]:
                    since = away.pop(each.plan.name, None)
                    found["interrupted"] += since is not None
                    found["longest_s"] = max(found["longest_s"], now - (since or now))
                elif told["since"]:  # it was connected before
                    away.setdefault(each.plan.name, now)
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        return found


async def settle(gateways: list[Gateway]) -> None:
    """Wait until everything is acknowledged."""
    until = asyncio.get_running_loop().time() + _SETTLE_S
    while any(each.waiting() for each in gateways):
        if asyncio.get_running_loop().time() > until:
            raise SystemExit("some records were not acknowledged in time")
        await asyncio.sleep(0.2)


async def live(gateways: list[Gateway], seconds: float) -> dict[str, float]:
    """Run them all for a time, then end them as a service manager does."""
    working = [asyncio.create_task(each.office.run()) for each in gateways]
    working += [asyncio.create_task(run()) for each in gateways for _, run in each.ranges.jobs]
    watching = asyncio.create_task(watch(gateways))
    await drive(gateways, seconds)
    await settle(gateways)
    watching.cancel()
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    for each in gateways:
        each.ranges.close()
    await asyncio.gather(*(each.office.close() for each in gateways))
    return await watching


def main() -> None:
    """Run this process's share."""
    folder, first, count, seconds, window, key, *ports = sys.argv[1:]
    logging.basicConfig(filename=Path(folder) / f"gateways-{first}.log", level=logging.INFO)
    nodes, span = [int(port) for port in ports], int(float(window) * SECOND)
    gateways = [
        Gateway(n, make_plan(n, Path(folder), nodes, span, Path(key)))
        for n in range(int(first), int(first) + int(count))
    ]
    found = asyncio.run(live(gateways, float(seconds)))
    used = resource.getrusage(resource.RUSAGE_SELF)
    found["cpu"] = (used.ru_utime + used.ru_stime) / float(seconds) / len(gateways)
    found["rss_mb"] = used.ru_maxrss / 1e3 / len(gateways)
    print(json.dumps({"line": found}))
    for each in gateways:
        told = {"produced": dict(each.produced()), "challenger": each.second_opinion()}
        print(json.dumps({"gateway": each.plan.name, **told}))


if __name__ == "__main__":
    main()
