"""From frames to drafts: which streams there are, for whom, and what the end brings out."""

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from edgetwin.config import compile_text
from edgetwin.core import payload, received
from edgetwin.core.frame import Frame, Tick
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.tags import ReportBy
from edgetwin.runtime.drafter import Drafter, write

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("EDGETWIN_SHARED", ROOT.parent / "shared"))
SECOND = 1_000_000_000
WALL = 1_732_278_000 * SECOND
CONFIG = """\
gateway: g
state: /nowhere
classes:
  slow: {window: 1 min}
  lines: {report: {within: 1 % of range, by: line}}
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:1
    tags:
      a: {at: 1x0001}
      b: {at: 3x0001, type: float32, class: slow}
      c: {at: 3x0003, type: float32, range: [0, 100], class: lines}
      d: {at: 3x0005, type: uint16, counter: {wraps: 65536}}
upstream:
  cloud: {broker: mqtt://127.0.0.1, window: 10 s}
  plant: {broker: mqtt://127.0.0.1, window: 30 s}
"""


def run(text, seconds):
    plan = compile_text(text, "g.yaml")
    drafter = Drafter(plan)
    places = {tag.name: tag.index for tag in plan.tags}
    drafts = []
    for second in range(seconds):
        row = np.zeros(len(plan.tags))
        for name, value in (("a", second % 2), ("b", second), ("c", second), ("d", 65530 + second)):
            row[places[f"skid/{name}"]] = value % 65536
        now = Instant(second * SECOND, WALL + second * SECOND)
        drafts += drafter.take(Frame(second + 1, now, ReadingBatch(slice(0, 4), row)))[0]
    return plan, list(map(write, drafts + drafter.close()))


def test_the_next_window_to_end_is_known_so_that_nobody_has_to_look_before():
    drafter = Drafter(compile_text(CONFIG, "g.yaml"))
    assert drafter.due is None
    ends = []
    for second in (3, 8, 11, 29, 31):
        now = Instant(second * SECOND, WALL + second * SECOND)
        drafter.take(Frame(second, now, Tick()))
        ends.append(drafter.due // SECOND)
    assert ends == [10, 10, 20, 30, 40]


def test_each_window_and_each_class_has_a_stream_of_its_own():
    plan, drafts = run(CONFIG, 61)
    streams = {(draft.stream, draft.upstreams) for draft in drafts}
    assert streams == {
        ("summary-10s", ("cloud",)),
        ("summary-30s", ("plant",)),
        ("summary-slow-60s", ("cloud", "plant")),
        ("report", ("cloud", "plant")),
    }
    birth = received.read(payload.birth(plan.name, 0, plan.tags).payload)

    def rows(stream):
        found = [draft.body for draft in drafts if draft.stream == stream]
        return received.tabulate(received.read(payload.envelope(found[0], "s", 1, 1)), birth)

    assert set(rows("summary-10s")) == set(rows("summary-30s")) == {"skid/a", "skid/d"}
    assert set(rows("summary-slow-60s")) == {"skid/b"}
    short = rows("summary-10s")
    assert (short["skid/a"]["on"], short["skid/a"]["off"]) == (5000, 5000)
    assert short["skid/d"]["increase"] == 9
    assert "on" not in short["skid/d"]
    assert rows("summary-30s")["skid/d"]["increase"] == 29


def test_without_classes_nothing_is_added_to_a_summary():
    text = CONFIG.replace("class: slow", "").replace(", class: lines", "")
    _, drafts = run(text.replace(", counter: {wraps: 65536}", ""), 11)
    assert b'"set"' not in drafts[0].body
    assert {draft.kind for draft in drafts} == {"summary"}


def test_a_tick_alone_is_no_record():
    plan = compile_text(CONFIG, "g.yaml")
    assert Drafter(plan).take(Frame(1, Instant(0, WALL), Tick())) == ([], [])


# ---------------------------------------------------------------- what it costs


@pytest.fixture(scope="module")
def volume():
    loader = importlib.machinery.SourceFileLoader("volume", str(ROOT / "scripts/bench/volume"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("volume", loader))
    sys.modules["volume"] = module
    loader.exec_module(module)
    yield module
    del sys.modules["volume"]


def holds(volume, trace):
    raw, _ = volume.weigh(volume.plan(trace, "values: true, window: 1 h"), trace, "values")
    for by in ReportBy:
        figures = volume.told(trace, by)
        assert figures.bytes <= min(0.05 * raw.bytes, trace.rows.size), (trace.name, by)
        assert figures.error <= 1 + 1e-6
        assert figures.untold == 0


def test_demo_plant_costs_less_than_a_byte_a_reading_within_the_bound(volume):
    holds(volume, volume.demo(12))


@pytest.mark.shared
def test_real_traces_cost_less_than_a_byte_a_reading_within_the_bound(volume):
    if not SHARED.is_dir():
        pytest.skip("the development data (EDGETWIN_SHARED, or ../shared) is not on this machine")
    traces = list(volume.shared_traces(SHARED))
    assert traces
    for trace in traces:
        holds(volume, trace)
