"""What registers could mean: the right reading is among the good ones, and noise is not."""

import random
import struct

import pytest

from edgetwin.core.candidates import ORDERS, Likelihood, best, candidates, text_of
from edgetwin.core.tags import ValueType

SIZES = [0.5, 3.0, 20.0, 80.0, 400.0, 1500.0, 30000.0]
LOOKS = 5
CODES = {ValueType.FLOAT32: ">f", ValueType.FLOAT64: ">d"}
FLOATS = [(kind, order) for kind in CODES for order in ORDERS[kind.registers]]


def ordered(plain, order):
    return bytes(plain["ABCDEFGH".index(letter)] for letter in order)


def named(looks):
    return [(each.place, each.type, each.order) for each in best(candidates(looks))]


def living(rng, kind, order, noise):
    value = rng.choice(SIZES) * rng.uniform(0.5, 2)
    moves = (value * (1 + rng.uniform(-noise, noise)) for _ in range(LOOKS))
    return [ordered(struct.pack(CODES[kind], each), order) for each in moves]


@pytest.mark.parametrize(("kind", "order"), FLOATS)
@pytest.mark.parametrize("noise", [1e-2, 1e-3, 1e-4])
def test_a_living_value_is_found_in_its_type_and_order(kind, order, noise):
    rng = random.Random(1)
    found = [named(living(rng, kind, order, noise)) for _ in range(40)]
    assert found.count([(0, kind, order)]) >= 32


@pytest.mark.parametrize(("kind", "order"), FLOATS)
def test_a_still_value_of_few_digits_is_found_in_its_type_and_order(kind, order):
    for value in (0.82, 21.0, 22.5, -40.0, 101.3, 1450.0):
        look = ordered(struct.pack(CODES[kind], value), order)
        assert named([look]) == [(0, kind, order)]


def test_two_values_of_different_orders_side_by_side_are_both_found():
    look = bytes.fromhex("41A8 0000 0000 41B4")
    first, second = best(candidates([look]))
    assert (first.place, first.order, first.value) == (0, "ABCD", 21.0)
    assert (second.place, second.order, second.value) == (2, "CDAB", 22.5)


def test_four_living_floats_are_not_taken_for_two_of_twice_the_width():
    rng = random.Random(2)
    for _ in range(20):
        columns = [living(rng, ValueType.FLOAT32, "CDAB", 1e-3) for _ in range(4)]
        looks = [b"".join(column[i] for column in columns) for i in range(LOOKS)]
        assert named(looks) == [(at, ValueType.FLOAT32, "CDAB") for at in (0, 2, 4, 6)]


def test_small_numbers_of_16_bits_are_not_taken_for_more():
    rng = random.Random(3)
    wrong = 0
    for _ in range(100):
        base = [rng.randrange(30000) for _ in range(4)]
        looks = [struct.pack(">4H", *(b + rng.randrange(5) for b in base)) for _ in range(LOOKS)]
        wrong += bool(named(looks))
    assert wrong <= 10


def test_every_way_to_read_a_place_is_among_the_candidates_with_what_it_says():
    look = struct.pack(">q", -(2**62) - 1)
    found = {(c.place, c.type, c.order): c.values[-1] for c in candidates([look])}
    assert found[0, ValueType.INT64, "ABCDEFGH"] == -(2**62) - 1
    assert found[0, ValueType.INT16, "AB"] == -0x4001
    assert found[2, ValueType.UINT32, "CDAB"] == 0xFFFFFFFF
    assert sum(kind is ValueType.FLOAT64 for _, kind, _ in found) == 6
    assert {order for _, kind, order in found if kind is ValueType.INT32} == set(ORDERS[2])


def test_a_whole_number_is_never_more_than_possible():
    for look in (struct.pack(">I", 1234567), struct.pack(">HH", 18, 54919)):
        found = [c for c in candidates([look]) if c.type is ValueType.INT32 and c.order == "ABCD"]
        assert [c.likelihood for c in found] == [Likelihood.POSSIBLE]


def test_zeros_speak_for_nothing():
    assert {c.likelihood for c in candidates([bytes(8)])} == {Likelihood.NO}


def test_registers_are_shown_as_letters():
    assert text_of(b"P-101\0\xff ") == "P-101.. "
