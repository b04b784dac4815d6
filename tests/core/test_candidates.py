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
        wrong += any(each.registers > 1 for each in best(candidates(looks)))
    assert wrong <= 10


def test_every_way_to_read_a_place_is_among_the_candidates_with_what_it_says():
    look = struct.pack(">q", -(2**62) - 1)
    found = {(c.place, c.type, c.order): c.values[-1] for c in candidates([look])}
    assert found[0, ValueType.INT64, "ABCDEFGH"] == -(2**62) - 1
    assert found[0, ValueType.INT16, "AB"] == -0x4001
    assert found[2, ValueType.UINT32, "CDAB"] == 0xFFFFFFFF
    assert sum(kind is ValueType.FLOAT64 for _, kind, _ in found) == 6
    assert {order for _, kind, order in found if kind is ValueType.INT32} == set(ORDERS[2])


def test_a_still_whole_number_is_never_more_than_possible():
    for look in (struct.pack(">I", 1234567), struct.pack(">HH", 18, 54919)):
        found = [c for c in candidates([look]) if c.type is ValueType.INT32 and c.order == "ABCD"]
        assert [c.likelihood for c in found] == [Likelihood.POSSIBLE]


@pytest.mark.parametrize(
    ("kind", "order", "code", "start"),
    [
        (ValueType.INT32, "ABCD", ">I", 1_234_560),
        (ValueType.INT32, "CDAB", ">I", 65_530),  # it carries into its high register meanwhile
        (ValueType.UINT32, "ABCD", ">I", 3_000_000_000),
        (ValueType.INT64, "ABCDEFGH", ">q", 78_000_000_000),
    ],
)
def test_a_counter_that_only_rises_is_found(kind, order, code, start):
    looks = [ordered(struct.pack(code, start + 3 * n), order) for n in range(1, 1 + LOOKS)]
    assert (0, kind, order) in named(looks)


def test_a_level_of_16_bits_that_moves_a_little_is_found_and_what_leaps_is_not():
    steady = [struct.pack(">h", -250 + n % 3) for n in range(LOOKS)]
    assert named(steady) == [(0, ValueType.INT16, "AB")]
    rng = random.Random(4)
    leaps = [struct.pack(">H", rng.randrange(30_000)) for _ in range(LOOKS)]
    assert named(leaps) == []


@pytest.mark.parametrize("order", ["ABCD", "CDAB"])
def test_a_noisy_float_is_found_and_its_halves_are_no_numbers_of_16_bits(order):
    rng = random.Random(5)
    for _ in range(50):
        noisy = [struct.pack(">f", 0.26 * rng.uniform(0.8, 1.2)) for _ in range(LOOKS)]
        assert named([ordered(each, order) for each in noisy]) == [(0, ValueType.FLOAT32, order)]


def test_a_round_setpoint_of_16_bits_is_found():
    assert named([struct.pack(">H", 1200)]) == [(0, ValueType.INT16, "AB")]
    assert named([struct.pack(">H", 1237)]) == []


def test_digits_that_count_over_a_nine_are_found():
    looks = [bytes.fromhex(text) for text in ("0298", "0299", "0300", "0301", "0302")]
    assert named(looks) == [(0, ValueType.BCD16, "AB")]
    looks = [bytes.fromhex(f"{12_345_697 + n:08d}") for n in range(LOOKS)]
    assert named(looks) == [(0, ValueType.BCD32, "ABCD")]


def test_letters_in_a_row_are_a_text_with_its_length():
    words = struct.pack(">H", 1200) + b"PUMP-7\0\0" + struct.pack(">f", 21.5)
    found = best(candidates([words] * LOOKS))
    assert [(c.place, c.type, c.registers) for c in found] == [
        (0, ValueType.INT16, 1),
        (1, ValueType.TEXT, 3),
        (5, ValueType.FLOAT32, 2),
    ]
    assert found[1].values == ("PUMP-7",)


@pytest.mark.parametrize("word", [b"--------", b"1234", b"A\0B\0C\0", b"\xffAB\xff"])
def test_what_has_no_words_is_no_text(word):
    assert ValueType.TEXT not in {c.type for c in candidates([word] * LOOKS)}


def test_zeros_speak_for_nothing():
    assert {c.likelihood for c in candidates([bytes(8)])} == {Likelihood.NO}


def test_registers_are_shown_as_letters():
    assert text_of(b"P-101\0\xff ") == "P-101.. "
