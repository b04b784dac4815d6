"""Modbus addresses as technicians write them: every notation, and the doubt about bare numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.address import (
    AddressError,
    ModbusAddress,
    NumberAlone,
    Numbering,
    Table,
    parse_modbus,
    parse_span,
)

H, R, D, C = Table.HOLDING, Table.INPUT, Table.DISCRETE, Table.COIL
FROM_1, FROM_0, ONE, ZERO = Numbering


@given(st.sampled_from(Table), st.integers(0, 65535), st.integers(-1, 15))
def test_what_is_shown_is_read_as_the_same_place(table, offset, bit):
    address = ModbusAddress(table, offset, -1 if table.is_bits else bit)
    assert parse_modbus(str(address)) == address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("4x0001", ModbusAddress(H, 0)),
        ("4x00001", ModbusAddress(H, 0)),
        ("3x65536", ModbusAddress(R, 65535)),
        ("1x10", ModbusAddress(D, 9)),
        ("0x0001", ModbusAddress(C, 0)),
        ("holding:0", ModbusAddress(H, 0)),
        ("input:7.15", ModbusAddress(R, 7, 15)),
    ],
)
def test_each_clear_notation_is_read(text, address):
    assert parse_modbus(text) == address


@pytest.mark.parametrize(
    ("number", "numbering", "address"),
    [
        ("40001", FROM_1, ModbusAddress(H, 0)),
        ("400001", FROM_1, ModbusAddress(H, 0)),
        ("465536", FROM_1, ModbusAddress(H, 65535)),
        ("49999.3", FROM_1, ModbusAddress(H, 9998, 3)),
        ("30011", FROM_1, ModbusAddress(R, 10)),
        ("10001", FROM_1, ModbusAddress(D, 0)),
        ("00017", FROM_1, ModbusAddress(C, 16)),
        ("40000", FROM_0, ModbusAddress(H, 0)),
        ("40001", FROM_0, ModbusAddress(H, 1)),
        ("300010", FROM_0, ModbusAddress(R, 10)),
        ("1", ONE, ModbusAddress(H, 0)),
        ("40001", ONE, ModbusAddress(H, 40000)),
        ("0", ZERO, ModbusAddress(H, 0)),
        ("40001", ZERO, ModbusAddress(H, 40001)),
        ("7.15", ZERO, ModbusAddress(H, 7, 15)),
    ],
)
def test_a_number_alone_is_read_as_the_manual_counts(number, numbering, address):
    alone = parse_modbus(number)
    assert isinstance(alone, NumberAlone)
    assert alone.read_by(numbering) == address


@pytest.mark.parametrize(
    ("number", "numbering"),
    [("40000", FROM_1), ("100", FROM_1), ("20001", FROM_1), ("0", ONE), ("465537", FROM_1)],
)
def test_a_number_that_the_manual_cannot_have_is_refused(number, numbering):
    with pytest.raises(AddressError):
        parse_modbus(number).read_by(numbering)


@pytest.mark.parametrize(
    ("number", "readings"),
    [
        ("40001", ("4x0001", "40001", "holding:1", "40000")),
        ("300011", ("3x0011", "40001", "input:11", "40000")),
        ("100", ("4x0100", "1", "holding:100", "0")),
        ("7.3", ("4x0007.3", "1", "holding:7.3", "0")),
    ],
)
def test_the_doubt_names_both_likely_readings_and_the_manual_behind_each(number, readings):
    one, first, other, second = readings
    doubt = parse_modbus(number).doubt
    assert f"Write {one} if the first holding register is {first} in the manual" in doubt
    assert f"{other} if it is {second}" in doubt
    assert parse_modbus(one) == parse_modbus(number).read_by(Numbering(first))
    assert parse_modbus(other) == parse_modbus(number).read_by(Numbering(second))


@pytest.mark.parametrize("text", ["5x0001", "4x", "holding", "4x0000", "4x0001.16", "0x0001.1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(AddressError):
        parse_modbus(text)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("4x0100-4x0120", (99, 119)),
        ("4x0100 to 4x0120", (99, 119)),
        ("holding:99 - holding:119", (99, 119)),
        ("4x0007", (6, 6)),
    ],
)
def test_a_span_is_read(text, ends):
    assert parse_span(text) == (ModbusAddress(H, ends[0]), ModbusAddress(H, ends[1]))


@pytest.mark.parametrize("text", ["4x0120-4x0100", "4x0001-3x0002", "4x0001.1", "4x0001-"])
def test_what_is_no_span_is_refused(text):
    with pytest.raises(AddressError):
        parse_span(text)
