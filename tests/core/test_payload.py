"""What is sent must be valid JSON whatever the plant says, and say the same after the way back."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core import payload, received
from edgetwin.core.event import Event, EventKind
from edgetwin.core.quality import Quality
from edgetwin.core.reading import ReadingBatch
from edgetwin.core.summary import Columns, Summary
from edgetwin.core.tags import Tag, TagKind, TagTable, TypedAsset, ValueType

TAGS = TagTable(
    (
        Tag(0, "skid/flow", unit="m³/h", type=ValueType.FLOAT32, low=0.0, high=16.0),
        Tag(1, 'skid/odd "100%d" näme', kind=TagKind.DERIVED),
        Tag(2, "skid/counter", type=ValueType.UINT64, low=0.0),
    )
)
WALL = 1_732_278_000_123_456_789


def sent(body):
    return received.read(payload.envelope(body, "s@1", 7, 3))


def window(last, objects=(), of="", **more):
    last = np.array(last, float)
    columns = {
        "count": np.array([3, 0, 1]),
        "good": np.array([2, 0, 1]),
        **dict.fromkeys(("minimum", "maximum", "mean", "deviation", "earliest", "last"), last),
        **dict.fromkeys(("on", "off"), np.zeros(0, np.int64)),
        "increase": np.zeros(0),
        "quality": np.array([0, Quality.STALE, Quality.OUT_OF_RANGE], np.uint8),
    }
    tags = Columns(objects=objects, **columns | more)
    return Summary(of, WALL, WALL + 10_000_000_000, first=4, final=9, lost=0, tags=tags)


def test_birth_tells_names_units_types_and_ranges_in_order_of_index():
    born = payload.birth("pump-7", 3, TAGS)
    told = received.read(born.payload)
    assert told["birth"] == born.id
    assert [t["name"] for t in told["tags"]] == [t.name for t in TAGS]
    assert told["tags"][0] == {
        "name": "skid/flow",
        "kind": "measured",
        "type": "float32",
        "unit": "m³/h",
        "range": [0.0, 16.0],
    }
    assert told["tags"][2]["range"] == [0.0, None]


def test_birth_tells_machines_of_a_type_and_its_id_follows_them():
    pump = TypedAsset("pump", "pump-40", {"q": 0}, 1)
    born = payload.birth("gw", 1, TAGS, (pump,))
    assert received.read(born.payload)["assets"] == [
        {"name": "pump", "type": "pump-40", "tags": {"q": 0}, "verdict": 1}
    ]
    others = [
        payload.birth("gw", 1, TAGS),
        payload.birth("gw", 1, TAGS, (replace(pump, type="x"),)),
    ]
    assert len({born.id, *(each.id for each in others)}) == 3
    assert "assets" not in received.read(others[0].payload)


def test_birth_id_follows_the_tags_and_not_the_boot():
    other = TagTable(tuple(TAGS)[:2])
    assert payload.birth("a", 1, TAGS).id == payload.birth("a", 2, TAGS).id
    assert payload.birth("a", 1, TAGS).id != payload.birth("a", 1, other).id


def test_summary_comes_back_by_name():
    born = payload.birth("pump-7", 3, TAGS)
    message = sent(payload.summary(window([1.5, math.nan, 4294967295.0]), born.id))
    assert (message["stream"], message["seq"], message["boot"], message["v"]) == ("s@1", 7, 3, 1)
    assert message["to"] - message["from"] == 10_000
    rows = received.tabulate(message, received.read(born.payload))
    assert rows["skid/flow"] == {
        "count": 3,
        "good": 0.6666666667,
        "min": 1.5,
        "max": 1.5,
        "mean": 1.5,
        "std": 1.5,
        "first": 1.5,
        "last": 1.5,
        "quality": "good",
    }
    nothing = rows['skid/odd "100%d" näme']
    assert nothing["count"] == 0
    assert nothing["good"] is nothing["min"] is nothing["last"] is None
    assert nothing["quality"] == "bad: stale"
    assert rows["skid/counter"]["last"] == 4294967295


def test_summary_keeps_64_bit_integers_and_texts_exact():
    big = (1 << 63) + 1
    message = sent(payload.summary(window([0.0, 0.0, float(big)], ((1, "zu"), (2, big))), "b"))
    assert message["last"] == [0, "zu", big]


def test_summary_under_another_birth_is_refused():
    message = sent(payload.summary(window([1.0, 1.0, 1.0]), "other"))
    with pytest.raises(ValueError, match="does not explain"):
        received.tabulate(message, received.read(payload.birth("a", 1, TAGS).payload))


def test_event_carries_its_facts():
    facts = (("score", 1.23456789012345), ("rows", 400), ("nan", math.nan), ("by", "näme"))
    message = sent(payload.event(Event(EventKind.ANOMALY, "pump", "so\nwhat", facts), WALL))
    assert message["at"] == WALL // 1_000_000
    assert (message["kind"], message["subject"], message["text"]) == ("anomaly", "pump", "so\nwhat")
    assert message["facts"] == {"score": 1.23456789, "rows": 400, "nan": None, "by": "näme"}


def test_gap_names_stream_range_count_and_reason():
    message = sent(payload.gap(payload.Gap("event@1", 5, 9, 5, "the outbox is full"), WALL))
    assert message["gap"] == {
        "stream": "event@1",
        "from_seq": 5,
        "to_seq": 9,
        "count": 5,
        "reason": "the outbox is full",
    }


@pytest.mark.parametrize(("online", "word"), [(True, "online"), (False, "offline")])
def test_status_is_one_word_and_its_cause(online, word):
    told = received.read(payload.status("pump-7", 3, online=online, cause="stopped"))
    assert (told["status"], told["cause"], told["boot"]) == (word, "stopped", 3)


def test_values_are_one_flat_object_of_all_readings_of_a_frame():
    writer = payload.ValuesWriter(TAGS)
    measured = ReadingBatch(slice(0, 2), np.array([1.5, 4294967295.0]))
    made = ReadingBatch(np.array([2]), np.array([0.0]), 0, 0, ((2, (1 << 64) - 1),))
    message = sent(writer.write((measured, made), WALL))
    assert message["values"] == {
        "skid/flow": 1.5,
        'skid/odd "100%d" näme': 4294967295,
        "skid/counter": (1 << 64) - 1,
    }


def test_bad_values_are_null():
    writer = payload.ValuesWriter(TAGS)
    quality = np.array([Quality.DEVICE_FAULT, Quality.OUT_OF_RANGE, 0], np.uint8)
    batch = ReadingBatch(slice(0, 3), np.array([1.0, 2.0, np.inf]), quality)
    assert list(sent(writer.write((batch,), WALL))["values"].values()) == [None, 2.0, None]
    all_bad = ReadingBatch(slice(0, 1), np.array([1.0]), int(Quality.BAD))
    assert list(sent(writer.write((all_bad,), WALL))["values"].values()) == [None]


@given(st.lists(st.floats(), min_size=3, max_size=3))
def test_any_float_gives_valid_json_of_ten_digits(values):
    message = sent(payload.summary(window(values), "b"))
    batch = ReadingBatch(slice(0, 3), np.array(values))
    flat = list(sent(payload.ValuesWriter(TAGS).write((batch,), WALL))["values"].values())
    for column in (message["min"], message["last"], flat):
        for value, back in zip(values, column, strict=True):
            if abs(value) <= 1.797693134e308:
                assert back == pytest.approx(value, rel=1e-9, abs=0)
            else:
                assert back is None


@given(st.integers(-(1 << 31), (1 << 32) - 1))
def test_32_bit_integers_are_exact(number):
    message = sent(payload.summary(window([number, number, number]), "b"))
    assert message["mean"] == [number] * 3


@given(st.text(st.characters()), st.text())
def test_any_text_survives(subject, text):
    raw = payload.event(Event(EventKind.GAP, subject, text), WALL)
    assert json.loads(raw)["subject"] == subject
    assert json.loads(raw)["text"] == text


@pytest.mark.parametrize("raw", [b'{"v":2}', b"[1]", b'{"v":1,"x":NaN}', b"nonsense"])
def test_foreign_messages_are_refused(raw):
    with pytest.raises(ValueError):  # noqa: PT011 the sentence differs from case to case
        received.read(raw)
