from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edgetwin.fleet.runs import Runs

SPANS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 8)).map(lambda s: (s[0], sum(s))))


@given(SPANS)
def test_runs_are_the_set_of_all_numbers_put_in(spans):
    runs, plain = Runs(), set()
    for first, last in spans:
        new = set(range(first, last + 1)) - plain
        assert runs.add(first, last) == len(new)
        plain |= new
    assert {n for first, last in runs for n in range(first, last + 1)} == plain
    assert len(runs) == len(plain)
    assert runs.highest == max(plain, default=0)
    assert all(number in runs for number in plain)
    assert 0 not in runs
    pairs = list(runs)
    assert all(a[1] + 1 < b[0] for a, b in pairwise(pairs))


@given(SPANS, st.integers(0, 80))
def test_holes_and_runs_make_up_all_numbers(spans, until):
    runs = Runs()
    for first, last in spans:
        runs.add(first, last)
    lacking = {n for first, last in runs.holes(until) for n in range(first, last + 1)}
    assert lacking == {n for n in range(1, until + 1) if n not in runs}


@given(SPANS, SPANS)
def test_two_sets_put_together_are_their_union(ours, theirs):
    one, other = Runs(), Runs()
    for runs, spans in ((one, ours), (other, theirs)):
        for first, last in spans:
            runs.add(first, last)
    before = len(one)
    assert one.update(other) == len(one) - before
    assert all(number in one for first, last in other for number in (first, last))


def test_nothing_backwards_is_put_in():
    runs = Runs()
    assert runs.add(5, 4) == 0
    assert list(runs) == []
