"""What came, in whatever order and by whichever member, against what a gateway numbered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.fleet.completeness import Completeness, Stream

EVENTS = Stream("edgetwin/gw-1", "event@5f3a9c")


def record(number, stream="event@5f3a9c", **more):
    return {"v": 1, "stream": stream, "seq": number, "boot": 1, **more}


def proof(*messages, gateway="edgetwin/gw-1"):
    made = Completeness()
    for message in messages:
        made.take(gateway, message)
    return made


def lacking(made, *produced):
    return [(hole.first, hole.last) for hole in made.holes(produced)]


def test_all_numbers_in_any_order_are_complete():
    assert lacking(proof(record(3), record(1), record(2))) == []


def test_a_number_that_comes_twice_is_dropped_and_counted():
    made = proof(record(1))
    assert not made.take("edgetwin/gw-1", record(1))
    assert (made.records, made.doubles) == (1, 1)


def test_the_same_number_of_two_gateways_is_two_records():
    made = proof(record(1))
    assert made.take("edgetwin/gw-2", record(1))
    assert made.streams == 2


def test_a_hole_is_told_by_gateway_stream_and_numbers():
    made = proof(record(1), record(5))
    assert [str(hole) for hole in made.holes()] == ["edgetwin/gw-1 event@5f3a9c 2 to 4"]


def test_an_audit_finds_what_lacks_at_the_end_and_whole_streams():
    assert lacking(proof(record(1)), (EVENTS, 3)) == [(2, 3)]
    assert lacking(Completeness(), (EVENTS, 2)) == [(1, 2)]


def test_a_gap_record_covers_what_it_tells():
    gap = {"stream": EVENTS.name, "from_seq": 2, "to_seq": 4, "count": 3, "reason": "full"}
    made = proof(record(1), record(5), record(1, "gap@5f3a9c", gap=gap))
    assert lacking(made) == []
    assert made.told_missing == 3


def test_a_gap_of_frames_is_none_of_records():
    gap = {"stream": "frames", "from_seq": 1, "to_seq": 900, "count": 900, "reason": "slow"}
    made = proof(record(1, "gap@5f3a9c", gap=gap))
    assert made.told_missing == 0


def test_a_thinned_record_stands_for_the_numbers_it_names():
    made = proof(record(6, thinned={"from_seq": 1, "to_seq": 6, "count": 6}))
    assert lacking(made) == []


def test_a_closed_stream_is_complete_up_to_its_last_number():
    closed = record(1, "closed@5f3a9c.2", closed={EVENTS.name: 3})
    assert lacking(proof(record(1), record(2), closed)) == [(3, 3)]
    assert lacking(proof(record(1), record(2), record(3), closed)) == []


def test_a_damaged_log_excuses_its_own_streams_only():
    lost = {"stream": "*", "from_seq": None, "to_seq": None, "count": None, "reason": "damaged"}
    made = proof(
        record(4),
        record(1, "gap@bbbbbb", gap=lost, at=1000),
        record(2, "event@bbbbbb"),
        record(1, "gap@cccccc", gap=lost, at=2000),
        record(2, "event@cccccc"),
    )
    assert [str(hole) for hole in made.holes()] == ["edgetwin/gw-1 event@cccccc 1 to 1"]


@pytest.mark.parametrize("wrong", [{"seq": 1}, {"stream": "", "seq": 1}])
@pytest.mark.parametrize("number", [0, -1, 1.0, True, "1", None])
def test_what_is_no_record_is_refused(wrong, number):
    with pytest.raises(ValueError, match=r"stream|sequence"):
        Completeness().take("gw", wrong)
    with pytest.raises(ValueError, match="sequence"):
        Completeness().take("gw", {"stream": "s@1", "seq": number})


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 2)), max_size=80))
def test_members_put_together_know_what_one_would(came):
    alone = Completeness()
    members = [Completeness() for _ in range(3)]
    for number, member in came:
        alone.take("gw", record(number))
        members[member].take("gw", record(number))
    together = Completeness()
    for member in members:
        together.merge(member)
    assert together.records == alone.records
    assert together.doubles == alone.doubles
    assert list(together.holes()) == list(alone.holes())
