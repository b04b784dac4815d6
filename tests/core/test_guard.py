import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetwin.core.guard import Guard, Reason, Refusal, Wish
from edgetwin.core.laws.law import Band
from edgetwin.core.quality import Quality
from edgetwin.core.reading import (
    Authority,
    Instant,
    ReadingBatch,
    WriteOutcome,
    WriteRequest,
    WriteResult,
)
from edgetwin.core.tags import Tag, TagTable, WriteLimits
from edgetwin.core.twin import Twin

MS = 1_000_000
SPEED = WriteLimits(600.0, 1750.0, rate=50.0)


def at(ms):
    return Instant(round(ms * MS), round(ms * MS) + 1_700_000_000_000 * MS)


class Bench:
    """One writable tag (0) and one that is not (1), a twin that has read them, and a guard."""

    def __init__(self, limits=SPEED, *, control=True, standing=1000.0, **settings):
        tags = (
            Tag(0, "skid/speed", period=100 * MS, unit="1/min", write=limits),
            Tag(1, "skid/flow", period=100 * MS),
        )
        table = TagTable(tags)
        self.twin = Twin(table)
        self.guard = Guard(table, control=control, **settings)
        if standing is not None:
            self.read(standing, 0)

    def read(self, value, ms):
        self.twin.apply(ReadingBatch(slice(0, 2), np.array([value, 1.0])), at(ms))

    def ask(self, value, ms=0, tag=0):
        wish = Wish(tag, value, Authority.LOOP, "loop pressure", "test")
        return self.guard.ask(wish, self.twin, at(ms))

    def answer(self, request, ms, outcome=WriteOutcome.WRITTEN, read_back=None):
        held = request.value if read_back is None else read_back
        result = WriteResult(request.number, request.tag, outcome, held)
        self.guard.settle(result, at(ms))

    def write(self, value, ms):
        request = self.ask(value, ms)
        assert isinstance(request, WriteRequest), request
        self.answer(request, ms)
        return request


# ---------------------------------------------------------------- what goes through


def test_wish_inside_all_limits_becomes_a_numbered_request_that_expires():
    bench = Bench()
    first = bench.write(1010.0, 0)
    assert (first.number, first.value, first.tag, first.by) == (1, 1010.0, 0, "loop pressure")
    assert first.expires == at(1000).mono
    assert bench.write(1011.0, 100).number == 2


def test_life_of_a_request_can_be_set():
    assert Bench(life=20 * MS).ask(1001.0, 0).expires == at(20).mono


def test_minus_zero_is_written_as_zero():
    bench = Bench(WriteLimits(0.0, 10.0), standing=5.0)
    assert math.copysign(1.0, bench.ask(-0.0).value) == 1.0


# ---------------------------------------------------------------- what does not


@pytest.mark.parametrize(
    ("bench", "value", "tag", "reason", "words"),
    [
        (Bench(control=False), 1001.0, 0, Reason.CONTROL_OFF, "control: {enabled: true}"),
        (Bench(), 2.0, 1, Reason.NO_LIMITS, "skid/flow has no write limits. Say what may"),
        (Bench(), math.nan, 0, Reason.NOT_FINITE, "no number"),
        (Bench(), math.inf, 0, Reason.NOT_FINITE, "no number"),
        (Bench(), 10**400, 0, Reason.NOT_FINITE, "no number"),
        (Bench(), "fast", 0, Reason.NOT_FINITE, "no number"),
        (Bench(), 599.999, 0, Reason.OUTSIDE, "600 to 1750 1/min"),
        (Bench(), math.nextafter(1750.0, 2000.0), 0, Reason.OUTSIDE, "outside what may"),
        (Bench(standing=None), 1001.0, 0, Reason.NOT_READ, "not yet read"),
        (Bench(), 1051.0, 0, Reason.RATE, "1051 is too far from 1000, which stands"),
        (Bench(), 1000.0, 0, Reason.UNCHANGED, "stands already"),
        (Bench(replace(SPEED, deadband=5.0)), 1004.9, 0, Reason.UNCHANGED, "stands already"),
        (Bench(replace(SPEED, tolerance=1.0)), 1000.9, 0, Reason.UNCHANGED, "stands already"),
        (Bench(replace(SPEED, rate=0.0)), 1000.1, 0, Reason.RATE, "too far"),
    ],
)
def test_refusal_names_reason_tag_and_cure(bench, value, tag, reason, words):
    refusal = bench.ask(value, tag=tag)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason
    assert words in refusal.text
    assert refusal.text.startswith("skid/")
    assert refusal.quiet == (reason is Reason.UNCHANGED)


def test_nothing_is_written_over_a_value_that_is_stale_or_bad():
    bench = Bench()
    stale = bench.ask(1001.0, 201)
    assert (stale.reason, "stale" in stale.text) == (Reason.NOT_READ, True)
    bench.read(1000.0, 300)
    bench.twin.spoil([0], Quality.NO_COMMUNICATION)
    assert "no communication" in bench.ask(1001.0, 300).text


def test_only_one_write_to_a_tag_is_out_at_a_time():
    bench = Bench()
    request = bench.ask(1001.0, 0)
    refusal = bench.ask(1002.0, 100)
    assert (refusal.reason, refusal.quiet) == (Reason.BUSY, True)
    assert bench.guard.footing(0, bench.twin, at(100)).busy
    bench.answer(request, 110)
    assert not bench.guard.footing(0, bench.twin, at(110)).busy
    assert isinstance(bench.ask(1002.0, 110), WriteRequest)


def test_tags_do_not_hinder_each_other():
    tags = tuple(Tag(i, f"skid/t{i}", write=WriteLimits(0, 10)) for i in range(2))
    twin, guard = Twin(TagTable(tags)), Guard(TagTable(tags), control=True)
    twin.apply(ReadingBatch(slice(0, 2), np.array([1.0, 1.0])), at(0))
    wishes = [Wish(i, 2.0, Authority.TECHNICIAN, "ann", "by hand") for i in range(2)]
    assert [guard.ask(w, twin, at(0)).number for w in wishes] == [1, 2]


def test_unanswered_request_expires_and_what_stands_must_be_read_again():
    bench = Bench()
    bench.ask(1001.0, 0)
    for ms in range(100, 1001, 100):
        bench.read(1000.0, ms)
    assert bench.ask(1002.0, 1000).reason is Reason.BUSY
    assert bench.ask(1002.0, 1001).reason is Reason.NOT_READ
    bench.read(1001.0, 1100)
    assert isinstance(bench.ask(1002.0, 1100), WriteRequest)


def test_late_and_repeated_results_are_ignored():
    bench = Bench()
    old = bench.ask(1001.0, 0)
    bench.answer(old, 10)
    new = bench.ask(1003.0, 60)
    bench.answer(old, 70)
    assert bench.guard.footing(0, bench.twin, at(70)).busy
    bench.answer(new, 80)
    bench.answer(new, 90, read_back=5.0)
    assert bench.guard.standing(0, bench.twin, at(90)) == 1003.0


# ---------------------------------------------------------------- rate


def test_rate_counts_from_the_last_write():
    bench = Bench()
    bench.write(1010.0, 0)
    assert bench.ask(1015.1, 100).reason is Reason.RATE
    assert bench.guard.reach(0, bench.twin, at(100)) == Band(1005.0, 1015.0)
    assert isinstance(bench.ask(1015.0, 100), WriteRequest)


def test_idle_time_is_not_saved_up_beyond_a_second():
    bench = Bench()
    bench.write(1010.0, 0)
    bench.read(1010.0, 60_000)
    assert bench.guard.reach(0, bench.twin, at(60_000)) == Band(960.0, 1060.0)
    assert bench.ask(1060.1, 60_000).reason is Reason.RATE


def test_deadband_wider_than_a_second_of_rate_can_still_be_crossed():
    bench = Bench(replace(SPEED, rate=1.0, deadband=5.0))
    bench.write(1005.0, 0)
    bench.read(1005.0, 5000)
    assert bench.ask(1009.9, 5000).reason is Reason.UNCHANGED
    assert isinstance(bench.ask(1010.0, 5000), WriteRequest)


@pytest.mark.parametrize(
    ("standing", "reach"), [(1740.0, (1690.0, 1750.0)), (1800.0, (1750, 1750))]
)
def test_reach_is_limits_and_rate_together(standing, reach):
    bench = Bench(standing=standing)
    assert bench.guard.reach(0, bench.twin, at(0)) == Band(*reach)


def test_reach_is_nowhere_when_the_way_back_into_the_limits_is_longer_than_the_rate_allows():
    bench = Bench(standing=1801.0)
    assert bench.guard.reach(0, bench.twin, at(0)) is None
    assert bench.ask(1750.0).reason is Reason.RATE


def test_reach_of_what_is_not_writable_or_not_known_is_nowhere():
    bench = Bench(standing=None)
    assert bench.guard.reach(0, bench.twin, at(0)) is None
    assert bench.guard.reach(1, bench.twin, at(0)) is None


# ---------------------------------------------------------------- what stands


def test_read_back_stands_although_an_older_reading_arrives_after_it():
    bench = Bench()
    bench.write(1010.0, 50)
    bench.read(1000.0, 60)  # was on its way when the write was answered
    assert bench.guard.standing(0, bench.twin, at(60)) == 1010.0
    bench.read(1000.0, 151)  # was not: somebody has put it back
    assert bench.guard.standing(0, bench.twin, at(151)) == 1000.0


def test_reading_that_shows_a_foreign_write_is_believed_at_once():
    bench = Bench()
    bench.write(1010.0, 50)
    bench.read(1005.0, 60)
    assert bench.guard.standing(0, bench.twin, at(60)) == 1005.0


@pytest.mark.parametrize(
    ("outcome", "read_back", "stands"),
    [
        (WriteOutcome.WRITTEN, 1009.5, 1009.5),
        (WriteOutcome.WRITTEN, math.nan, 1010.0),
        (WriteOutcome.NOT_VERIFIED, 1003.0, 1003.0),
        (WriteOutcome.NOT_VERIFIED, math.nan, math.nan),
        (WriteOutcome.REFUSED, math.nan, 1000.0),
        (WriteOutcome.EXPIRED, math.nan, 1000.0),
        (WriteOutcome.NO_COMMUNICATION, math.nan, math.nan),
    ],
)
def test_what_stands_after_each_outcome(outcome, read_back, stands):
    bench = Bench()
    bench.answer(bench.ask(1010.0, 0), 50, outcome, read_back)
    assert bench.guard.standing(0, bench.twin, at(50)) == pytest.approx(stands, nan_ok=True)
    bench.read(1007.0, 200)
    assert bench.guard.standing(0, bench.twin, at(200)) == 1007.0


# ---------------------------------------------------------------- budget


def test_budget_limits_the_writes_of_any_second():
    bench = Bench(WriteLimits(0.0, 10.0), standing=5.0, budget=3)
    for ms, value in ((0, 1.0), (10, 2.0), (20, 3.0)):
        bench.write(value, ms)
    bench.read(3.0, 900)
    assert bench.ask(4.0, 999).reason is Reason.BUDGET
    bench.read(3.0, 1000)
    assert isinstance(bench.ask(4.0, 1000), WriteRequest)


# ---------------------------------------------------------------- properties

ODD = [math.nan, math.inf, -math.inf, -0.0, 1e308, -1e308, 5e-324, 1750.0, 600.0, 10**400]


def test_of_200_000_random_wishes_none_leaves_the_limits_or_the_rate():
    """A device that keeps, alters, refuses or loses writes; wishes at random instants."""
    rng, ms, held, written_at = random.Random(7), 0.0, 1000.0, None
    bench, through = Bench(life=50 * MS), 0
    for _ in range(200_000):
        ms += rng.expovariate(0.1)
        if rng.random() < 0.3:
            bench.read(held, ms)
        request = bench.ask(_random_wish(rng, held), ms)
        if isinstance(request, Refusal):
            continue
        through += 1
        elapsed = 1.0 if written_at is None else min(1.0, (ms - written_at) / 1000)
        assert 600.0 <= request.value <= 1750.0
        assert abs(request.value - held) <= 50.0 * elapsed + 1e-5
        held, written_at = _random_end(rng, bench, request, held, ms), ms
    assert through > 10_000


def _random_wish(rng, held):
    kind = rng.random()
    if kind < 0.2:
        return rng.choice(ODD)
    if kind < 0.4:
        return rng.uniform(0.0, 3000.0)
    return held + rng.gauss(0.0, 1.0)


def _random_end(rng, bench, request, held, ms):
    """What the device holds after a write, having answered it or not."""
    outcome = rng.choice([*WriteOutcome, WriteOutcome.WRITTEN, None])
    if outcome is None:
        return rng.choice([held, request.value])
    if outcome in (WriteOutcome.REFUSED, WriteOutcome.EXPIRED):
        bench.answer(request, ms, outcome, math.nan)
        return held
    if outcome is WriteOutcome.NO_COMMUNICATION:
        bench.answer(request, ms, outcome, math.nan)
        return rng.choice([held, request.value])
    kept = request.value if outcome is WriteOutcome.WRITTEN else (held + request.value) / 2
    bench.answer(request, ms, outcome, kept)
    return kept


limits = st.builds(
    lambda low, span, rate, deadband: WriteLimits(low, low + span, rate, deadband, deadband / 2),
    st.floats(-1e6, 1e6),
    st.floats(0.0, 1e6),
    st.floats(0.0, 1e9) | st.just(math.inf),
    st.floats(0.0, 10.0),
)


@given(limits, st.floats(-1e7, 1e7), st.lists(st.floats(), max_size=30), st.integers(1, 900))
@settings(max_examples=300)
def test_no_wish_passes_any_limits(limits, standing, wishes, wait_ms):
    bench, ms, asked = Bench(limits, standing=standing), 0, None
    for value in wishes:
        bench.read(standing, ms)
        request = bench.ask(value, ms)
        if isinstance(request, WriteRequest):
            room = max(limits.rate, 2 * limits.deadband) if limits.rate else 0.0
            if asked is not None:
                room = min(room, limits.rate * (ms - asked) / 1000)
            assert limits.low <= request.value <= limits.high
            assert abs(request.value - standing) <= room + 1e-8 * (abs(standing) + abs(value))
            standing, asked = request.value, ms
            bench.answer(request, ms)
        ms += wait_ms


@given(limits, st.floats(-1e7, 1e7), st.floats(0, 1))
def test_everything_in_reach_is_let_through_or_quietly_unchanged(limits, standing, where):
    bench = Bench(limits, standing=standing)
    reach = bench.guard.reach(0, bench.twin, at(0))
    if reach is None:
        return
    value = min(max(reach.low + where * (reach.high - reach.low), reach.low), reach.high)
    answer = bench.ask(value)
    assert isinstance(answer, WriteRequest) or answer.reason is Reason.UNCHANGED


# ---------------------------------------------------------------- one look in a turn


@pytest.mark.parametrize(
    ("change", "stands", "busy"),
    [
        (
            lambda b, now: b.twin.apply(ReadingBatch(slice(0, 1), np.array([1300.0])), now),
            1300.0,
            0,
        ),
        (lambda b, _: b.twin.spoil([0], Quality.NO_COMMUNICATION), math.nan, 0),
        (
            lambda b, now: b.guard.ask(Wish(0, 1001.0, Authority.LOOP, "x", ""), b.twin, now),
            1000.0,
            1,
        ),
    ],
    ids=["a reading", "a lost device", "a write"],
)
def test_what_a_look_found_does_not_outlive_a_change_in_the_same_instant(change, stands, busy):
    bench, now = Bench(), at(50)
    assert bench.guard.footing(0, bench.twin, now)[0::3] == (1000.0, False)
    change(bench, now)
    assert bench.guard.standing(0, bench.twin, now) == pytest.approx(stands, nan_ok=True)
    assert bench.guard.footing(0, bench.twin, now).busy == bool(busy)


@given(st.lists(st.tuples(st.floats(590, 1760), st.integers(0, 400), st.booleans()), max_size=30))
def test_asking_after_a_look_is_answered_as_asking_at_once(steps):
    looking, plain = Bench(), Bench()
    ms = 0
    for value, pause, read in steps:
        ms += pause
        now = at(ms)
        if read:
            looking.read(value, ms)
            plain.read(value, ms)
        looking.guard.footing(0, looking.twin, now)
        wish = Wish(0, value, Authority.LOOP, "loop pressure", "test")
        given_, wanted = looking.guard.ask(wish, looking.twin, now), plain.ask(value, ms)
        assert given_ == wanted
        if isinstance(given_, WriteRequest):
            looking.answer(given_, ms)
            plain.answer(wanted, ms)


# ---------------------------------------------------------------- arrays


class Shelf:
    """Three writable elements, a twin that has read them as 1, 2, 3, and a guard."""

    def __init__(self, limits=WriteLimits(0.0, 10.0, deadband=0.5)):  # noqa: B008 - frozen
        more = {"period": 100 * MS, "write": limits, "array": "skid/r"}
        table = TagTable(tuple(Tag(n, f"skid/r_{n}", **more) for n in range(3)))
        self.twin, self.guard = Twin(table), Guard(table, control=True)
        self.twin.apply(ReadingBatch(slice(0, 3), np.array([1.0, 2.0, 3.0])), at(0))

    def ask(self, *values):
        wishes = [Wish(n, v, Authority.CLOUD, "anna", "test") for n, v in enumerate(values)]
        return self.guard.ask_all(wishes, self.twin, at(10))


def test_array_that_changes_in_one_element_is_written_as_a_whole():
    requests = Shelf().ask(1.0, 5.0, 3.0)
    assert [(r.number, r.tag, r.value) for r in requests] == [(1, 0, 1.0), (2, 1, 5.0), (3, 2, 3.0)]


def test_array_that_stands_already_is_unchanged():
    assert Shelf().ask(1.0, 2.25, 3.0).reason is Reason.UNCHANGED


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((1.0, 2.0, 10.5), Reason.OUTSIDE),
        ((5.0, math.nan, 5.0), Reason.NOT_FINITE),
        ((-1.0, 99.0, 5.0), Reason.OUTSIDE),
    ],
)
def test_array_of_which_one_element_is_refused_is_refused(values, reason):
    shelf = Shelf()
    assert shelf.ask(*values).reason is reason
    assert len(shelf.ask(4.0, 5.0, 6.0)) == 3, "nothing is out"


def test_array_of_which_one_element_is_out_is_busy():
    shelf = Shelf()
    out = shelf.guard.ask(Wish(1, 9.0, Authority.LOOP, "loop", "t"), shelf.twin, at(5))
    assert isinstance(out, WriteRequest)
    assert shelf.ask(4.0, 5.0, 6.0).reason is Reason.BUSY


ELEMENTS = st.floats(-2, 12) | st.sampled_from([math.nan, math.inf, 0.0, 1.0, 2.0, 3.0])


@given(st.lists(ELEMENTS, min_size=3, max_size=3))
def test_array_passes_exactly_if_each_element_would_or_stands_already(values):
    def alone(tag, value):
        shelf = Shelf()
        wish = Wish(tag, value, Authority.CLOUD, "anna", "test")
        return shelf.guard.ask(wish, shelf.twin, at(10))

    answers = [alone(tag, value) for tag, value in enumerate(values)]
    reasons = [a.reason if isinstance(a, Refusal) else None for a in answers]
    given_ = Shelf().ask(*values)
    refused = [r for r in reasons if r not in (None, Reason.UNCHANGED)]
    if refused:
        assert given_.reason is refused[0]
    elif None not in reasons:
        assert given_.reason is Reason.UNCHANGED
    else:
        assert [r.value for r in given_] == [v + 0.0 for v in values]


# ---------------------------------------------------------------- texts


def mode(text):
    """A text that reads so, of which two may be written; and a guard."""
    limits = WriteLimits(0, 1, texts=("AUTO", "MANUAL"))
    table = TagTable((Tag(0, "skid/mode", period=100 * MS, write=limits),))
    twin = Twin(table)
    twin.apply(ReadingBatch(slice(0, 1), np.array([math.nan]), objects=((0, text),)), at(0))
    return Guard(table, control=True), twin


def ask_for(number, text):
    guard, twin = mode(text)
    return guard.ask(Wish(0, number, Authority.CLOUD, "anna", "test"), twin, at(10))


@pytest.mark.parametrize(
    ("number", "text", "reason"),
    [
        (0.0, "AUTO", Reason.UNCHANGED),
        (1.0, "MANUAL", Reason.UNCHANGED),
        (0.5, "AUTO", Reason.OUTSIDE),
        (2.0, "AUTO", Reason.OUTSIDE),
        (-1.0, "service", Reason.OUTSIDE),
    ],
)
def test_text_that_stands_or_is_not_listed_is_refused(number, text, reason):
    assert ask_for(number, text).reason is reason


@pytest.mark.parametrize(("number", "text"), [(0.0, "MANUAL"), (1.0, "AUTO"), (0.0, "service")])
def test_listed_text_is_written_over_any_other(number, text):
    assert ask_for(number, text).value == number


def test_text_that_stands_already_is_named():
    assert "'MANUAL' stands already" in ask_for(1.0, "MANUAL").text


def test_what_was_written_to_a_text_stands_until_a_reading_says_otherwise():
    guard, twin = mode("AUTO")
    wish = Wish(0, 1.0, Authority.CLOUD, "anna", "test")
    request = guard.ask(wish, twin, at(10))
    guard.settle(WriteResult(request.number, 0, WriteOutcome.WRITTEN, 1.0), at(20))
    assert guard.ask(wish, twin, at(30)).reason is Reason.UNCHANGED
    twin.apply(ReadingBatch(slice(0, 1), np.array([math.nan]), objects=((0, "AUTO"),)), at(150))
    assert guard.ask(wish, twin, at(160)).value == 1.0
