"""The request planner: every tag once, in the fewest requests, within what the device takes."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.blocks import Block, Limits, plan_blocks
from edgetwin.core.errors import ConfigError
from edgetwin.core.tags import Tag, ValueType


def registers(*places, table=Table.HOLDING, kind=ValueType.UINT16, first=0):
    return [
        Tag(first + i, f"plc/{i}", type=kind, address=ModbusAddress(table, at))
        for i, at in enumerate(places)
    ]


REGISTER_TYPES = [t for t in ValueType if t not in {ValueType.AUTO, ValueType.TEXT, ValueType.BIT}]


@st.composite
def groups(draw):
    entries = draw(
        st.lists(
            st.tuples(st.sampled_from(Table), st.integers(0, 900), st.sampled_from(REGISTER_TYPES)),
            max_size=60,
        )
    )
    entries.sort(key=lambda e: e[:2])
    tags = [
        Tag(
            7 + i,
            f"plc/{i}",
            type=ValueType.BIT if table.is_bits else kind,
            address=ModbusAddress(table, offset),
        )
        for i, (table, offset, kind) in enumerate(entries)
    ]
    limits = Limits(draw(st.integers(4, 125)), draw(st.integers(1, 2000)), draw(st.integers(0, 50)))
    return tags, limits


@given(groups())
def test_every_tag_lies_whole_in_exactly_one_block_within_the_limits(case):
    tags, limits = case
    blocks = plan_blocks(tags, limits)
    assert [i for block in blocks for i in block.tags] == [tag.index for tag in tags]
    by_index = {tag.index: tag for tag in tags}
    for block in blocks:
        bits = block.table.is_bits
        assert 1 <= block.count <= (limits.max_bits if bits else limits.max_registers)
        covered = block.first
        for index in block.tags:
            tag = by_index[index]
            assert tag.address.table is block.table
            assert block.first <= tag.address.offset
            assert tag.address.offset + tag.registers <= block.first + block.count
            assert tag.address.offset - covered <= limits.max_gap * (16 if bits else 1)
            covered = max(covered, tag.address.offset + tag.registers)
        assert covered == block.first + block.count, "nothing is read behind the last tag"


@given(groups())
def test_no_two_neighbouring_blocks_could_have_been_one(case):
    tags, limits = case
    blocks = plan_blocks(tags, limits)
    by_index = {tag.index: tag for tag in tags}
    for one, other in pairwise(blocks):
        if one.table is not other.table:
            continue
        tag = by_index[other.tags.start]
        end = max(one.first + one.count, tag.address.offset + tag.registers)
        bits = one.table.is_bits
        too_long = end - one.first > (limits.max_bits if bits else limits.max_registers)
        gap = tag.address.offset - one.first - one.count
        assert too_long or gap > limits.max_gap * (16 if bits else 1)


def test_500_adjacent_registers_are_four_requests():
    blocks = plan_blocks(registers(*range(500)), Limits())
    assert [(b.first, b.count) for b in blocks] == [(0, 125), (125, 125), (250, 125), (375, 125)]


@pytest.mark.parametrize(
    ("table", "function"),
    [(Table.COIL, 1), (Table.DISCRETE, 2), (Table.HOLDING, 3), (Table.INPUT, 4)],
)
def test_each_table_has_its_function_code(table, function):
    kind = ValueType.BIT if table.is_bits else ValueType.UINT16
    assert plan_blocks(registers(3, table=table, kind=kind, first=5), Limits()) == (
        Block(table, function, 3, 1, range(5, 6)),
    )


def test_a_float_that_would_cross_the_limit_begins_a_new_block():
    blocks = plan_blocks(registers(0, 2, 4, kind=ValueType.FLOAT32), Limits(max_registers=5))
    assert [(b.first, b.count) for b in blocks] == [(0, 4), (4, 2)]


def test_tags_that_share_registers_share_the_block():
    long, short = registers(10, 11)
    blocks = plan_blocks([replace(long, type=ValueType.FLOAT64), short], Limits())
    assert [(b.first, b.count) for b in blocks] == [(10, 4)]


def test_a_text_counts_with_its_length():
    (text,) = registers(0, kind=ValueType.TEXT)
    (block,) = plan_blocks([replace(text, length=8)], Limits())
    assert block.count == 8


def test_a_tag_longer_than_one_request_is_refused_with_its_place():
    (text,) = registers(0, kind=ValueType.TEXT)
    with pytest.raises(ConfigError, match=r"pump.yaml:7: plc/0 is 130 registers long"):
        plan_blocks([replace(text, length=130, place="pump.yaml:7")], Limits())


def test_tags_out_of_order_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="does not follow"):
        plan_blocks(registers(5, 3), Limits())
