"""The request planner: every tag once, in the fewest requests, within what the device takes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.blocks import Block, Limits, Span, plan_blocks, read_in_vain
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
    spans = draw(
        st.lists(
            st.tuples(st.sampled_from(Table), st.integers(0, 900), st.integers(0, 9)), max_size=8
        )
    )
    forbidden = tuple(Span(table, first, first + more) for table, first, more in spans)
    limits = replace(limits, forbidden=forbidden)
    kept = [t for t in tags if not limits.forbids(t.address.table, t.address.offset, t.registers)]
    return [replace(tag, index=7 + i) for i, tag in enumerate(kept)], limits


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
        assert limits.forbids(block.table, block.first, block.count) is None
        mine = [by_index[i] for i in block.tags]
        items = {t.address.offset + n for t in mine for n in range(t.registers)}
        assert read_in_vain(block, mine) == block.count - len(items)


def fits(tags, limits):
    """Whether these tags, in order, may be read by one request."""
    bits = tags[0].address.table.is_bits
    first, end = tags[0].address.offset, tags[0].address.offset
    for tag in tags:
        if tag.address.table is not tags[0].address.table:
            return False
        if tag.address.offset - end > limits.max_gap * (16 if bits else 1):
            return False
        end = max(end, tag.address.offset + tag.registers)
    most = limits.max_bits if bits else limits.max_registers
    free = limits.forbids(tags[0].address.table, first, end - first) is None
    return end - first <= most and free


@given(groups())
def test_no_other_plan_needs_fewer_requests(case):
    tags, limits = case
    fewest = [0]  # of the first n tags, by trying every last block
    for end in range(1, len(tags) + 1):
        starts = (s for s in range(end) if fits(tags[s:end], limits))
        fewest.append(min(fewest[s] + 1 for s in starts))
    assert len(plan_blocks(tags, limits)) == fewest[-1]


@given(st.lists(st.integers(0, 300), min_size=1, max_size=40, unique=True))
def test_a_device_that_gives_one_register_at_a_time_is_asked_for_each(places):
    blocks = plan_blocks(registers(*sorted(places)), Limits(max_registers=1))
    assert [(b.first, b.count) for b in blocks] == [(at, 1) for at in sorted(places)]


def test_a_float_of_a_device_that_gives_one_register_is_refused():
    with pytest.raises(ConfigError, match="2 registers long, but the device gives 1"):
        plan_blocks(registers(0, kind=ValueType.FLOAT32), Limits(max_registers=1))


def test_a_hole_that_is_forbidden_is_asked_around():
    tags = registers(0, 1, 5, 6)
    assert len(plan_blocks(tags, Limits())) == 1
    apart = plan_blocks(tags, Limits(forbidden=(Span(Table.HOLDING, 3, 3),)))
    assert [(b.first, b.count) for b in apart] == [(0, 2), (5, 2)]
    assert len(plan_blocks(tags, Limits(forbidden=(Span(Table.INPUT, 3, 3),)))) == 1


def test_a_tag_in_a_forbidden_span_is_refused_with_its_place():
    limits = Limits(forbidden=(Span(Table.HOLDING, 3, 9),))
    (tag,) = registers(2, kind=ValueType.FLOAT32)
    with pytest.raises(ConfigError, match=r"p.yaml:7: plc/0 at 4x0003 lies in 4x0004-4x0010"):
        plan_blocks([replace(tag, place="p.yaml:7")], limits)


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
