"""Whatever core.payload can write is a message of the contract."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core import payload, ranges, received, thin
from edgetwin.core.capture import Part, Row
from edgetwin.core.contract.kinds import MESSAGES
from edgetwin.core.door import Point
from edgetwin.core.event import Event, EventKind
from edgetwin.core.quality import Quality
from edgetwin.core.ranges import Edges, Ranges
from edgetwin.core.ranges import read as read_ranges
from edgetwin.core.reading import ReadingBatch
from edgetwin.core.remote import State
from edgetwin.core.report import Told
from edgetwin.core.request import BadRequest, Reply, write_reply
from edgetwin.core.request import read as read_request
from edgetwin.core.summary import Columns, Summary
from edgetwin.core.tags import (
    Counter,
    Report,
    ReportBy,
    Tag,
    TagKind,
    TagTable,
    ValueType,
)

MS = 1_000_000
NUMBERS = st.floats()
SCALARS = st.one_of(NUMBERS, st.integers(-(1 << 63), (1 << 64) - 1), st.booleans(), st.text())
TIMES = st.integers(0, 1 << 61)
TEXTS = st.text(st.characters())
BIRTHS = st.integers(0, (1 << 48) - 1).map(lambda n: f"{n:012x}")

TAGS = st.builds(
    Tag,
    index=st.just(0),
    name=st.text(min_size=1),
    kind=st.sampled_from(TagKind),
    type=st.sampled_from(ValueType),
    unit=st.text(),
    low=NUMBERS,
    high=NUMBERS,
    summary=st.one_of(st.none(), st.text()),
    report=st.one_of(
        st.none(),
        st.builds(Report, st.sampled_from(ReportBy), st.floats(0, 1e300), st.integers(0, 1 << 50)),
    ),
    counter=st.one_of(st.none(), st.builds(Counter, NUMBERS)),
)
GAPS = st.builds(
    payload.Gap,
    st.sampled_from(["*", "frames", "event@5f3a9c"]),
    st.one_of(st.none(), st.integers(1, 1 << 60)),
    st.one_of(st.none(), st.integers(1, 1 << 60)),
    st.one_of(st.none(), st.integers(0, 1 << 60)),
    TEXTS,
)
EVENTS = st.builds(
    Event,
    st.sampled_from(EventKind),
    TEXTS,
    TEXTS,
    st.lists(st.tuples(TEXTS, SCALARS)).map(tuple),
)
VALUES = st.lists(st.one_of(st.none(), SCALARS), min_size=1, max_size=4).map(tuple)
ROWS = st.builds(Row, TIMES, st.integers(0, 9), VALUES)
PARTS = st.builds(
    Part,
    st.text(min_size=1),
    TIMES,
    st.integers(1, 99),
    st.booleans(),
    st.booleans(),
    st.lists(ROWS, max_size=3).map(tuple),
)
POINTS = st.builds(Point, st.integers(0, 9), st.integers(0, 1 << 42), st.one_of(st.none(), SCALARS))
TOLD = st.builds(Told, TIMES, TIMES, st.lists(POINTS, max_size=5).map(tuple))


@st.composite
def summaries(draw):
    size = draw(st.integers(0, 4))
    bits, counters = draw(st.integers(0, size)), draw(st.integers(0, size))

    def floats(length=size):
        return np.array(draw(st.lists(NUMBERS, min_size=length, max_size=length)), float)

    def whole(length=size):
        numbers = st.lists(st.integers(0, 1 << 50), min_size=length, max_size=length)
        return np.array(draw(numbers), np.int64)

    count = whole()
    objects = [(place, draw(SCALARS)) for place in range(size) if draw(st.booleans())]
    columns = Columns(
        count=count,
        good=np.minimum(count, whole()),
        **{name: floats() for name in ("minimum", "maximum", "mean", "deviation", "earliest")},
        last=floats(),
        on=whole(bits),
        off=whole(bits),
        increase=floats(counters),
        quality=np.array([draw(st.sampled_from(Quality)) for _ in range(size)], np.uint8),
        objects=tuple(objects),
    )
    begin, first = draw(TIMES), draw(st.integers(0, 1 << 50))
    of = draw(st.sampled_from(["", "slow", "class-2_x"]))
    return Summary(
        of, begin, begin + 10_000 * MS, first, first + 3, draw(st.integers(0, 9)), columns
    )


@pytest.fixture(scope="module")
def fits(validators):
    """Judge a body as it would be sent; a retained message has no stream."""

    def judge(kind, body, stream=""):
        sent = payload.envelope(body, f"{stream or kind}@5f3a9c", 7, 3)
        message = received.read(sent if MESSAGES[kind].stored else body)
        assert [e.message for e in validators[kind].iter_errors(message)] == []

    return judge


@given(tags=st.lists(TAGS, max_size=4), boot=st.integers(1, 1 << 60))
def test_birth(fits, tags, boot):
    fits("birth", payload.birth("pump-7", boot, TagTable(tuple(tags))).payload)


@pytest.mark.parametrize("cause", ["connected", "stopped", "lost"])
@pytest.mark.parametrize("birth", ["", "0c2f5a9be113"])
def test_status(fits, cause, birth):
    online = cause == "connected"
    fits("status", payload.status("pump-7", 1, online=online, cause=cause, birth_id=birth))


@given(summary=summaries(), birth=BIRTHS, span=st.sampled_from(["10s", "0.1s", "3600s"]))
def test_summary(fits, summary, birth, span):
    stream = f"summary-{summary.set}-{span}" if summary.set else f"summary-{span}"
    fits("summary", payload.summary(summary, birth), stream)


@given(summary=summaries(), birth=BIRTHS)
def test_summaries_made_one(fits, summary, birth):
    body = payload.summary(summary, birth)
    fits("summary", thin.merge([body, body], 7, 8), "summary-10s")


@given(told=TOLD, birth=BIRTHS)
def test_report(fits, told, birth):
    fits("report", payload.report(told, birth))


@given(part=PARTS, birth=BIRTHS)
def test_capture(fits, part, birth):
    fits("capture", payload.capture(part, birth))


@given(happened=EVENTS, wall=TIMES)
def test_event(fits, happened, wall):
    fits("event", payload.event(happened, wall))


@given(values=st.lists(NUMBERS, min_size=3, max_size=3), exact=SCALARS, wall=TIMES)
def test_values(fits, values, exact, wall):
    tags = TagTable(tuple(Tag(n, f"skid/{n}") for n in range(3)))
    batch = ReadingBatch(slice(0, 3), np.array(values), 0, 0, ((1, exact),))
    fits("values", payload.ValuesWriter(tags).write((batch,), wall))


@given(missing=GAPS, wall=TIMES)
def test_gap(fits, missing, wall):
    fits("gap", payload.gap(missing, wall))


@given(numbers=st.integers(0, 1 << 60), wall=TIMES)
def test_closed(fits, numbers, wall):
    fits("closed", payload.closed({"event@5f3a9c": numbers, "gap@5f3a9c.2": 1}, wall))


def wrong(validators, kind, message):
    return [each.message for each in validators[kind].iter_errors(json.loads(message))]


REPLIES = st.builds(
    Reply,
    TEXTS,
    st.integers(0, 1 << 53),
    TEXTS,
    st.sampled_from(State),
    TEXTS,
    st.sampled_from(
        [
            (),
            (("by", "Anna"), ("tag", "skid/speed"), ("value", 1200.0), ("read_back", 1199.5)),
            (("by", "Anna"), ("loop", "pressure"), ("mode", "auto")),
        ]
    ),
)


@given(reply=REPLIES, wall=TIMES)
def test_reply(validators, reply, wall):
    assert wrong(validators, "reply", write_reply(reply, "pump-7", wall)) == []


EDGES = st.lists(st.floats(-1e299, 1e299), min_size=4, max_size=4).map(sorted)


@given(edges=EDGES, name=st.text(min_size=1))
def test_ranges_are_read_as_they_are_declared(validators, edges, name):
    made = Ranges("pump-40", 1, 10_000, 3, {name: Edges(*edges)})
    assert wrong(validators, "ranges", ranges.write(made)) == []
    assert read_ranges(ranges.write(made)).type == "pump-40"


def test_request_is_read_as_it_is_declared():
    example = dict(MESSAGES["request"].example)
    assert read_request(json.dumps(example).encode()).by == example["by"]
    del example["write"]
    loop = {**example, "loop": {"loop": "pressure", "mode": "auto"}}
    assert read_request(json.dumps(loop).encode()).wanted.loop == "pressure"


@pytest.mark.parametrize("more", [{"loop": {"loop": "l", "mode": "auto"}}, {"write": None}])
def test_request_for_both_or_for_neither_is_refused_by_schema_and_parser(validators, more):
    message = {**MESSAGES["request"].example, **more}
    message = {name: value for name, value in message.items() if value is not None}
    assert wrong(validators, "request", json.dumps(message)) != []
    with pytest.raises(BadRequest):
        read_request(json.dumps(message).encode())


def test_nothing_that_is_no_number_gets_in(validators):
    message = json.loads(json.dumps(MESSAGES["summary"].example))
    assert not validators["summary"].is_valid({**message, "mean": ["4.2", None]})
    assert not validators["summary"].is_valid({**message, "frames": [1]})
    assert not validators["summary"].is_valid({**message, "good": [1.1, None]})
