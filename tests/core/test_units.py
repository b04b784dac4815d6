import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.units import (
    Quantity,
    UnitError,
    format_duration,
    format_number,
    format_size,
    parse_duration,
    parse_number,
    parse_quantity,
    parse_rate,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4.2", 4.2),
        ("-7", -7),
        ("+.5", 0.5),
        ("1e3", 1000),
        ("1.0E-3", 0.001),
        ("010", 10),
        ("5.", 5),
    ],
)
def test_numbers_are_decimal(text, value):
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "0x10",
        "0o7",
        "1_000",
        "inf",
        ".inf",
        "nan",
        "1e999",
        "4,2",
        "\u0661",
        "--1",
        "e3",
    ],
)
def test_what_is_no_finite_decimal_number_is_refused(text):
    with pytest.raises(UnitError):
        parse_number(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("100 ms", 100_000_000),
        ("100ms", 100_000_000),
        ("0.1 s", 100_000_000),
        ("1.5 s", 1_500_000_000),
        ("5 min", 300_000_000_000),
        ("1 h", 3_600_000_000_000),
        ("1 d", 86_400_000_000_000),
        ("7 us", 7_000),
        ("0", 0),
        ("0 s", 0),
    ],
)
def test_durations_are_exact_nanoseconds(text, ns):
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    "text", ["100", "5 sec", "s", "12:30:00", "1,5 s", "1 e 3 s", "1e300 s", "5 S", "5 m"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(UnitError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("4.2 bar", Quantity(4.2, "bar")),
        ("4.2bar", Quantity(4.2, "bar")),
        ("600", Quantity(600, "")),
        ("1750 1/min", Quantity(1750, "1/min")),
        ("12 %", Quantity(12, "%")),
        ("-3 °C", Quantity(-3, "°C")),
        ("3 m3/h", Quantity(3, "m3/h")),
    ],
)
def test_a_quantity_is_a_number_and_its_unit(text, quantity):
    assert parse_quantity(text) == quantity


@pytest.mark.parametrize("text", ["bar", "", "4,2 bar", "12:30:00", "1.2.3"])
def test_what_does_not_begin_with_a_number_is_no_quantity(text):
    with pytest.raises(UnitError):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("50 per s", Quantity(50, "")),
        ("300 per min", Quantity(5, "")),
        ("3 bar per min", Quantity(0.05, "bar")),
        ("2 1/min per s", Quantity(2, "1/min")),
        ("1 per ms", Quantity(1000, "")),
    ],
)
def test_a_rate_is_the_change_in_one_second(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["50", "50 per", "per s", "50 per second", "50/s", "x per s"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(UnitError):
        parse_rate(text)


def test_sizes_are_bytes():
    assert parse_size("256 MB") == 256_000_000
    assert parse_size("1 GiB") == 1 << 30
    assert parse_size("1.5 kB") == 1500
    with pytest.raises(UnitError, match="There are B, kB"):
        parse_size("1 mb")


def test_formats_read_as_people_write():
    assert [
        format_duration(ns) for ns in (0, 1500, 10**8, 1_500_000_000, 300 * 10**9, 86_400 * 10**9)
    ] == [
        "0 s",
        "1.5 us",
        "100 ms",
        "1.5 s",
        "5 min",
        "1 d",
    ]
    assert [format_size(size) for size in (0, 256_000_000, 1_500_000_000)] == [
        "0 B",
        "256 MB",
        "1.5 GB",
    ]
    assert [format_number(value) for value in (600.0, 4.2, -0.5)] == ["600", "4.2", "-0.5"]


@given(st.integers(0, 10**6))
def test_a_formatted_duration_reads_back_the_same(ms):
    assert parse_duration(format_duration(ms * 1_000_000)) == ms * 1_000_000


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_never_worse(text):
    for parse in (parse_number, parse_quantity, parse_rate, parse_duration, parse_size):
        with contextlib.suppress(UnitError):
            parse(text)
