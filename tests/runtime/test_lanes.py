"""Two lanes over one log: what is acknowledged, what would come twice, whatever the order."""

from hypothesis import given
from hypothesis import strategies as st

from edgetwin.runtime.lanes import Lanes, Pace


def send(lane, *positions):
    for position in positions:
        lane.take_off(position, position)


def test_front_moves_over_what_is_unbroken_only():
    lanes = Lanes(10)
    send(lanes.live, 11, 12, 13)
    assert not lanes.land(99)
    lanes.land(12)
    assert lanes.acked == 10
    lanes.land(11)
    assert lanes.acked == 12
    assert lanes.out == 3, "one open, two not saved"
    lanes.saved(12, ())
    assert lanes.out == 1


def test_live_lane_is_struck_off_while_the_past_catches_up():
    lanes = Lanes(10)
    lanes.restart(split=20)
    send(lanes.past, 11, 12)
    send(lanes.live, 21, 22)
    for token in (21, 22, 11):
        lanes.land(token)
    assert lanes.acked == 11
    assert lanes.beyond == (21, 22)
    lanes.saved(11, (21,))
    assert lanes.beyond == (22,)
    lanes.land(12)
    lanes.past.ended = True
    assert lanes.acked == 22, "the past is done: all up to the live lane's front"
    assert lanes.beyond == ()


def test_new_connection_starts_behind_what_is_acknowledged_and_knows_what_is_ahead():
    lanes = Lanes(10)
    lanes.restart(split=20)
    send(lanes.past, 11, 12)
    send(lanes.live, 21, 22)
    lanes.land(21)
    lanes.restart()
    assert (lanes.acked, lanes.live.sent) == (10, 10)
    assert lanes.is_known(21)
    assert not lanes.is_known(22)
    assert lanes.beyond == (21,), "still to be struck off"


@given(st.data())
def test_whatever_the_order_of_acknowledgements_nothing_counts_that_was_not_sent(data):
    lanes = Lanes(0)
    lanes.restart(split=10)
    tokens = list(range(1, 16))
    for token in tokens:
        send(lanes.past if token <= 10 else lanes.live, token)
    lanes.past.ended = True
    landed = set()
    for token in data.draw(st.permutations(tokens)):
        lanes.land(token)
        landed.add(token)
        assert set(range(1, lanes.acked + 1)) <= landed
        assert set(lanes.beyond) <= landed
        assert lanes.out == 15
    assert (lanes.acked, lanes.beyond) == (15, ())


def test_pace_grants_its_rate_and_no_hoard():
    pace = Pace(100)
    assert pace.grant(1000.0) == 20, "a fifth of a second at most"
    pace.spend(20, 0)
    assert pace.grant(1000.06) == 5
    pace.spend(5, 200_000)
    assert pace.grant(1000.1) < 0, "200 kB count for twenty"
    assert pace.grant(1001.0) == 20
