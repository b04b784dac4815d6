"""The engine: what follows from what, in which order, and always the same."""

import numpy as np
import pytest

from edgetwin.config import compile_text
from edgetwin.core.anomaly import Score
from edgetwin.core.codec import encode
from edgetwin.core.engine import Engine
from edgetwin.core.event import EventKind
from edgetwin.core.frame import Confirmed, Link, ModelInstalled, ModeRequest, Reflect, Stop, Tick
from edgetwin.core.plan import Mode
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch, WriteOutcome, WriteResult

MS = 1_000_000
CONFIG = """\
gateway: g
state: /nowhere
control: {enabled: true}
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:1
    scan: 100 ms
    tags:
      p: {at: 3x0001, type: float32, unit: bar, range: [0, 16]}
      q: {at: 3x0003, type: float32, unit: m3/h}
      n: {at: 4x0001, type: float32, unit: 1/min, write: {min: 600, max: 1750, rate: 300 per s}}
assets:
  pump:
    tags: {p: skid/p, q: skid/q, n: skid/n}
    derived:
      power: {is: p * q / 36, unit: kW}
    watch: {every: 100 ms, train: 60, window: 15, tags: [p, q]}
loops:
  pressure:
    {law: pid, pv: pump/p, sp: 4 bar, mv: pump/n, gain: 100, integral: 5 s, every: 100 ms,
     mode: auto}
"""


class Steady:
    """A scorer that says what the first column of the newest row is."""

    def score(self, window):
        return Score(float(window[-1, 0]) / 5, np.array([0.75, 0.25]))


def make():
    return Engine(compile_text(CONFIG, "g.yaml"), lambda _onnx, _tags, _window: Steady())


class Plant:
    """Feeds an engine scans on a virtual clock; a write takes effect at once and is read back."""

    def __init__(self, engine):
        self.engine = engine
        self.frames = []
        self.now = 10**12
        self.n = 1200.0
        self.pressure = 3.0
        self.index = {t.name: t.index for t in engine.plan.tags}
        self.feed(Link(0, up=True))

    def feed(self, cause):
        frame = self.engine.turn(cause, Instant(self.now, self.now + 10**18))
        self.frames.append(frame)
        return frame

    def scan(self, pressure=None, quality=0):
        order = ["skid/p", "skid/q", "skid/n"]
        values = {"skid/p": pressure or self.pressure, "skid/q": 12.0, "skid/n": self.n}
        by_index = sorted(order, key=self.index.get)
        column = np.array([values[name] for name in by_index])
        frame = self.feed(ReadingBatch(slice(0, 3), column, quality))
        for write in frame.writes:
            self.n = write.value
            self.feed(WriteResult(write.number, write.tag, WriteOutcome.WRITTEN, write.value))
        self.now += 50 * MS
        self.feed(Tick())
        self.feed(Reflect())
        self.now += 50 * MS
        return frame

    def run(self, scans, **kwargs):
        return [self.scan(**kwargs) for _ in range(scans)]


@pytest.fixture
def plant():
    return Plant(make())


def events(frames, kind):
    return [e for f in frames for e in f.events if e.kind is kind]


def test_readings_reach_twin_derived_tag_and_loop_in_one_turn(plant):
    frames = plant.run(10)
    twin = plant.engine.twin
    assert twin.value[plant.index["pump/power"]] == pytest.approx(1.0)
    written = [f for f in frames if f.writes]
    assert written, "the loop wrote nothing"
    assert isinstance(written[0].input, ReadingBatch)
    assert all(600 <= w.value <= 1750 for f in frames for w in f.writes)


def test_a_value_that_still_holds_moves_the_loop_on_and_heals_what_is_derived_from_it(plant):
    plant.run(1)
    writes = 0
    for _ in range(5):
        writes += len(plant.feed(Confirmed(range(3))).writes)
        plant.now += 100 * MS
    assert writes
    plant.now += 300 * MS
    plant.feed(Tick())
    power = plant.index["pump/power"]
    assert plant.engine.twin.quality[power] == Quality.STALE
    plant.feed(Confirmed(range(3)))
    assert plant.engine.twin.quality[power] == Quality.GOOD


def test_nothing_is_written_before_three_good_scans(plant):
    first = next(i for i, f in enumerate(plant.run(10)) if f.writes)
    assert first >= 2


def test_a_lost_device_spoils_its_tags_and_is_told_once(plant):
    plant.run(5)
    plant.feed(Link(0, up=False, reason="skid: no answer"))
    plant.feed(Link(0, up=False, reason="skid: no answer"))
    assert set(plant.engine.twin.quality[:3]) == {Quality.NO_COMMUNICATION}
    assert plant.engine.twin.quality[plant.index["pump/power"]] >= Quality.BAD
    assert len(events(plant.frames, EventKind.DEVICE_LOST)) == 1
    assert plant.engine.loops[0].faulted
    plant.now += 10**9
    plant.feed(Link(0, up=True))
    plant.run(5)
    assert len(events(plant.frames, EventKind.DEVICE_BACK)) == 2
    assert not plant.engine.loops[0].faulted


def test_silence_makes_tags_stale_and_the_loop_fail_safe_in_two_scans_and_one_period(plant):
    plant.run(10)
    silent_since = plant.now - 100 * MS
    while not plant.engine.loops[0].faulted:
        plant.now += 10 * MS
        plant.feed(Tick())
        assert plant.now - silent_since <= 310 * MS
    assert plant.engine.twin.quality[plant.index["skid/p"]] == Quality.STALE
    assert not any(f.writes for f in plant.frames[-5:])


def test_a_value_out_of_range_never_drives_the_loop(plant):
    plant.run(6)
    frames = plant.run(5, pressure=99.0)
    assert not any(f.writes for f in frames)
    assert plant.engine.loops[0].faulted


def test_a_lesson_comes_once_and_a_model_judges_after_the_write(plant):
    plant.run(70)
    lessons = [f for f in plant.frames if f.lessons]
    assert len(lessons) == 1
    assert isinstance(lessons[0].input, Reflect)
    assert lessons[0].lessons[0].rows.shape == (60, 2)
    plant.feed(ModelInstalled(0, b"onnx", "ab"))
    plant.run(40)
    assert plant.engine.twin.value[plant.index["pump/verdict"]] == 0
    plant.run(3, pressure=15.9)
    told = events(plant.frames, EventKind.ANOMALY)
    assert len(told) == 1
    assert dict(told[0].facts)["skid/p"] == 0.75
    assert plant.engine.twin.value[plant.index["pump/verdict"]] == 1
    judged = [f for f in plant.frames if any(e.kind is EventKind.ANOMALY for e in f.events)]
    assert isinstance(judged[0].input, Reflect)


def test_a_person_s_mode_request_is_told_with_the_name(plant):
    plant.run(5)
    frame = plant.feed(ModeRequest(0, Mode.SHADOW, "anna"))
    assert any("anna" in e.text for e in frame.events)
    assert not any(f.writes for f in plant.run(10))


def test_stop_leaves_the_output_as_the_end_rule_says(plant):
    plant.run(10)
    assert plant.feed(Stop()).writes == ()
    assert not any(f.writes for f in plant.run(3))


def test_the_same_inputs_give_the_same_frames_bit_for_bit(plant):
    plant.run(70)
    plant.feed(ModelInstalled(0, b"onnx", "ab"))
    plant.run(30)
    plant.run(3, pressure=15.9)
    plant.feed(Link(0, up=False, reason="gone"))
    plant.run(2)
    plant.feed(Stop())
    again = make()
    for frame in plant.frames:
        assert encode(again.turn(frame.input, frame.at)) == encode(frame)
