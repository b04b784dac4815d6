"""Summaries made fewer: what adds up, what stays an extreme, and which numbers one stands for."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core import payload, thin
from edgetwin.core.frame import Frame
from edgetwin.core.plan import SECOND
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.summary import Summariser
from edgetwin.core.tags import Tag, TagTable

WALL = 1_732_278_000 * SECOND
TAGS = TagTable(tuple(Tag(i, f"t{i}", device=0) for i in range(2)))


def summaries(values, window, each=SECOND):
    """The bodies of what ``values`` amount to, one each ``each`` ns (None: a bad reading)."""
    summariser, done = Summariser(TAGS, window), []
    for n, value in enumerate(values):
        at = Instant(n * each, WALL + n * each)
        quality = Quality.GOOD if value is not None else Quality.DEVICE_FAULT
        batch = ReadingBatch(slice(0, 1), np.array([value or 0.0]), int(quality))
        done += summariser.take(Frame(n + 1, at, batch))
    done += summariser.close()
    return [payload.summary(each, "b1") for each in done]


@given(
    st.lists(
        st.one_of(st.none(), st.floats(-1e6, 1e6, allow_subnormal=False)), min_size=1, max_size=60
    )
)
def test_merged_summaries_are_those_of_the_longer_window(values):
    short = summaries(values, 10 * SECOND)
    (long,) = summaries(values, 60 * SECOND)
    merged = json.loads(thin.merge(short, 1, len(short)))
    wanted = json.loads(long)
    for name in ("count", "min", "max", "first", "last", "quality"):
        assert merged[name] == wanted[name], name
    for name, error in (("mean", 1e-8), ("good", 1e-8), ("std", 3e-3)):
        for one, other in zip(merged[name], wanted[name], strict=True):
            if other is None:
                assert one is None, name
            else:
                assert math.isclose(one, other, rel_tol=error, abs_tol=1e-2), name
    assert (merged["from"], merged["to"]) == (wanted["from"], wanted["to"])
    assert merged["frames"] == wanted["frames"]
    assert merged["lost"] == 0


def test_merged_summary_says_which_numbers_it_stands_for():
    bodies = summaries([1.0] * 30, 10 * SECOND)
    once = thin.merge(bodies, 7, 9)
    assert thin.numbers(once, 9) == range(7, 10)
    assert thin.numbers(bodies[0], 7) == range(7, 8)
    again = thin.merge([once, thin.merge(bodies, 10, 12)], 7, 12)
    assert thin.numbers(again, 12) == range(7, 13)
    assert json.loads(again)["count"] == [60, 0]
    assert list(json.loads(again)).count("thinned") == 1


@pytest.mark.parametrize(
    ("body", "birth"),
    [
        (b'{"birth":"5f3a","from":1}', b"5f3a"),
        (b'{"birth":"5f3a","set":"slow","from":1}', b"5f3a"),
        (b'{"thinned":{"from_seq":1,"to_seq":2,"count":2},"birth":"5f3a","from":1}', b"5f3a"),
        (b'{"at":1,"text":"x"}', b""),
    ],
)
def test_summaries_name_their_birth(body, birth):
    assert thin.birth(body) == birth
