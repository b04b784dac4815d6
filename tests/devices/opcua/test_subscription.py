"""A subscribed group: who is confirmed, what is not taken, and when silence is a loss."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.plan import ScanGroup
from edgetwin.core.tags import Tag, TagTable
from edgetwin.devices.opcua.batches import Batches
from edgetwin.devices.opcua.columns import Columns
from edgetwin.devices.opcua.counters import Counters
from edgetwin.devices.opcua.polling import Delivery
from edgetwin.devices.opcua.subscription import SubscribedGroup, runs_of

SECOND = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sink(conformance):
    return conformance.Recorder()


@pytest.fixture
def lost() -> list[str]:
    return []


@pytest.fixture
def group(sink, clock, lost) -> SubscribedGroup:
    tags = TagTable(tuple(Tag(i, f"plc/{i}") for i in range(10)))
    deliver = Delivery(sink, Batches(tags), Counters(), clock, lambda error, sent: None)
    return SubscribedGroup(ScanGroup(0, SECOND, range(2, 8)), deliver, lost.append)


def columns(*values: float) -> Columns:
    made = Columns.empty(len(values))
    made.values[:] = values
    made.types[:] = 11
    return made


def handles(*tags: int):
    return np.array(tags, np.uint32)


def test_keep_alive_confirms_only_tags_that_have_a_value(group, sink):
    group.take(None, handles())
    assert sink.heard == set()
    group.take(columns(1, 2, 3), handles(2, 3, 6))
    sink.heard.clear()
    group.take(None, handles())
    assert sink.heard == {2, 3, 6}


def test_values_of_one_tag_in_one_message_end_with_the_newest(group, sink):
    group.take(columns(1, 2, 3, 4), handles(5, 4, 5, 5))
    assert (sink.values[4], sink.values[5]) == (2.0, 4.0)
    assert [len(batch.values) for batch in sink.batches] == [2]


def test_handles_of_nobody_are_not_taken(group, sink):
    group.take(columns(1, 2, 3), handles(0, 4, 4_000_000_000))
    assert sink.values == {4: 2.0}


def test_silence_of_three_periods_is_a_loss(group, clock, lost):
    clock.now = 3 * SECOND
    assert group.start()
    assert not lost
    clock.now += 1
    assert group.start()
    assert "silent for 3.0 s" in lost[0]


def test_keep_alive_ends_the_silence(group, clock, lost):
    clock.now = 3 * SECOND
    group.take(None, handles())
    clock.now = 6 * SECOND
    group.start()
    assert not lost


@given(st.lists(st.booleans(), max_size=40), st.integers(0, 9))
def test_runs_are_maximal_and_cover_what_is_alive(alive, start):
    runs = runs_of(np.array(alive, bool), start)
    assert [tag for run in runs for tag in run] == [
        start + place for place, is_alive in enumerate(alive) if is_alive
    ]
    assert all(a.stop < b.start for a, b in itertools.pairwise(runs))
