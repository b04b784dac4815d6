"""Gathered readings: one turn instead of many, nothing late, nothing overtaken, nothing lost."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.config import compile_text
from edgetwin.core.engine import Engine
from edgetwin.core.frame import Link
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.twin import Twin
from edgetwin.runtime import clock
from edgetwin.runtime.field import Field
from edgetwin.runtime.gather import Gather

TAGS = "".join(f"      t{i}: {{at: 4x{i + 1:04}, type: uint16}}\n" for i in range(12))
CONFIG = f"""\
gateway: g
state: /nowhere
devices:
  plc:
    driver: modbus
    address: 127.0.0.1:1
    scan: 200 ms
    tags:
{TAGS}      fast: {{at: 4x0100, type: uint16, scan: 50 ms}}
      pv: {{at: 4x0200, type: uint16}}
      mv: {{at: 4x0300, type: uint16, write: {{min: 0, max: 100}}}}
loops:
  l: {{law: formula, is: pv, pv: plc/pv, sp: 0, mv: plc/mv, every: 200 ms, mode: shadow}}
"""


@pytest.fixture(scope="module")
def plan():
    return compile_text(CONFIG, "test.yaml")


def span(plan, first, last):
    return slice(plan.tags.find(f"plc/{first}"), plan.tags.find(f"plc/{last}") + 1)


def batch(at, value=1.0, quality=0):
    return ReadingBatch(at, np.full(at.stop - at.start, value), quality)


async def test_neighbours_are_taken_in_one_turn_within_five_milliseconds(plan):
    taken = asyncio.Queue()
    gather = Gather(plan, taken.put_nowait)
    begun = clock.monotonic_ns()
    assert gather.takes(batch(span(plan, "t3", "t5"), 2.0))
    assert gather.takes(batch(span(plan, "t0", "t2"), 1.0))
    assert gather.takes(batch(span(plan, "t8", "t9"), 3.0))
    assert taken.empty()
    first, second = [await asyncio.wait_for(taken.get(), 5) for _ in range(2)]
    assert clock.monotonic_ns() - begun >= 4_000_000
    assert first.tags == span(plan, "t0", "t5")
    assert first.values.tolist() == [1, 1, 1, 2, 2, 2]
    assert second.tags == span(plan, "t8", "t9")


@pytest.mark.parametrize(
    "at_once",
    [
        lambda plan: batch(span(plan, "pv", "pv")),
        lambda plan: batch(span(plan, "mv", "mv")),
        lambda plan: batch(span(plan, "fast", "fast")),
        lambda plan: batch(span(plan, "t0", "t1"), quality=int(Quality.NO_COMMUNICATION)),
        lambda plan: batch(span(plan, "t0", "t1"))._replace(source_time=5),
        lambda plan: ReadingBatch(np.array([0, 2]), np.ones(2)),
    ],
    ids=["a loop's input", "a loop's output", "a fast scan", "bad", "timed", "scattered"],
)
async def test_what_somebody_waits_for_is_not_held(plan, at_once):
    gather = Gather(plan, lambda _: pytest.fail("nothing was held"))
    assert not gather.takes(at_once(plan))


async def test_a_lost_device_is_told_after_what_it_had_said(plan):
    frames = []

    class Queue:
        put = staticmethod(frames.append)

    field = Field(Engine(plan, lambda *_: None), [Queue()], clock.now)
    field.device_up(0)
    field.readings(batch(span(plan, "t0", "t5"), 7.0))
    assert len(frames) == 1
    field.device_down(0, "gone")
    assert [type(frame.input) for frame in frames] == [Link, ReadingBatch, Link]
    state = field.engine.twin.state(plan.tags.find("plc/t0"), clock.now())
    assert (state.value, state.quality) == (7.0, Quality.NO_COMMUNICATION)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 13),
            st.integers(1, 6),
            st.floats(0, 1000),
            st.sampled_from([0, 0, 0, int(Quality.DEVICE_FAULT)]),
        ),
        max_size=20,
    )
)
async def test_the_twin_ends_as_if_nothing_had_been_gathered(plan, readings):
    now = Instant(1, 1)
    plain, gathered = Twin(plan.tags), Twin(plan.tags)
    gather = Gather(plan, lambda joined: gathered.apply(joined, now))
    for start, length, value, quality in readings:
        each = batch(slice(start, min(start + length, len(plan.tags))), value, quality)
        plain.apply(each, now)
        if not gather.takes(each):
            gathered.apply(each, now)
    gather.flush()
    np.testing.assert_array_equal(plain.value, gathered.value)
    np.testing.assert_array_equal(plain.quality, gathered.quality)
