"""What a Modbus tag's place, scale and raw values are compiled to."""

import pytest

from edgetwin.config.compile.gateway import compile_text
from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.blocks import Span
from edgetwin.core.plan import WriteBy
from edgetwin.core.tags import CurrentLoop


def compiled(options, *tags):
    lines = ["gateway: g", "devices:", "  skid:", "    driver: modbus", "    address: 127.0.0.1"]
    lines += [f"    {option}" for option in options]
    lines += ["    tags:", *(f"      t{i}: {{{tag}}}" for i, tag in enumerate(tags))]
    return compile_text("\n".join(lines), "test.yaml", environ={"HOME": "/home/nobody"})


def only_tag(tag, *options):
    (found,) = compiled(options, tag).tags
    return found


@pytest.mark.parametrize(
    ("kind", "written", "patterns"),
    [
        ("int16", "[0x8000, -1]", (0x8000, 0xFFFF)),
        ("uint32", "[0xFFFFFFFF, 7]", (0xFFFFFFFF, 7)),
        ("bcd16", "[9999]", (0x9999,)),
        ("float32", "[-9999, 0x7FC00000]", (0xC61C3C00, 0x7FC00000)),
        ("int64", "[-9223372036854775808]", (1 << 63,)),
    ],
)
def test_no_value_is_compiled_to_the_bits_in_the_device(kind, written, patterns):
    tag = only_tag(f"at: 4x0001, type: {kind}, scale: 0.1, no_value: {written}")
    assert tag.no_value == patterns


def test_two_points_are_scale_and_offset():
    tag = only_tag("at: 4x0001, type: int16, raw: [100, 27748], span: [-40, 120 degC], unit: degC")
    assert 100 * tag.scale + tag.offset == pytest.approx(-40)
    assert 27748 * tag.scale + tag.offset == pytest.approx(120)
    assert tag.current is None


def test_a_signal_is_judged_by_its_raw_ends_with_or_without_a_span():
    raw = "at: 3x0001, type: int16, signal: 4-20 mA, raw: [0, 27648]"
    assert only_tag(raw).current == CurrentLoop(0.0, 27648.0)
    assert only_tag(f"{raw}, span: [0, 16]").scale == pytest.approx(16 / 27648)


def test_numbers_alone_are_read_by_the_numbering_and_sorted_by_place():
    tags = compiled(["numbering: 400001"], *(f"at: {n}, type: int16" for n in (40009, 400002)))
    assert [t.address for t in tags.tags] == [
        ModbusAddress(Table.HOLDING, 1),
        ModbusAddress(Table.HOLDING, 8),
    ]


def test_clear_notations_stay_what_they_are_with_any_numbering():
    for numbering in ("40001", "40000", "1", "0"):
        tag = only_tag("at: 4x0003.1", f"numbering: {numbering}")
        assert tag.address == ModbusAddress(Table.HOLDING, 2, 1)


def test_settings_carry_what_is_forbidden_and_how_to_write():
    plan = compiled(
        ["forbidden: [holding:9 - holding:19, 3x0007]", "write_by: multiple"],
        "at: 4x0001, type: int16",
        "at: 4x0030, type: int16",
    )
    settings = plan.devices[0].settings
    assert settings.forbidden == (Span(Table.HOLDING, 9, 19), Span(Table.INPUT, 6, 6))
    assert settings.write_by is WriteBy.MULTIPLE


def test_one_bit_of_a_register_may_be_written():
    tag = only_tag("at: 4x0001.3, write: {min: 0, max: 1}")
    assert tag.write is not None
