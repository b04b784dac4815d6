"""The bytes: what we write is read the same by a reader that is not ours, and nonsense is none."""

import math
import struct

import pytest
import spb_wire
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.sparkplug.metric import BOUNDS, DataType, Metric, Payload, Property
from edgetwin.upstream.sparkplug_wire import decode, encode

VALUES = {
    **{kind: st.integers(low, high) for kind, (low, high) in BOUNDS.items()},
    DataType.FLOAT: st.floats(width=32, allow_nan=False),
    DataType.DOUBLE: st.floats(allow_nan=False),
    DataType.BOOLEAN: st.booleans(),
    DataType.STRING: st.text(max_size=20),
}
BITS = {DataType.INT64: 64, DataType.UINT64: 64}


@given(st.data(), st.sampled_from(sorted(VALUES)))
def test_every_value_of_every_type_is_read_as_it_was_written(data, kind):
    value = data.draw(st.none() | VALUES[kind])
    metric = Metric(5, kind, value, "a/b", 3, is_definition=True)
    read = spb_wire.read(encode(Payload(7, (metric,), 255)))
    told = read.metrics[0]
    assert (read.timestamp, read.seq) == (7, 255)
    assert (told.name, told.alias, told.timestamp, told.datatype) == ("a/b", 3, 5, kind)
    assert told.is_null is (value is None)
    if kind in BOUNDS and value is not None:
        bits = BITS.get(kind, 32)
        assert told.value == value % 2**bits
    elif value is not None:
        assert told.value == value


def test_what_is_left_out_takes_no_bytes():
    told = spb_wire.read(encode(Payload(7, (Metric(5, DataType.INT16, 0, alias=3),)))).metrics[0]
    assert (told.name, told.datatype, told.is_null, told.is_historical) == ("", None, False, False)
    assert (told.field, told.value) == ("int", 0), "a zero is a value"


def test_properties_come_in_pairs():
    given_ = (Property("engUnit", DataType.STRING, "bar"), Property("Quality", DataType.INT32, 500))
    metric = Metric(5, DataType.DOUBLE, None, alias=1, is_historical=True, properties=given_)
    told = spb_wire.read(encode(Payload(7, (metric,), 0))).metrics[0]
    assert told.keys == ["engUnit", "Quality"]
    assert [(p.type, p.value) for p in told.properties] == [(12, "bar"), (3, 500)]
    assert told.quality == 500
    assert told.is_historical


@pytest.mark.parametrize("value", [True, False, 2.5])
def test_a_command_written_by_a_host_is_read(value):
    read = decode(spb_wire.command(9, ("Node Control/Rebirth", value)))
    assert read.metrics[0].name == "Node Control/Rebirth"
    assert read.metrics[0].value == value


def test_data_sets_and_templates_are_skipped():
    body = spb_wire._block(1, b"x") + spb_wire._block(17, b"\x08\x01") + spb_wire._block(18, b"")
    read = decode(spb_wire._block(2, body))
    assert (read.metrics[0].name, read.metrics[0].value) == ("x", None)


@given(st.binary(max_size=400))
def test_no_bytes_raise(content):
    decode(content)


def test_deep_nesting_is_no_payload():
    content = b""
    for _ in range(5000):
        content = spb_wire._block(9, content)
    decode(spb_wire._block(2, content))


def test_a_float_keeps_its_bits():
    metric = Metric(5, DataType.FLOAT, 0.1, alias=1)
    told = spb_wire.read(encode(Payload(7, (metric,)))).metrics[0]
    assert math.isclose(told.value, struct.unpack("<f", struct.pack("<f", 0.1))[0])
