"""What is told of which change; and that what was told adds up to what there is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.frame import Confirmed, Frame, Link, Tick
from edgetwin.core.plan import SECOND
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.sparkplug.catalogue import Catalogue, usual_type
from edgetwin.core.sparkplug.metric import DataType, Grade
from edgetwin.core.sparkplug.report import Reporter, as_type
from edgetwin.core.tags import Tag, TagKind, TagTable, ValueType

WALL = 1_732_278_000 * SECOND
TAGS = TagTable(
    (
        Tag(0, "skid/a", device=0, type=ValueType.FLOAT64, deadband=1.0, low=-1000, high=1000),
        Tag(1, "skid/b", device=0, type=ValueType.BIT),
        Tag(2, "meter/x", device=1),
        Tag(3, "pump/p", kind=TagKind.DERIVED, type=ValueType.FLOAT64),
    )
)


class Film:
    """Frames on a virtual clock, followed by a reporter."""

    def __init__(self):
        self.reporter = Reporter(Catalogue(TAGS, ("skid", "meter"), ("pump",)))
        self.number = 0
        self.mono = 0

    def show(self, cause, *, after_s=0.5, inner=()):
        self.number += 1
        self.mono += int(after_s * SECOND)
        at = Instant(self.mono, WALL + self.mono)
        self.reporter.follow(Frame(self.number, at, cause, inner))
        return self

    def skid(self, a, b=1.0, *, quality=0, source_time=0, **more):
        batch = ReadingBatch(slice(0, 2), np.array([a, b]), quality, source_time)
        return self.show(batch, **more)

    def told(self):
        return {TAGS[c.tag].name: (c.value, c.grade) for c in self.reporter.changes()}


def test_nothing_is_told_before_anything_was_read():
    assert Film().show(Tick()).told() == {}


def test_a_change_is_told_once():
    film = Film().skid(5.0)
    assert film.told() == {"skid/a": (5.0, Grade.GOOD), "skid/b": (True, Grade.GOOD)}
    assert film.told() == {}
    assert film.skid(5.0).told() == {}


@pytest.mark.parametrize(
    ("step", "is_told"), [(0.9, False), (1.0, True), (-0.9, False), (-1, True)]
)
def test_a_change_within_the_deadband_is_not_told(step, is_told):
    film = Film().skid(5.0)
    film.told()
    assert ("skid/a" in film.skid(5.0 + step).told()) is is_told


def test_small_steps_in_one_direction_are_told_when_they_add_up():
    film = Film().skid(0.0)
    film.told()
    assert [film.skid(n * 0.4).told().get("skid/a") for n in range(1, 4)] == [
        None,
        None,
        (pytest.approx(1.2), Grade.GOOD),
    ]


@pytest.mark.parametrize(
    ("quality", "value", "grade"),
    [
        (Quality.GOOD, 5.0, Grade.GOOD),
        (Quality.SUBSTITUTED, 5.0, Grade.BAD),
        (Quality.DEVICE_FAULT, None, Grade.BAD),
        (Quality.NO_VALUE, None, Grade.BAD),
        (Quality.NO_COMMUNICATION, None, Grade.STALE),
    ],
)
def test_each_quality_has_its_grade_and_a_bad_one_no_value(quality, value, grade):
    film = Film().skid(1.0)
    film.told()
    assert film.skid(5.0, quality=int(quality)).told()["skid/a"] == (value, grade)


def test_what_goes_stale_is_told_as_stale_and_comes_back():
    film = Film().skid(5.0)
    film.told()
    film.show(Tick(), after_s=10)
    assert film.told()["skid/a"] == (None, Grade.STALE)
    film.show(Confirmed(range(2)))
    assert film.told()["skid/a"] == (5.0, Grade.GOOD)


def test_a_device_is_there_from_its_first_value_to_its_loss():
    film = Film()
    assert film.reporter.present == {"pump"}
    assert not film.reporter.heard
    film.skid(1.0)
    assert film.reporter.present == {"pump", "skid"}
    film.show(Link(1, up=False))
    assert film.reporter.heard, "one was found, the other missed"
    film.told()
    film.show(Link(0, up=False))
    assert film.reporter.present == {"pump"}
    assert film.told()["skid/a"] == (None, Grade.STALE)


def test_a_batch_without_a_single_value_does_not_make_a_device_present():
    film = Film().skid(np.nan, np.nan, quality=int(Quality.NO_COMMUNICATION))
    assert film.reporter.present == {"pump"}


def test_a_timestamp_is_the_devices_unless_that_is_ahead_of_ours():
    film = Film().skid(1.0, source_time=WALL)
    assert film.reporter.changes()[0].timestamp == WALL // 1_000_000
    film.skid(9.0, source_time=WALL + 3600 * SECOND)
    assert film.reporter.changes()[0].timestamp == (WALL + film.mono) // 1_000_000


def test_timestamps_of_a_tag_never_go_back():
    film = Film().skid(1.0, source_time=WALL + SECOND // 4)
    first = film.reporter.changes()[0].timestamp
    film.skid(9.0, source_time=WALL - 3600 * SECOND)
    assert film.reporter.changes()[0].timestamp == first


def test_a_text_in_place_of_a_number_makes_births_necessary():
    film = Film()
    film.show(ReadingBatch(slice(2, 3), np.array([1.0])))
    film.told()
    film.show(ReadingBatch(slice(2, 3), np.array([np.nan]), objects=((2, "on"),)))
    assert film.told()["meter/x"] == ("on", Grade.GOOD)
    assert film.reporter.redefined
    assert film.reporter.types[2] is DataType.STRING


@given(st.lists(st.tuples(st.floats(-1000, 1000), st.booleans()), max_size=40))
def test_a_host_is_never_further_off_than_the_deadband(steps):
    film, known = Film(), None
    for value, look in steps:
        film.skid(value)
        if look:
            known = film.told().get("skid/a", (known, None))[0]
            assert abs(known - value) < 1.0 or known == value


@pytest.mark.parametrize(
    ("value", "kind", "held"),
    [
        (2.6, DataType.INT16, 3),
        (40_000.0, DataType.INT16, None),
        (-1.0, DataType.UINT32, None),
        (2**64 - 1, DataType.UINT64, 2**64 - 1),
        (float("nan"), DataType.DOUBLE, None),
        (0.0, DataType.BOOLEAN, False),
        ("x", DataType.DOUBLE, None),
        (1.5, DataType.STRING, "1.5"),
    ],
)
def test_a_value_is_held_as_its_type_can(value, kind, held):
    assert as_type(value, kind) == held


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        (Tag(0, "d/a", type=ValueType.INT16), DataType.INT16),
        (Tag(0, "d/a", type=ValueType.INT16, scale=0.1), DataType.DOUBLE),
        (Tag(0, "d/a", type=ValueType.BCD32), DataType.UINT32),
        (Tag(0, "d/a", type=ValueType.TEXT, length=4), DataType.STRING),
        (Tag(0, "d/a"), DataType.DOUBLE),
    ],
)
def test_a_tag_has_the_type_that_its_values_fit(tag, kind):
    assert usual_type(tag) is kind


def test_what_is_told_of_some_tags_leaves_the_others_due():
    film = Film().skid(5.0, 0.0)
    film.told()
    film.skid(7.0, 1.0)
    assert [c.tag for c in film.reporter.changes_of((0,))] == [0]
    assert [c.tag for c in film.reporter.changes()] == [1]
