"""Rehearsals: which loops have one, that it goes all the way, and that nothing comes of it."""

import logging

import pytest

from edgetwin.config import compile_text
from edgetwin.core.errors import DeviceLost
from edgetwin.core.reading import Instant
from edgetwin.runtime import clock
from edgetwin.runtime.rehearsal import rehearsals

CONFIG = """\
gateway: g
state: /nowhere
control: {{enabled: {enabled}{more}}}
devices:
  skid:
    driver: modbus
    address: {address}
    scan: {scan}
    tags:
      p: {{at: {at}, type: {type}, {tag}}}
      {beside}
      wanted: {{at: "holding:50", type: float32, scan: 1 s}}
      out: {{at: {out}, {write}, scan: 1 s}}
  other:
    driver: modbus
    address: 127.0.0.1:2
    scan: 10 ms
    tags: {{y: {{at: 4x0001, type: int16}}}}
loops:
  l: {{{law}, pv: {pv}, mv: skid/out, every: {every}, mode: {mode}}}
"""
USUAL = {
    "enabled": "true",
    "more": "",
    "address": "127.0.0.1:1",
    "scan": "10 ms",
    "beside": "other: {at: 'holding:102', type: int16}",
    "at": "holding:100",
    "type": "float32",
    "tag": "range: [0, 10]",
    "out": "holding:200",
    "write": "type: float32, write: {min: 0, max: 100}",
    "law": "law: pid, sp: 5, gain: 2, integral: 10 s",
    "pv": "skid/p",
    "every": "10 ms",
    "mode": "auto",
}
UINT16_OUT = "type: uint16, scale: 0.1, write: {min: 0, max: 100, tolerance: 0.1}"


def plan(**changed):
    return compile_text(CONFIG.format(**{**USUAL, **changed}), "g.yaml")


@pytest.mark.parametrize(
    ("why", "changed"),
    [
        ("it is off", {"mode": '"off"'}),
        ("nobody wants it", {"more": ", rehearse: false"}),
        ("nothing may be written", {"mode": "shadow", "enabled": "false"}),
        ("its scan is slow", {"scan": "100 ms", "every": "100 ms"}),
        ("its scan is so fast that nothing gets cold", {"scan": "1 ms", "every": "10 ms"}),
        ("it reads another device", {"pv": "other/y"}),
        ("its line has silences", {"address": "/dev/ttyS0"}),
        ("its scan brings a coil too", {"beside": "coil: {at: 0x0009}"}),
        ("it writes a coil", {"out": "0x0001", "write": "write: {min: 0, max: 1}"}),
    ],
)
async def test_loop_is_not_rehearsed_where(why, changed):
    assert rehearsals(plan(**changed), clock.now) == {}, why


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"mode": "shadow"},
        {"type": "int16", "tag": "scale: 0.1, range: [4, 20]"},
        {"type": "uint32", "tag": "order: CDAB"},
        {"law": 'law: formula, sp: 0, is: "pv * 3"'},
        {"law": "law: pid, sp: skid/wanted, gain: 2, integral: 10 s"},
        {"law": 'law: formula, sp: 0, is: "pv * 3", permissives: {ready: "skid.wanted > 1e9"}'},
        {"write": "type: float32, write: {min: 0, max: 100, read_back: false}"},
        {"write": "type: float32, write: {min: 0, max: 100, rate: 500 per s}"},
        {"write": UINT16_OUT},
    ],
    ids=str,
)
async def test_rehearsal_goes_from_the_request_to_the_end_of_the_write(changed, caplog):
    caplog.set_level(logging.DEBUG)
    time = clock.now()
    ((place, rehearsal),) = rehearsals(plan(**changed), lambda: time).items()
    rehearsal()  # too early: nothing happens
    await rehearsal.begin()
    field = rehearsal._field
    loop = field.engine.loops[0]
    for _ in range(12):
        time = Instant(time.mono + 10_000_000, time.wall + 10_000_000)
        rehearsal()
    assert place == (0, 0)
    assert field.writes_started >= 8
    assert not field._open_writes
    assert not loop.fault
    assert "edgetwin" not in {record.name.partition(".")[0] for record in caplog.records}
    await rehearsal.close()
    rehearsal()


async def test_rehearsal_that_cannot_begin_holds_nothing_up(caplog, monkeypatch):
    (rehearsal,) = rehearsals(plan(), clock.now).values()

    async def fails():
        raise DeviceLost("no stage")

    monkeypatch.setattr(rehearsal._stage.driver, "connect", fails)
    await rehearsal.begin()
    rehearsal()
    assert "its rehearsal failed" in caplog.text
    await rehearsal.close()


async def test_rehearsal_that_fails_is_told_once_and_left_out(caplog, monkeypatch):
    (rehearsal,) = rehearsals(plan(), clock.now).values()
    await rehearsal.begin()

    def fails():
        raise RuntimeError("stage fright")

    monkeypatch.setattr(rehearsal._stage, "answer", fails)
    rehearsal()
    rehearsal()
    told = [record for record in caplog.records if "its rehearsal failed" in record.message]
    assert len(told) == 1
    await rehearsal.close()
