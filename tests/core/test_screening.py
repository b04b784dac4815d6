"""Sentinels and NAMUR NE 43: what the raw value says beside a number, at the exact border."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.decode import decoder_for
from edgetwin.core.encode import pack
from edgetwin.core.quality import Quality
from edgetwin.core.tags import CurrentLoop, Tag, ValueType

GOOD, OUT, FAILED, NONE = (
    Quality.GOOD,
    Quality.OUT_OF_RANGE,
    Quality.SENSOR_FAILURE,
    Quality.NO_VALUE,
)


def holding(kind, at=0, index=0, **more):
    address = ModbusAddress(Table.HOLDING, at)
    return Tag(index, f"plc/{index}", type=kind, address=address, **more)


@pytest.mark.parametrize(
    ("kind", "pattern", "order"),
    [
        (ValueType.INT16, 0x8000, ""),
        (ValueType.UINT16, 0xFFFF, "BA"),
        (ValueType.BCD16, 0x9999, ""),
        (ValueType.INT32, 0x80000000, "CDAB"),
        (ValueType.FLOAT32, 0x7FC00000, "DCBA"),
        (ValueType.INT64, 1 << 63, "GHEFCDAB"),
        (ValueType.UINT64, (1 << 64) - 1, ""),
    ],
)
def test_the_pattern_for_no_value_is_bad_and_its_neighbours_stay_good(kind, pattern, order):
    width = 2 * kind.registers
    plain = pattern.to_bytes(width, "big")
    raw = bytes(plain["ABCDEFGH".index(letter)] for letter in order) if order else plain
    tags = [
        holding(ValueType.UINT16, 0, 5),
        holding(kind, 1, 6, order=order, no_value=(pattern, 1)),
        holding(ValueType.FLOAT32, 1 + kind.registers, 7, scale=2.0),
    ]
    data = b"\0\7" + raw + b"\x3f\x80\0\0"
    values, objects, quality = decoder_for(tags, 0).decode(data)
    assert quality.tolist() == [GOOD, NONE, GOOD]
    assert math.isnan(values[1])
    assert values[[0, 2]].tolist() == [7.0, 2.0]
    assert objects == ()


def test_only_the_pattern_itself_stands_for_no_value():
    tag = holding(ValueType.INT16, no_value=(0x8000, 0x7FFF), scale=0.1)
    decoder = decoder_for([tag], 0)
    found = [decoder.decode(word.to_bytes(2, "big")).quality for word in range(1 << 16)]
    hit = [word for word, quality in enumerate(found) if not isinstance(quality, int)]
    assert hit == [0x7FFF, 0x8000]


@pytest.mark.parametrize(
    ("ma", "quality"),
    [
        (-1.0, FAILED),
        (3.6, FAILED),
        (3.601, OUT),
        (3.799, OUT),
        (3.8, GOOD),
        (4.0, GOOD),
        (20.0, GOOD),
        (20.5, GOOD),
        (20.501, OUT),
        (20.999, OUT),
        (21.0, FAILED),
        (22.8, FAILED),
    ],
)
@pytest.mark.parametrize("ends", [(4000, 20000), (20000, 4000), (0, 16000), (4.0, 20.0)])
def test_a_raw_current_is_judged_by_ne_43(ma, quality, ends):
    raw = ends[0] + (ma - 4) / 16 * (ends[1] - ends[0])
    loop = CurrentLoop(*map(float, ends))
    tag = holding(ValueType.FLOAT64, current=loop, scale=0.001, offset=-4.0)
    data = pack(ValueType.FLOAT64, raw) + b"\0\0"
    values, _, found = decoder_for([tag, holding(ValueType.INT16, 4, 1)], 0).decode(data)
    assert np.broadcast_to(found, 2).tolist() == [quality, GOOD]
    assert math.isnan(values[0]) == (quality is FAILED)


def test_both_marks_of_one_block_are_found_and_a_sentinel_says_more_than_its_current():
    loop = CurrentLoop(0.0, 27648.0)
    tags = [
        holding(ValueType.INT16, 0, 0, current=loop),
        holding(ValueType.INT16, 1, 1, current=loop, no_value=(0x7FFF,)),
        holding(ValueType.INT16, 2, 2, no_value=(0x8000,)),
    ]
    quality = decoder_for(tags, 0).decode(b"\x80\x00\x7f\xff\x12\x34").quality
    assert quality.tolist() == [FAILED, NONE, GOOD]


@given(st.integers(0, 0xFFFF))
def test_a_block_without_such_tags_judges_nothing(word):
    tags = [holding(ValueType.INT16), holding(ValueType.UINT16, 0, 1)]
    assert decoder_for(tags, 0).decode(word.to_bytes(2, "big")).quality == 0
