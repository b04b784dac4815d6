"""The codec: equal to pymodbus where that can, exact beyond float64, and write → read identity."""

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pymodbus.client.mixin import ModbusClientMixin

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.decode import decoder_for
from edgetwin.core.encode import DoesNotFit, encode, slack
from edgetwin.core.errors import ConfigError
from edgetwin.core.tags import Tag, ValueType, WriteLimits

NUMBERS = [
    ValueType.INT16,
    ValueType.UINT16,
    ValueType.INT32,
    ValueType.UINT32,
    ValueType.INT64,
    ValueType.UINT64,
    ValueType.FLOAT32,
    ValueType.FLOAT64,
]
BCD = [ValueType.BCD16, ValueType.BCD32]
ORDERS = {
    1: ["", "AB", "BA"],
    2: ["", "ABCD", "CDAB", "BADC", "DCBA"],
    4: ["", "ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA", "CDABGHEF", "EFGHABCD"],
}
REFERENCE = {kind: ModbusClientMixin.DATATYPE[kind.name] for kind in NUMBERS}


def holding(kind, at=0, index=0, **more):
    bit = more.pop("bit", -1)
    address = ModbusAddress(Table.HOLDING, at, bit)
    return Tag(index, f"plc/{index}", type=kind, address=address, **more)


def reference(tag, data):
    """What pymodbus makes of the tag's registers, put into most-significant-first order for it."""
    start, width = 2 * tag.address.offset, 2 * tag.registers
    raw = data[start : start + width]
    order = tag.order or "ABCDEFGH"[:width]
    plain = bytes(raw[order.index(letter)] for letter in sorted(order))
    words = [int.from_bytes(plain[i : i + 2], "big") for i in range(0, width, 2)]
    return ModbusClientMixin.convert_from_registers(words, REFERENCE[tag.type])


@st.composite
def blocks(draw):
    """Tags of all types, orders, scales, with holes between them, and the bytes of their block."""
    tags, offset = [], 0
    for index in range(draw(st.integers(1, 30))):
        kind = draw(st.sampled_from(NUMBERS))
        order = draw(st.sampled_from(ORDERS[kind.registers]))
        scale = draw(st.sampled_from([1.0, 1.0, 0.1, -2.5, 1e3]))
        shift = draw(st.sampled_from([0.0, 0.0, -40.0, 1e6]))
        offset += draw(st.integers(0, 2))
        tags.append(holding(kind, offset, index, order=order, scale=scale, offset=shift))
        offset += kind.registers
    return tags, draw(st.binary(min_size=2 * offset, max_size=2 * offset))


@given(blocks(), st.integers(0, 9))
def test_a_block_of_any_mix_decodes_as_pymodbus_does(case, start):
    tags, data = case
    values, objects, _ = decoder_for(tags, 0).decode(b"\xee" * start + data, start)
    exact = dict(objects)
    for tag, value in zip(tags, values, strict=True):
        raw = reference(tag, data)
        with np.errstate(all="ignore"):
            wanted = np.float64(raw) * tag.scale + tag.offset
        assert value == wanted or (math.isnan(value) and math.isnan(wanted))
        whole = isinstance(raw, int) and tag.registers == 4
        if whole and (tag.scale, tag.offset) == (1.0, 0.0):
            assert exact.pop(tag.index, int(value)) == raw
            assert abs(raw) > 2**53 or value == raw
    assert not exact


@pytest.mark.parametrize("kind", NUMBERS)
def test_every_permutation_of_bytes_up_to_32_bit_can_be_read(kind):
    width = 2 * kind.registers
    data = bytes(range(0x41, 0x41 + width))
    orders = permutations("ABCDEFGH"[:width]) if width < 8 else [tuple("DCBAHGFE")]
    for order in orders:
        tag = holding(kind, order="".join(order))
        (value,), *_ = decoder_for([tag], 0).decode(data)
        assert value == np.float64(reference(tag, data))


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (ValueType.INT64, -(2**63)),
        (ValueType.INT64, 2**53 + 1),
        (ValueType.UINT64, 2**64 - 1),
        (ValueType.UINT64, 2**53 + 1),
    ],
)
def test_an_unscaled_64_bit_integer_beyond_float64_is_exact(kind, number):
    raw = number.to_bytes(8, "big", signed=number < 0)
    (value,), objects, _ = decoder_for([holding(kind, index=3)], 0).decode(raw)
    assert objects == ((3, number),)
    assert value == float(number)


def test_a_64_bit_integer_that_float64_holds_needs_no_other_lane():
    decoded = decoder_for([holding(ValueType.INT64)], 0).decode(
        (-(2**53) + 1).to_bytes(8, signed=True)
    )
    assert decoded.values[0] == -(2**53) + 1
    assert decoded.objects == ()


def test_a_scaled_64_bit_integer_is_a_plain_float():
    decoded = decoder_for([holding(ValueType.UINT64, scale=0.001)], 0).decode(bytes(7) + b"\x64")
    assert decoded.values[0] == 0.1
    assert decoded.objects == ()


@pytest.mark.parametrize("bit", range(16))
@pytest.mark.parametrize("order", ["", "BA"])
def test_one_bit_of_a_register_is_picked(bit, order):
    tag = holding(ValueType.BIT, 1, bit=bit, order=order)
    for word in (1 << bit, 0xFFFF ^ (1 << bit)):
        raw = word.to_bytes(2, "little" if order else "big")
        (value,), *_ = decoder_for([tag], 1).decode(raw)
        assert value == word >> bit & 1


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(0, 60000))
def test_coils_come_least_significant_bit_first(bits, first):
    tags = [
        Tag(i, f"plc/{i}", type=ValueType.BIT, address=ModbusAddress(Table.COIL, first + i))
        for i in range(len(bits))
    ]
    raw = np.packbits(bits, bitorder="little").tobytes()
    assert decoder_for(tags, first).decode(raw).values.tolist() == [float(b) for b in bits]


@pytest.mark.parametrize(
    ("kind", "raw", "number"),
    [
        (ValueType.BCD16, b"\x12\x34", 1234.0),
        (ValueType.BCD16, b"\x99\x99", 9999.0),
        (ValueType.BCD16, b"\x00\x0a", math.nan),
        (ValueType.BCD32, b"\x12\x34\x56\x78", 12345678.0),
        (ValueType.BCD32, b"\xf0\x00\x00\x01", math.nan),
    ],
)
def test_packed_decimals_are_read_and_a_wrong_digit_is_no_number(kind, raw, number):
    (value,), *_ = decoder_for([holding(kind)], 0).decode(raw)
    assert value == number or (math.isnan(value) and math.isnan(number))


@pytest.mark.parametrize(
    ("raw", "order", "text"),
    [
        (b"PUMP-7\0\0", "", "PUMP-7"),
        (b"UPPM7-\0\0", "BA", "PUMP-7"),
        (b"PUMP  \0x", "AB", "PUMP"),
        (b"\xffUMP-123", "", "\ufffdUMP-123"),
        (bytes(8), "", ""),
    ],
)
def test_text_ends_at_the_first_nul_and_lies_beside_the_column(raw, order, text):
    tags = [
        holding(ValueType.TEXT, 0, 4, length=4, order=order),
        holding(ValueType.INT16, 4, 5),
    ]
    values, objects, _ = decoder_for(tags, 0).decode(raw + b"\xff\xfe")
    assert objects == ((4, text),)
    assert math.isnan(values[0])
    assert values[1] == -2.0


def test_a_signalling_nan_or_an_overflow_is_a_value_for_the_twin_to_judge():
    tags = [holding(ValueType.FLOAT32), holding(ValueType.FLOAT64, 2, 1, scale=10.0)]
    raw = b"\x7f\xa0\x00\x01" + b"\x7f\xef\xff\xff\xff\xff\xff\xff"
    values, *_ = decoder_for(tags, 0).decode(raw)
    assert math.isnan(values[0])
    assert values[1] == math.inf


def test_results_of_two_decodes_do_not_share_memory():
    decoder = decoder_for([holding(ValueType.FLOAT32)], 0)
    first = decoder.decode(b"\x3f\x80\x00\x00").values
    decoder.decode(b"\x40\x00\x00\x00")
    assert first[0] == 1.0


@pytest.mark.parametrize("order", ["", "BADC"])
def test_too_few_bytes_are_never_decoded(order):
    with pytest.raises(ValueError, match="3 bytes for a block of 4"):
        decoder_for([holding(ValueType.FLOAT32, order=order)], 0).decode(bytes(4), 1)


@given(
    kind=st.sampled_from(
        [
            ValueType.INT16,
            ValueType.UINT16,
            ValueType.INT32,
            ValueType.UINT32,
            ValueType.FLOAT32,
            ValueType.FLOAT64,
        ]
    ),
    raw=st.binary(min_size=8, max_size=8),
    scale=st.sampled_from([1.0, 0.1, -3.0, 1e300]),
    offset=st.sampled_from([0.0, 273.15, -1e308]),
)
def test_one_number_alone_is_read_as_among_others(kind, raw, scale, offset):
    alone = holding(kind, scale=scale, offset=offset)
    other = holding(ValueType.INT16, kind.registers, 1)
    assume(kind not in (ValueType.INT64, ValueType.UINT64))  # may lie beyond float64
    data = raw[: 2 * kind.registers] + b"\0\1"
    (value,), objects, quality = decoder_for([alone], 0).decode(data)
    (among, _), *_ = decoder_for([alone, other], 0).decode(data)
    assert (objects, quality) == ((), 0)
    assert value == among or (math.isnan(value) and math.isnan(among))


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        (holding(ValueType.AUTO), "give the tag one"),
        (holding(ValueType.BIT), "say which bit"),
        (holding(ValueType.INT32, order="ABCE"), "no permutation of ABCD"),
        (holding(ValueType.TEXT), "give its length"),
    ],
)
def test_what_no_register_can_hold_is_a_config_error(tag, words):
    with pytest.raises(ConfigError, match=words):
        decoder_for([tag], 0)


# ---------------------------------------------------------------- encoding

SPAN = {
    ValueType.INT16: (-(2**15), 2**15 - 1),
    ValueType.UINT16: (0, 2**16 - 1),
    ValueType.INT32: (-(2**31), 2**31 - 1),
    ValueType.UINT32: (0, 2**32 - 1),
    ValueType.INT64: (-(2**63), 2**63 - 1),
    ValueType.UINT64: (0, 2**64 - 1),
    ValueType.BCD16: (0, 9999),
    ValueType.BCD32: (0, 99_999_999),
}


@given(
    st.sampled_from(NUMBERS + BCD),
    st.data(),
    st.sampled_from([1.0, 0.1, -2.5, 1e3, 1 / 3]),
    st.sampled_from([0.0, -40.0, 1e3]),
)
def test_what_is_written_is_what_is_read_for_every_type_and_order(kind, data, scale, offset):
    order = data.draw(st.sampled_from(ORDERS[kind.registers]))
    tag = holding(kind, order=order, scale=scale, offset=offset)
    if kind in SPAN:
        raw = float(data.draw(st.integers(*SPAN[kind])))
        assume(SPAN[kind][0] <= raw <= SPAN[kind][1])  # a float64 may round just outside
        value = raw * scale + offset
        assume(SPAN[kind][0] <= (value - offset) / scale <= SPAN[kind][1])
    else:
        width = 32 if kind is ValueType.FLOAT32 else 64
        raw = data.draw(st.floats(width=width, allow_nan=False, allow_infinity=False))
        assume(abs(raw) < 1e30)
        value = raw * scale + offset
    (read,), *_ = decoder_for([tag], 0).decode(encode(tag, value))
    assert abs(read - value) <= slack(tag, value)


@given(st.sampled_from(sorted(SPAN)), st.floats(allow_nan=False, allow_infinity=False))
def test_an_integer_never_wraps(kind, value):
    tag = holding(kind)
    low, high = SPAN[kind]
    if low <= round(value) <= high:
        (read,), *_ = decoder_for([tag], 0).decode(encode(tag, value))
        assert abs(read - value) <= 0.5 + 1e-9 * abs(value)
    else:
        with pytest.raises(DoesNotFit, match="lies outside"):
            encode(tag, value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [*NUMBERS, *BCD])
def test_what_is_no_finite_number_is_refused(kind, value):
    with pytest.raises(DoesNotFit, match="no number"):
        encode(holding(kind), value)


def test_a_float_too_large_for_32_bit_is_refused():
    with pytest.raises(DoesNotFit, match="lies outside what a float32 can hold"):
        encode(holding(ValueType.FLOAT32), 1e39)


def test_a_value_between_steps_is_rounded_within_the_tolerance_and_refused_beyond():
    limits = WriteLimits(0, 100)
    tag = holding(ValueType.INT16, scale=0.1, write=limits)
    assert encode(tag, 12.34) == (123).to_bytes(2, "big")
    with pytest.raises(DoesNotFit, match=r"the nearest it can hold is 12\.3"):
        encode(replace(tag, write=replace(limits, tolerance=0.01)), 12.34)


COIL = Tag(0, "plc/run", type=ValueType.BIT, address=ModbusAddress(Table.COIL, 4))


def test_a_coil_takes_on_and_off_and_nothing_between():
    assert encode(COIL, 1.0) == b"\xff\x00"
    assert encode(COIL, 0.0) == b"\x00\x00"
    with pytest.raises(DoesNotFit, match="neither on"):
        encode(COIL, 0.5)


def test_a_text_cannot_be_written_as_a_number():
    with pytest.raises(DoesNotFit, match="cannot be written"):
        encode(holding(ValueType.AUTO), 1.0)


@given(st.integers(0, 15), st.sampled_from(["", "BA"]), st.booleans(), st.integers(0, 0xFFFF))
def test_one_bit_of_a_register_is_written_by_masks_and_its_neighbours_stay(bit, order, on, word):
    tag = holding(ValueType.BIT, bit=bit, order=order)
    raw = encode(tag, float(on))
    stays, becomes = int.from_bytes(raw[:2], "big"), int.from_bytes(raw[2:], "big")
    after = word & stays | becomes & ~stays  # application protocol v1.1b3 §6.16
    (read,), *_ = decoder_for([tag], 0).decode(after.to_bytes(2, "big"))
    assert read == on
    assert (after ^ word).bit_count() <= 1


def test_what_stands_for_no_value_is_never_written():
    tag = holding(ValueType.INT16, scale=0.1, no_value=(0x8000,))
    with pytest.raises(DoesNotFit, match="when it has no value"):
        encode(tag, -3276.8)
    assert encode(tag, -3276.7) == b"\x80\x01"


WORDS = ("AUTO", "Öl", "läuft 1", "x")


@pytest.mark.parametrize("order", ["", "BA"])
@pytest.mark.parametrize("number", range(4))
def test_text_that_is_written_is_the_text_that_is_read(order, number):
    tag = holding(ValueType.TEXT, length=4, order=order, write=WriteLimits(0, 3, texts=WORDS))
    raw = encode(tag, float(number))
    assert len(raw) == 8
    assert decoder_for([tag], 0).decode(raw).objects == ((0, WORDS[number]),)


@pytest.mark.parametrize("number", [-1.0, 4.0])
def test_text_that_is_not_listed_is_not_encoded(number):
    tag = holding(ValueType.TEXT, length=4, write=WriteLimits(0, 3, texts=WORDS))
    with pytest.raises(DoesNotFit, match="no text"):
        encode(tag, number)
