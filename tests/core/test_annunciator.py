"""All alarms of a gateway, as the engine looks at them: what is told, and that it replays."""

import numpy as np

from edgetwin.config import compile_text
from edgetwin.core.alarm import AlarmState
from edgetwin.core.codec import decode, encode
from edgetwin.core.engine import Engine
from edgetwin.core.event import EventKind
from edgetwin.core.frame import AlarmRequest, Link, Tick
from edgetwin.core.plan import SECOND, AlarmAction
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch

CONFIG = """\
gateway: g
state: /nowhere
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:1
    scan: 1 s
    tags:
      running: {at: 1x0001, alarms: {stopped: {is: 0}}}
      service: {at: 1x0002}
      p:
        at: 3x0001
        type: float32
        unit: bar
        alarms:
          high: {above: 8 bar, on_delay: 2 s, deadband: 0.5 bar, priority: 1, advice: Close V7}
          low: {below: 2, latch: true, suppressed_by: skid/service}
assets:
  pump:
    tags: {p: skid/p}
    derived:
      double: {is: 2 * p, unit: bar, alarms: {high: {above: 20}}}
"""
HIGH, LOW = "skid/p.high", "skid/p.low"


class Skid:
    """Feeds an engine a scan and a tick each second."""

    def __init__(self):
        self.plan = compile_text(CONFIG, "g.yaml")
        self.engine = Engine(self.plan, lambda *_: None)
        self.frames = []
        self.now = 10**12

    def turn(self, cause):
        frame = self.engine.turn(cause, Instant(self.now, 10**18 + self.now))
        self.frames.append(frame)
        return [event for event in frame.events if event.kind.value.startswith("alarm")]

    def second(self, p, running=1.0, service=0.0, quality=0):
        self.now += SECOND
        values = {"skid/running": running, "skid/service": service, "skid/p": p}
        row = np.array([values[self.plan.tags[i].name] for i in range(3)])
        self.turn(ReadingBatch(slice(0, 3), row, quality))
        return self.turn(Tick())

    def ask(self, name, action, span=0, by="anna"):
        index = [plan.name for plan in self.plan.alarms].index(name)
        return self.turn(AlarmRequest(index, action, span, by))

    def state(self, name):
        index = [plan.name for plan in self.plan.alarms].index(name)
        return self.engine.annunciator.state(index)


def test_alarm_tells_value_limit_and_advice_once():
    skid = Skid()
    told = [skid.second(p) for p in (5, 9, 9, 9.5, 9.5)]
    assert [len(events) for events in told] == [0, 0, 0, 1, 0]
    (event,) = told[3]
    assert (event.kind, event.subject) == (EventKind.ALARM, HIGH)
    assert event.text == "skid/p.high: 9.5 bar is above 8 bar. Close V7"
    facts = dict(event.facts)
    assert (facts["priority"], facts["state"], facts["tag"]) == (1, "unacknowledged", "skid/p")


def test_alarm_goes_only_when_the_value_is_back_by_more_than_the_deadband():
    skid = Skid()
    for p in (9, 9, 9, 7.8, 7.6):
        skid.second(p)
    assert skid.state(HIGH) is AlarmState.UNACKNOWLEDGED
    (event,) = skid.second(7.4)
    assert (event.kind, dict(event.facts)["state"]) == (EventKind.ALARM_STATE, "returned")


def test_acknowledging_and_shelving_tell_who_did_it():
    skid = Skid()
    for p in (9, 9, 9):
        skid.second(p)
    (event,) = skid.ask(HIGH, AlarmAction.ACK)
    assert event.text == "skid/p.high: acknowledged, by anna"
    (event,) = skid.ask(HIGH, AlarmAction.SHELVE, 3 * SECOND, by="bert")
    assert event.text == "skid/p.high: shelved for 3 s by bert"
    assert [skid.second(9) for _ in range(2)] == [[], []]
    assert [each.by for each in skid.engine.annunciator.standing] == ["bert"]
    (event,) = skid.second(9)
    assert event.kind is EventKind.ALARM
    assert skid.ask(LOW, AlarmAction.ACK) == []


def test_suppressed_alarm_says_nothing_until_its_tag_is_zero_again():
    skid = Skid()
    skid.second(5, service=1.0)
    assert skid.state(LOW) is AlarmState.SUPPRESSED
    assert skid.second(1, service=1.0) == []
    (event,) = skid.second(1, service=0.0)
    assert event.text == "skid/p.low: 1 bar is below 2 bar"
    (event,) = skid.second(5)
    assert event.text == "skid/p.low: gone; stays until somebody acknowledges it"


def test_a_bad_value_neither_raises_nor_ends_an_alarm():
    skid = Skid()
    skid.second(9)
    skid.second(9)
    skid.turn(Link(0, up=False, reason="gone"))
    assert [skid.turn(Tick()) for _ in range(5)] == [[]] * 5
    assert [len(skid.second(9)) for _ in range(3)] == [0, 0, 1]
    bad = np.full(3, Quality.DEVICE_FAULT, np.uint8)
    assert skid.second(np.nan, quality=bad) == []
    assert skid.state(HIGH) is AlarmState.UNACKNOWLEDGED


def test_bits_and_derived_tags_have_alarms_too():
    skid = Skid()
    skid.second(5)
    assert [e.subject for e in skid.second(5, running=0.0)] == ["skid/running.stopped"]
    assert "pump/double.high" in [e.subject for e in skid.second(11)]


def test_the_most_urgent_stands_first():
    skid = Skid()
    skid.second(5)
    skid.second(5, running=0.0)
    for _ in range(3):
        skid.second(9, running=0.0)
    names = [each.plan.name for each in skid.engine.annunciator.standing]
    assert names == [HIGH, "skid/running.stopped"]


def test_a_recording_with_alarms_and_people_replays_bit_for_bit():
    skid = Skid()
    for p in (5, 9, 9, 9, 7, 1, 5, 5):
        skid.second(p)
        skid.ask(HIGH, AlarmAction.ACK)
    skid.ask(LOW, AlarmAction.SHELVE, 2 * SECOND)
    for _ in range(4):
        skid.second(1)
    again = Engine(skid.plan, lambda *_: None)
    for frame in skid.frames:
        data = encode(frame)
        recorded = decode(data)
        assert encode(again.turn(recorded.input, recorded.at)) == data
