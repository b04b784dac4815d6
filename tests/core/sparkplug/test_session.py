"""Births, numbers and deaths in order, whatever happens."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.frame import Frame
from edgetwin.core.plan import SECOND
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.sparkplug import history
from edgetwin.core.sparkplug.catalogue import Catalogue
from edgetwin.core.sparkplug.metric import REBIRTH, Grade, Verb, topic
from edgetwin.core.sparkplug.report import Change, Reporter
from edgetwin.core.sparkplug.session import Session
from edgetwin.core.tags import Tag, TagKind, TagTable, ValueType

AT = 1_732_278_000_000
TAGS = TagTable(
    (
        Tag(0, "skid/a", device=0, type=ValueType.FLOAT64, unit="bar", low=0, high=10),
        Tag(1, "pump/p", kind=TagKind.DERIVED, type=ValueType.FLOAT64),
        Tag(2, "loop/l/out", kind=TagKind.LOOP, type=ValueType.FLOAT64),
    )
)
CATALOGUE = Catalogue(TAGS, ("skid",), ("pump",))


def begin():
    reporter, session = Reporter(CATALOGUE), Session(CATALOGUE, ("Gateway/Lost",))
    at = Instant(SECOND, AT * 1_000_000)
    reporter.follow(Frame(1, at, ReadingBatch(slice(0, 3), np.array([1.0, 2.0, 3.0]))))
    session.open(7)
    return reporter, session


def births(session, reporter, facts, at):
    first = session.node_birth(reporter, facts, at)
    return [first, *(session.device_birth(d, reporter, at) for d in sorted(reporter.present))]


def test_births_are_the_node_with_0_then_each_device():
    reporter, session = begin()
    told = births(session, reporter, {"Gateway/Lost": 0}, AT)
    assert [(b.verb, b.device, b.payload.seq) for b in told] == [
        (Verb.NBIRTH, "", 0),
        (Verb.DBIRTH, "pump", 1),
        (Verb.DBIRTH, "skid", 2),
    ]
    names = {metric.name for metric in told[0].payload.metrics}
    assert names == {"bdSeq", REBIRTH, "Gateway/Lost", "loop/l/out"}
    skid = told[2].payload.metrics[0]
    assert [(p.key, p.value) for p in skid.properties] == [
        ("engUnit", "bar"),
        ("engLow", 0),
        ("engHigh", 10),
    ]


def test_a_rebirth_keeps_bd_seq_and_begins_at_0():
    reporter, session = begin()
    births(session, reporter, {"Gateway/Lost": 0}, AT)
    again = births(session, reporter, {"Gateway/Lost": 0}, AT + 1)
    assert again[0].payload.seq == 0
    told = {metric.name: metric.value for metric in again[0].payload.metrics}
    assert told["bdSeq"] == 7


def test_a_death_of_the_node_has_bd_seq_and_no_number():
    _, session = begin()
    death = session.death(AT)
    assert death.payload.seq is None
    assert [(m.name, m.value) for m in death.payload.metrics] == [("bdSeq", 7)]


def test_changes_of_a_dead_device_are_not_told():
    reporter, session = begin()
    births(session, reporter, {"Gateway/Lost": 0}, AT)
    session.device_death("skid", AT)
    changes = (Change(0, AT, 1.5, Grade.GOOD), Change(2, AT, 4.0, Grade.GOOD))
    told = session.values(changes, reporter.types, AT)
    assert [(m.verb, m.device) for m in told] == [(Verb.NDATA, "")]


def test_metrics_of_one_message_are_in_order_of_time():
    reporter, session = begin()
    births(session, reporter, {"Gateway/Lost": 0}, AT)
    changes = (Change(0, AT + 5, 1.0, Grade.GOOD), Change(0, AT, 2.0, Grade.GOOD))
    (told,) = session.values(changes, reporter.types, AT)
    assert [m.timestamp for m in told.payload.metrics] == [AT, AT + 5]


STEPS = st.sampled_from(["births", "value", "node value", "death", "birth", "news"])


@given(st.lists(STEPS, max_size=700))
def test_numbers_run_from_0_to_255_and_over_whatever_is_told(steps):
    reporter, session = begin()
    sent = births(session, reporter, {"Gateway/Lost": 0}, AT)
    does = {
        "births": lambda: births(session, reporter, {"Gateway/Lost": 0}, AT),
        "value": lambda: session.values([Change(1, AT, 1.0, Grade.GOOD)], reporter.types, AT),
        "node value": lambda: session.values([Change(2, AT, 1.0, Grade.GOOD)], reporter.types, AT),
        "death": lambda: (session.device_death("skid", AT),),
        "birth": lambda: (session.device_birth("skid", reporter, AT),),
        "news": lambda: (session.news({"Gateway/Lost": 1}, AT),),
    }
    for step in steps:
        sent += does[step]()
    expected = 0
    for message in sent:
        expected = 0 if message.verb is Verb.NBIRTH else expected
        assert message.payload.seq == expected
        expected = (expected + 1) % 256


def test_a_large_change_is_split():
    tags = TagTable(tuple(Tag(n, f"skid/t{n}", device=0) for n in range(1201)))
    catalogue = Catalogue(tags, ("skid",))
    session, reporter = Session(catalogue, ()), Reporter(catalogue)
    births(session, reporter, {}, AT)
    session.device_birth("skid", reporter, AT)
    changes = [Change(n, AT, 1.0, Grade.GOOD) for n in range(1201)]
    told = session.values(changes, reporter.types, AT)
    assert [len(m.payload.metrics) for m in told] == [500, 500, 201]


def test_topics_are_as_the_specification_has_them():
    assert topic("g", Verb.NBIRTH, "n") == "spBv1.0/g/NBIRTH/n"
    assert topic("g", Verb.DDATA, "n", "d") == "spBv1.0/g/DDATA/n/d"


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.none() | st.floats(-1e9, 1e9))))
def test_history_comes_back_as_it_went(rows):
    changes = tuple(Change(tag, AT, value, Grade.STALE) for tag, value in rows)
    body = history.write(changes, CATALOGUE, AT)
    assert history.read(body, CATALOGUE.by_name) == (changes, 0)


def test_history_of_a_tag_that_is_gone_is_counted():
    body = history.write((Change(0, AT, 1.0, Grade.GOOD),), CATALOGUE, AT)
    assert history.read(body, {"skid/b": 0}) == ((), 1)
