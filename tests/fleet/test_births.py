"""From a birth and a summary, as they travel, to machines of a type."""

import math

import pytest

from edgetwin.core import payload, received
from edgetwin.core.tags import Tag, TagTable, TypedAsset
from edgetwin.fleet.births import Births
from edgetwin.fleet.ranges import Seen

TAGS = TagTable((Tag(0, "s/slow", summary="slow"), Tag(1, "s/p"), Tag(2, "pump/verdict")))
PUMP = TypedAsset("pump", "pump-40", {"p": 1, "slow": 0}, verdict=2)


@pytest.fixture
def births():
    made = Births()
    made.take(received.read(payload.birth("gw", 1, TAGS, (PUMP,)).payload))
    return made


def summary(verdict=0.0, **more):
    born = payload.birth("gw", 1, TAGS, (PUMP,)).id
    columns = {"min": [1.0, verdict], "mean": [2.0, verdict], "max": [3.0, verdict]}
    return {"birth": born, **columns, **more}


def test_a_machine_is_told_by_its_own_names_without_what_is_in_other_sets(births):
    (machine,) = births.machines("edgetwin/gw", summary())
    assert machine.owner == "edgetwin/gw/pump"
    assert machine.type == "pump-40"
    assert machine.tags == {"p": Seen(1.0, 2.0, 3.0)}
    assert not machine.sick


def test_a_class_with_a_window_of_its_own_tells_its_own_tags(births):
    slow = summary(set="slow", min=[7.0], mean=[8.0], max=[None])
    (machine,) = births.machines("edgetwin/gw", slow)
    assert (machine.tags["slow"].minimum, machine.tags["slow"].mean) == (7.0, 8.0)
    assert math.isnan(machine.tags["slow"].maximum)
    assert not machine.sick


def test_what_its_detector_calls_abnormal_is_marked(births):
    (machine,) = births.machines("edgetwin/gw", summary(verdict=1.0))
    assert machine.sick


def test_a_summary_before_its_birth_is_not_understood():
    assert not Births().knows(summary())
