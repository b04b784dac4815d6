"""Ranges come from outside: what is not exactly of their form is refused, whatever it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.ranges import KIND, Edges, NoRanges, Ranges, read, write

EDGES = Edges(1.0, 2.0, 3.0, 4.0)
GOOD = Ranges("pump-40", 1_732_278_000_000, 1000, 40, {"p": EDGES})
NUMBERS = st.lists(st.floats(-1e9, 1e9), min_size=4, max_size=4).map(
    lambda four: Edges(*sorted(float(f"{each:.10g}") for each in four))
)


@given(st.dictionaries(st.text(max_size=20), NUMBERS, max_size=20))
def test_ranges_come_back_as_they_were_written(tags):
    ranges = Ranges("pump-40", 7, 1000, 12, tags)
    assert read(write(ranges)) == ranges


def changed(**more):
    return json.dumps({**json.loads(write(GOOD)), **more}).encode()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "kind"),
        (changed(kind="edgetwin request"), "kind"),
        (changed(v=2), "version"),
        (changed(more=1), "version"),
        (changed(type=3), "type"),
        (changed(tags=[]), "type"),
        (changed(tags={str(n): [1, 2, 3, 4] for n in range(1001)}), "at most 1000"),
        (changed(made=0), "made"),
        (changed(made=True), "made"),
        (changed(window=1.5), "window"),
        (changed(assets=-1), "assets"),
        (changed(assets=1 << 60), "assets"),
        (changed(tags={"p": [1, 2, 3]}), "'p' takes four"),
        (changed(tags={"p": [1, 2, 3, "4"]}), "'p' takes four"),
        (changed(tags={"p": [1, 2, 3, float("nan")]}), "'p' takes four"),
        (write(GOOD).replace(b"4.0", b"1e400"), "'p' takes four"),
        (changed(tags={"p": [1, 3, 2, 4]}), "not in order"),
    ],
)
def test_what_is_not_of_the_form_is_refused(content, why):
    with pytest.raises(NoRanges, match=why):
        read(content)
    assert KIND


@given(st.binary(max_size=200))
def test_nothing_but_a_refusal_ever_comes_of_bytes(content):
    with pytest.raises(NoRanges):
        read(content)


@pytest.mark.parametrize(
    ("window", "normal"),
    [
        ((1.0, 2.5, 4.0), True),
        ((0.9, 2.5, 4.0), False),
        ((1.0, 2.5, 4.1), False),
        ((1.0, 1.9, 4.0), False),
        ((1.0, 3.1, 4.0), False),
        ((float("nan"),) * 3, True),
    ],
)
def test_a_window_is_normal_inside_all_four_edges(window, normal):
    assert EDGES.hold(*window) is normal
