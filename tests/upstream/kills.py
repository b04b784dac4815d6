"""Kill the sender, flap the broker, and let an independent subscriber say what is missing.

kills.py child STATE PORT     the victim: an Office fed by made-up frames; it says its boot's number
campaign(…)                   kills it at random moments; used by a test and by
scripts/campaigns/kill_upstream
"""

import asyncio
import importlib.util
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgetwin.core.event import Event, EventKind
from edgetwin.core.frame import Frame
from edgetwin.core.plan import SECOND, GatewayPlan, MqttSettings, UpstreamPlan
from edgetwin.core.reading import ReadingBatch
from edgetwin.core.tags import Tag, TagTable
from edgetwin.runtime import clock
from edgetwin.runtime.frames import FrameQueue
from edgetwin.runtime.office import Office

TAGS = 20
FRAME_S = 0.005
EVENT_EVERY = 4
START_S = 60.0
WINDOW = 20
"""In flight at most: so many may come again after a kill, and no more."""


@dataclass
class Report:
    """What a campaign found."""

    kills: int = 0
    restarts: int = 0
    records: int = 0
    duplicates: int = 0
    most: int = 0
    reordered: int = 0
    boots: set = field(default_factory=set)
    holes: dict = None
    doubles: list = None
    conflicts: list = None

    @property
    def clean(self) -> bool:
        wrong = self.holes or self.doubles or self.conflicts or self.reordered
        return not wrong and self.most <= WINDOW


def plan(state: Path, port: int) -> GatewayPlan:
    tags = TagTable(tuple(Tag(i, f"skid/t{i}", device=0) for i in range(TAGS)))
    broker = MqttSettings("127.0.0.1", port, tls=False, client_id="victim", keepalive_s=5)
    cloud = UpstreamPlan("cloud", broker, "edgetwin/gw", window=SECOND // 2)
    return GatewayPlan("gw", state, tags, (), upstreams=(cloud,))


async def child(state: Path, port: int) -> None:
    """Frames every few milliseconds, some with an event that is like no other; until killed."""
    queue = FrameQueue()
    office = Office(plan(state, port), queue, clock.now)
    running = asyncio.create_task(office.run())
    number = said = 0
    while not running.done():
        if not said and (said := office.status()["boot"]):
            sys.stdout.write(f"{said}\n")
            sys.stdout.flush()
        number += 1
        events = ()
        if number % EVENT_EVERY == 0:
            events = (Event(EventKind.ANOMALY, "skid", f"{os.getpid()}-{number}"),)
        batch = ReadingBatch(slice(0, TAGS), np.full(TAGS, float(number)))
        queue.put(Frame(number, clock.now(), batch, events=events))
        await asyncio.sleep(FRAME_S)
    await running


@contextmanager
def victim(state: Path, port: int) -> Iterator[int]:
    """A child that has its outbox open; gives the number of its boot."""
    words = [sys.executable, __file__, "child", str(state), str(port)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        too_late = threading.Timer(START_S, process.kill)
        too_late.start()
        try:
            boot = int(process.stdout.readline())
            too_late.cancel()
            yield boot
        finally:
            too_late.cancel()
            process.send_signal(signal.SIGKILL)
            process.wait()


def campaign(rig: object, folder: Path, kills: int, seed: int = 1, outage_s: float = 0.0) -> Report:
    """Kill ``kills`` times within seconds of each start; the broker restarts, once after long."""
    dice = random.Random(seed)
    broker = rig.Mosquitto(folder)
    broker.start()
    subscriber = rig.Subscriber(broker.port)
    # At QoS 0 no broker says anything twice of itself, as it does after its own restart at QoS 1.
    watcher = rig.Subscriber(broker.port, name="watcher", qos=0)
    report = Report()
    state = folder / "state"
    state.mkdir()
    try:
        for kill in range(kills):
            with victim(state, broker.port) as boot:
                report.boots.add(boot)
                time.sleep(dice.uniform(0.0, 1.4))  # the random moment is the point
                _flap(broker, dice, report, outage_s if kill == kills // 2 else 0.0)
            report.kills += 1
            if broker._process is None:
                broker.start()
                report.restarts += 1
        _drain(subscriber, state, broker.port)
    finally:
        watcher.close()
        subscriber.close()
        broker.stop()
    report.most = watcher.ledger.most_again
    return _judge(report, subscriber.ledger)


def _flap(broker: object, dice: random.Random, report: Report, outage_s: float) -> None:
    """Restart the broker now and then; or leave it away, for the kill to come before it is back."""
    if outage_s:
        broker.stop()
        time.sleep(outage_s)
    elif dice.random() < 0.3:
        broker.stop()
        time.sleep(dice.uniform(0.0, 0.5))
        broker.start()
        report.restarts += 1
        time.sleep(dice.uniform(0.0, 1.0))


def _drain(subscriber: object, state: Path, port: int) -> None:
    """One last victim brings out what is left; its own first summary says that it got so far."""
    known = _boots(subscriber.ledger)
    with victim(state, port):
        caught_up = subscriber.wait(
            lambda ledger: max(_boots(ledger), default=0) > max(known, default=0), 60.0
        )
        assert caught_up, "the last victim sent nothing in a minute"
    subscriber.wait(lambda _ledger: False, 1.0)  # what is on its way may arrive


def _boots(ledger: object) -> set[int]:
    return {message["boot"] for message in ledger.messages("summary")}


def _judge(report: Report, ledger: object) -> Report:
    report.records = sum(map(len, ledger.records.values()))
    report.duplicates = ledger.duplicates
    report.reordered = ledger.reordered
    report.holes = ledger.holes()
    report.doubles = ledger.doubles()
    report.conflicts = ledger.conflicts
    return report


def load_rig() -> object:
    """The rig beside this file: tests have no packages."""
    name = "edgetwin_upstream_rig"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("rig.py"))
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


if __name__ == "__main__":
    asyncio.run(child(Path(sys.argv[2]), int(sys.argv[3])))
