"""Frames come back from bytes exactly as they went."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgetwin.core.codec import decode, encode
from edgetwin.core.errors import RecordingError
from edgetwin.core.event import Event, EventKind
from edgetwin.core.frame import (
    CloudMode,
    CloudWrite,
    Confirmed,
    Frame,
    Lesson,
    Link,
    ModelInstalled,
    ModelUnavailable,
    ModeRequest,
    Overrun,
    Reflect,
    Stop,
    Tick,
)
from edgetwin.core.plan import Mode
from edgetwin.core.reading import (
    Authority,
    Instant,
    ReadingBatch,
    WriteOutcome,
    WriteRequest,
    WriteResult,
)

AT = Instant(5_000_000_123, 1_763_800_000_000_000_456)
SMALL = [
    Confirmed(range(3, 9)),
    Link(1, up=False, reason="skid: no answer: check the cable"),
    WriteResult(7, 3, WriteOutcome.NOT_VERIFIED, float("nan"), "wrote 4, reads 3"),
    WriteResult(8, 3, WriteOutcome.WRITTEN, 1200.0),
    Tick(),
    Reflect(),
    ModeRequest(0, Mode.AUTO, "anna"),
    CloudWrite("room/17", "cloud", "Anna", "skid/n", 1200.1),
    CloudWrite("room/19", "cloud", "Anna", "skid/mode", "läuft"),
    CloudWrite("room/18", "cloud", "Anna", "skid/r", (0.0, -1.5, 1e300)),
    CloudMode("room/18", "cloud", "Anna", "pressure", Mode.SHADOW),
    ModelInstalled(0, b"\x00\xffonnx", "ab" * 32),
    ModelUnavailable(0, "no such file"),
    Stop(),
    Overrun(0, 1, over=True, due=20, skipped=7, thinned=4),
]


@pytest.mark.parametrize("cause", SMALL, ids=lambda c: type(c).__name__)
def test_small_inputs_come_back_the_same(cause):
    frame = Frame(12, AT, cause)
    back = decode(encode(frame))
    assert repr(back) == repr(frame)
    assert encode(back) == encode(frame)


counts = st.integers(0, 20)


@st.composite
def batches(draw):
    n = draw(counts)
    start = draw(st.integers(0, 1000))
    indexed = draw(st.booleans())
    tags = np.arange(start, start + 2 * n, 2) if indexed else slice(start, start + n)
    values = draw(hnp.arrays(np.float64, n))
    quality = draw(st.one_of(st.integers(0, 255), hnp.arrays(np.uint8, n)))
    times = draw(st.one_of(st.integers(0, 2**62), hnp.arrays(np.int64, n)))
    objects = draw(
        st.lists(st.tuples(st.integers(0, 99), st.one_of(st.integers(), st.text())), max_size=3)
    )
    return ReadingBatch(tags, values, quality, times, tuple(objects))


def same(a, b):
    first = np.arange(a.tags.start, a.tags.stop) if isinstance(a.tags, slice) else a.tags
    second = np.arange(b.tags.start, b.tags.stop) if isinstance(b.tags, slice) else b.tags
    return (
        np.array_equal(first, second)
        and a.values.tobytes() == b.values.tobytes()
        and np.array_equal(a.quality, b.quality)
        and np.array_equal(a.source_time, b.source_time)
        and a.objects == b.objects
    )


@given(batches(), batches())
def test_batches_come_back_bit_for_bit(cause, inner):
    frame = Frame(1, AT, cause, (inner, cause))
    back = decode(encode(frame))
    assert same(back.input, cause)
    assert same(back.inner[0], inner)
    assert same(back.inner[1], cause)
    assert encode(back) == encode(frame)


def test_what_a_turn_gave_out_comes_back():
    frame = Frame(
        3,
        AT,
        Tick(),
        (),
        (WriteRequest(1, 4, 1200.5, Authority.LOOP, "pressure", "pid", 99),),
        (Event(EventKind.ANOMALY, "pump", "not normal", (("score", 2.5), ("tags", "p, q"))),),
        (Lesson(0, np.arange(6.0).reshape(2, 3)),),
    )
    back = decode(encode(frame))
    assert back.writes == frame.writes
    assert back.events == frame.events
    assert back.lessons[0].rows.tolist() == frame.lessons[0].rows.tolist()


@given(st.binary(max_size=200))
def test_other_bytes_are_refused_and_nothing_else_happens(data):
    with suppress(RecordingError):
        decode(data)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_never_raises_anything_but_a_recording_error(where, value):
    data = bytearray(encode(Frame(3, AT, ReadingBatch(slice(0, 3), np.ones(3)))))
    data[where % len(data)] = value
    with suppress(RecordingError):
        decode(bytes(data))


def test_a_refusal_says_that_the_recording_is_damaged():
    with pytest.raises(RecordingError, match="damaged"):
        decode(b"nonsense")


def test_the_json_inside_stays_readable():
    data = encode(Frame(1, AT, Link(2, up=True, reason="ok")))
    assert json.loads(data[data.index(b"[") : data.rindex(b"]") + 1]) == [2, True, "ok"]
