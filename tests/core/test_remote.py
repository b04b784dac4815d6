"""Requests at the engine: listed, not in a loop's hands, and through the guard; told by events."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.config import compile_text
from edgetwin.core.codec import decode, encode
from edgetwin.core.engine import Engine
from edgetwin.core.event import EventKind
from edgetwin.core.frame import CloudMode, CloudWrite, Link, ModeRequest, Tick
from edgetwin.core.plan import SECOND, Mode
from edgetwin.core.reading import Authority, Instant, ReadingBatch, WriteOutcome, WriteResult

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
      p: {at: 3x0001, type: float32}
      n: {at: 4x0001, type: float32, write: {min: 600, max: 1750, rate: 300 per s}}
      m: {at: 4x0003, type: float32, write: {min: 0, max: 10}}
      k: {at: 4x0005, type: float32, write: {min: 0, max: 10}}
assets:
  pump: {tags: {n: skid/n}}
loops:
  pressure: {law: pid, pv: skid/p, sp: 4, mv: skid/m, gain: 1, every: 100 ms}
  other: {law: pid, pv: skid/p, sp: 4, mv: skid/k, gain: 1, every: 100 ms}
upstream:
  cloud:
    broker: mqtt://127.0.0.1
    requests: {keys: [a.pem], tags: [skid/n, skid/m], loops: [pressure]}
  deaf: {broker: mqtt://127.0.0.1}
"""


class Bench:
    def __init__(self, text=CONFIG):
        self.engine = Engine(compile_text(text, "g.yaml"), lambda *_: None)
        self.now = 10**12
        self.feed(Link(0, up=True))
        self.scan()

    def feed(self, cause):
        return self.engine.turn(cause, Instant(self.now, self.now + 10**18))

    def scan(self):
        values = {"skid/p": 3.0, "skid/n": 1200.0, "skid/m": 5.0, "skid/k": 5.0}
        order = [tag.name for tag in self.engine.plan.tags][:4]
        return self.feed(ReadingBatch(slice(0, 4), np.array([values[name] for name in order])))

    def write(self, tag="skid/n", value=1300.0, upstream="cloud"):
        return self.feed(CloudWrite("room/1", upstream, "Anna", tag, value))

    def mode(self, loop="pressure", mode=Mode.AUTO, upstream="cloud"):
        return self.feed(CloudMode("room/2", upstream, "Anna", loop, mode))

    def result(self, frame, outcome=WriteOutcome.WRITTEN, read_back=1300.0, detail=""):
        write = frame.writes[0]
        return self.feed(WriteResult(write.number, write.tag, outcome, read_back, detail))


def states(frame):
    return [dict(e.facts)["state"] for e in frame.events if e.kind is EventKind.REQUEST]


def reason(frame):
    return dict(frame.events[-1].facts)["reason"]


@pytest.fixture
def bench():
    return Bench()


def test_an_accepted_write_is_updating_then_applied_with_what_was_read_back(bench):
    frame = bench.write()
    assert [(w.value, w.authority, w.by) for w in frame.writes] == [
        (1300.0, Authority.CLOUD, "Anna (room/1)")
    ]
    assert states(frame) == ["updating"]
    frame = bench.result(frame)
    assert states(frame) == ["applied"]
    assert dict(frame.events[-1].facts)["read_back"] == 1300.0


def test_another_name_of_a_listed_tag_is_listed_too(bench):
    assert bench.write(tag="pump/n").writes


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (WriteOutcome.REFUSED, "refused: exception 4"),
        (WriteOutcome.NOT_VERIFIED, "not verified"),
        (WriteOutcome.NO_COMMUNICATION, "no communication"),
        (WriteOutcome.EXPIRED, "expired"),
    ],
)
def test_any_other_end_of_a_write_has_failed(bench, outcome, words):
    frame = bench.result(bench.write(), outcome, float("nan"), "exception 4")
    assert states(frame) == ["failed"]
    assert words in reason(frame)


def test_a_write_whose_end_nobody_tells_has_failed_after_five_seconds(bench):
    frame = bench.write()
    bench.now += 5 * SECOND
    assert states(bench.feed(Tick())) == []
    bench.now += 1
    late = bench.feed(Tick())
    assert states(late) == ["failed"]
    assert states(bench.result(frame)) == []


@pytest.mark.parametrize(
    ("asked", "state", "words"),
    [
        ({"tag": "skid/k", "value": 5.0}, "invalid", "lists no tag"),
        ({"tag": "skid/p"}, "invalid", "lists no tag"),
        ({"tag": "nowhere"}, "invalid", "lists no tag"),
        ({"tag": ""}, "invalid", "lists no tag"),
        ({"upstream": "deaf"}, "invalid", "upstream deaf lists no tag"),
        ({"upstream": "?"}, "invalid", "lists no tag"),
        ({"value": 1751.0}, "invalid", "outside"),
        ({"value": 599.999}, "invalid", "outside"),
        ({"value": float("nan")}, "invalid", "no number"),
        ({"value": float("inf")}, "invalid", "no number"),
        ({"value": 1700.0}, "invalid", "too far"),
        ({"value": 1200.0}, "applied", "stands already"),
    ],
)
def test_what_is_not_written_says_why(bench, asked, state, words):
    frame = bench.write(**asked)
    assert frame.writes == ()
    assert states(frame) == [state]
    assert words in reason(frame)


def test_a_tag_in_the_hands_of_a_loop_in_auto_is_overridden_until_the_mode_is_set(bench):
    assert bench.write("skid/m", 6.0).writes
    bench = Bench()
    bench.feed(ModeRequest(0, Mode.AUTO, "anna"))
    frame = bench.write("skid/m", 6.0)
    assert (frame.writes, states(frame)) == ((), ["overridden"])
    assert states(bench.mode(mode=Mode.OFF)) == ["applied"]
    assert bench.write("skid/m", 6.0).writes


def test_a_write_that_is_out_and_a_tag_that_is_not_read_make_it_fail_for_now(bench):
    bench.write()
    assert states(bench.write(value=1310.0)) == ["failed"]
    bench = Bench()
    bench.feed(Link(0, up=False, reason="cable"))
    frame = bench.write()
    assert (frame.writes, states(frame)) == ((), ["failed"])


def test_with_control_off_nothing_is_written_and_no_loop_goes_to_auto():
    text = CONFIG.replace("tags: [skid/n, skid/m], ", "").replace("enabled: true", "enabled: false")
    bench = Bench(text)
    assert states(bench.mode()) == ["invalid"]
    assert states(bench.mode(mode=Mode.OFF)) == ["applied"]


@pytest.mark.parametrize(
    ("loop", "upstream"), [("other", "cloud"), ("?", "cloud"), ("pressure", "deaf")]
)
def test_a_loop_that_is_not_listed_keeps_its_mode(bench, loop, upstream):
    frame = bench.mode(loop, upstream=upstream)
    assert states(frame) == ["invalid"]
    assert all(each.mode is Mode.SHADOW for each in bench.engine.loops)


def test_a_listed_loop_goes_to_the_mode_and_says_who_wanted_it(bench):
    frame = bench.mode()
    assert bench.engine.loops[0].mode is Mode.AUTO
    assert states(frame) == ["applied"]
    assert "by Anna (room/2)" in frame.events[0].text


ARRAY = CONFIG.replace(
    "assets:", "      r: {at: 4x0101, type: float32, elements: 3, write: {min: 0, max: 9}}\nassets:"
).replace("[skid/n, skid/m]", "[skid/n, skid/r]")


class ArrayBench(Bench):
    def __init__(self, text=ARRAY):
        super().__init__(text)

    def scan(self):
        tags = self.engine.plan.tags
        values = {"skid/p": 3.0, "skid/n": 1200.0, "skid/m": 5.0, "skid/k": 5.0}
        measured = [values.get(tag.name, 1.0) for tag in tags if tag.device == 0]
        return self.feed(ReadingBatch(slice(0, len(measured)), np.array(measured)))

    def ends(self, frame, *outcomes):
        """Answer each write; the last frame."""
        pairs = list(zip(frame.writes, outcomes, strict=True))
        return [
            self.feed(WriteResult(write.number, write.tag, outcome, write.value, "why"))
            for write, outcome in pairs
        ]


def test_an_array_is_updating_until_its_last_element_is_written():
    bench = ArrayBench()
    frame = bench.write("skid/r", (1.0, 2.0, 0.0))
    assert states(frame) == ["updating"]
    names = [bench.engine.plan.tags[w.tag].name for w in frame.writes]
    assert names == ["skid/r_0", "skid/r_1", "skid/r_2"]
    assert [w.value for w in frame.writes] == [1.0, 2.0, 0.0]
    told = bench.ends(frame, *[WriteOutcome.WRITTEN] * 3)
    assert [states(each) for each in told] == [[], [], ["applied"]]
    assert dict(told[-1].events[-1].facts)["values"] == "1, 2, 0"
    assert "skid/r to [1, 2, 0]: applied (read back)" in told[-1].events[-1].text


def test_an_array_of_which_an_element_failed_has_failed_and_names_it():
    bench = ArrayBench()
    frame = bench.write("skid/r", (4.0, 2.0, 0.0))
    lost, fine = WriteOutcome.NOT_VERIFIED, WriteOutcome.WRITTEN
    told = bench.ends(frame, fine, lost, lost)
    assert [states(each) for each in told] == [[], [], ["failed"]]
    assert reason(told[-1]) == "skid/r_1, and 1 more: not verified: why"


def test_an_array_whose_end_nobody_tells_has_failed_once():
    bench = ArrayBench()
    frame = bench.write("skid/r", (4.0, 2.0, 0.0))
    bench.ends(frame._replace(writes=frame.writes[:1]), WriteOutcome.WRITTEN)
    bench.now += 5 * SECOND + 1
    assert states(bench.feed(Tick())) == ["failed"]


@pytest.mark.parametrize(
    ("asked", "state", "words"),
    [
        ({"tag": "skid/r", "value": 1.0}, "invalid", "skid/r is an array of 3"),
        ({"tag": "skid/r", "value": (1.0, 2.0)}, "invalid", "3 elements, and 2 values"),
        ({"tag": "skid/n", "value": (1.0,)}, "invalid", "skid/n is one value and no array"),
        ({"tag": "skid/r", "value": (1.0, 2.0, 9.5)}, "invalid", "skid/r_2: 9.5 is outside"),
        ({"tag": "skid/r", "value": (1.0, 1.0, 1.0)}, "applied", "stands already"),
        ({"tag": "skid/r", "value": (2.0, 2.0, 2.0), "upstream": "deaf"}, "invalid", "lists no"),
    ],
)
def test_an_array_that_is_not_written_says_why(asked, state, words):
    frame = ArrayBench().write(**asked)
    assert frame.writes == ()
    assert states(frame) == [state]
    assert words in reason(frame)


def test_one_element_of_a_listed_array_may_be_asked_for_alone():
    assert len(ArrayBench().write("skid/r_1", 4.0).writes) == 1


def test_an_array_with_an_element_in_the_hands_of_a_loop_is_overridden():
    bench = ArrayBench(ARRAY.replace("mv: skid/k", "mv: skid/r_1"))
    bench.feed(ModeRequest(1, Mode.AUTO, "anna"))
    frame = bench.write("skid/r", (2.0, 2.0, 2.0))
    assert (frame.writes, states(frame)) == ((), ["overridden"])
    assert "skid/r_1" in reason(frame)


TEXT = CONFIG.replace(
    "assets:",
    "      t: {at: 4x0101, type: text, length: 4, write: {texts: [AUTO, OFF]}}\nassets:",
).replace("[skid/n, skid/m]", "[skid/n, skid/t]")


class TextBench(Bench):
    def __init__(self):
        super().__init__(TEXT)

    def scan(self):
        tag = self.engine.plan.tags.find("skid/t")
        values = np.array([5.0] * 5)
        values[tag] = np.nan
        return self.feed(ReadingBatch(slice(0, 5), values, objects=((tag, "OFF"),)))


def test_a_text_is_written_by_its_number_and_told_as_text():
    bench = TextBench()
    frame = bench.write("skid/t", "AUTO")
    assert [(w.value, w.reason) for w in frame.writes] == [(0.0, "request through cloud: 'AUTO'")]
    frame = bench.result(frame, read_back=0.0)
    facts = dict(frame.events[-1].facts)
    assert (facts["state"], facts["value"], facts["read_back"]) == ("applied", "AUTO", "AUTO")
    assert "skid/t to 'AUTO': applied" in frame.events[-1].text


@pytest.mark.parametrize(
    ("asked", "state", "words"),
    [
        ({"value": "OFF"}, "applied", "'OFF' stands already"),
        ({"value": "auto"}, "invalid", "takes one of 'AUTO', 'OFF', not 'auto'"),
        ({"value": 0.0}, "invalid", "takes one of 'AUTO', 'OFF', not 0"),
        ({"value": (1.0,)}, "invalid", "one value and no array"),
        ({"tag": "skid/n", "value": "AUTO"}, "invalid", "takes a number, not 'AUTO'"),
    ],
)
def test_a_text_that_is_not_written_says_why(asked, state, words):
    frame = TextBench().write(**{"tag": "skid/t", **asked})
    assert frame.writes == ()
    assert states(frame) == [state]
    assert words in reason(frame)


NAMES = st.sampled_from(["skid/p", "skid/n", "skid/m", "skid/k", "pump/n", "other", ""])
ASKED = st.builds(
    CloudWrite,
    id=st.just("x/1"),
    upstream=st.sampled_from(["cloud", "deaf", ""]),
    by=st.text(max_size=5),
    tag=NAMES | st.text(max_size=5),
    value=st.floats() | st.sampled_from([600.0, 1100.0, 1300.0, 1750.0, 0.0, 10.0, 5.5]),
)


MODES = st.sampled_from([CloudMode("x/2", "cloud", "b", "pressure", mode) for mode in Mode])


@given(st.lists(ASKED | MODES, max_size=8))
def test_nothing_but_listed_tags_within_their_limits_is_ever_written(causes):
    bench = Bench()
    plan = bench.engine.plan
    for cause in causes:
        bench.now += SECOND // 4
        loop = bench.engine.loops[0]
        in_hand = loop.mode is Mode.AUTO
        frame = bench.feed(cause)
        for write in frame.writes:
            tag = plan.tags[write.tag]
            assert write.authority is not Authority.CLOUD or isinstance(cause, CloudWrite)
            if write.authority is Authority.CLOUD:
                assert cause.upstream == "cloud"
                assert tag.name in {"skid/n", "skid/m"}
                assert not (in_hand and tag.name == "skid/m")
                assert tag.write.low <= write.value <= tag.write.high
        assert len(states(frame)) == 1
        assert encode(decode(encode(frame))) == encode(frame)


def test_the_same_inputs_give_the_same_frames():
    def run():
        bench = Bench()
        first = bench.write()
        return [encode(f) for f in (first, bench.result(first), bench.mode(), bench.scan())]

    assert run() == run()
