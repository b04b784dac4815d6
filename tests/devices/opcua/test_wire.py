"""The fast lane's decoder sees what asyncua's sees, and nothing in bytes that do not add up."""

import math
import struct
from datetime import UTC, datetime

import numpy as np
import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import (
    Primitives,
    nodeid_from_binary,
    struct_from_binary,
    struct_to_binary,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetwin.core.quality import Quality
from edgetwin.core.slices import finish
from edgetwin.devices.opcua import lane, replies
from edgetwin.devices.opcua.choice import differs
from edgetwin.devices.opcua.exchange import Ack, ServiceFault
from edgetwin.devices.opcua.lane import node_bytes
from edgetwin.devices.opcua.replies import write_reply
from edgetwin.devices.opcua.skip import WireError
from edgetwin.devices.opcua.stock import columns_of, notification_of

V = ua.VariantType
BOUNDS = {
    V.SByte: (-(2**7), 2**7 - 1),
    V.Byte: (0, 2**8 - 1),
    V.Int16: (-(2**15), 2**15 - 1),
    V.UInt16: (0, 2**16 - 1),
    V.Int32: (-(2**31), 2**31 - 1),
    V.UInt32: (0, 2**32 - 1),
    V.Int64: (-(2**63), 2**63 - 1),
    V.UInt64: (0, 2**64 - 1),
}
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1))  # noqa: DTZ001 (asyncua gives such)
texts = st.text(max_size=12)
variants = st.one_of(
    *[st.builds(ua.Variant, st.integers(*span), st.just(kind)) for kind, span in BOUNDS.items()],
    st.builds(ua.Variant, st.booleans(), st.just(V.Boolean)),
    st.builds(ua.Variant, st.floats(width=32), st.just(V.Float)),
    st.builds(ua.Variant, st.floats(), st.just(V.Double)),
    st.builds(ua.Variant, texts | st.none(), st.just(V.String)),
    st.builds(ua.Variant, moments, st.just(V.DateTime)),
    st.builds(ua.Variant, st.builds(ua.LocalizedText, texts), st.just(V.LocalizedText)),
    st.builds(ua.Variant, st.lists(st.floats(), max_size=4), st.just(V.Double)),
    st.builds(ua.Variant, st.lists(texts, max_size=4), st.just(V.String)),
    st.builds(ua.Variant, st.lists(st.integers(0, 9), max_size=2), st.just(V.Int64)),
    st.builds(ua.Variant, st.just([[1.5]]), st.just(V.Double), Dimensions=st.just([1, 1])),
    st.builds(ua.Variant, st.builds(ua.XmlElement, texts), st.just(V.XmlElement)),
    st.builds(ua.Variant, st.builds(ua.StatusCode, st.just(0x80340000)), st.just(V.StatusCode)),
    st.builds(ua.Variant, st.binary(max_size=9), st.just(V.ByteString)),
    st.builds(ua.Variant, st.uuids(), st.just(V.Guid)),
    st.builds(ua.Variant, st.builds(ua.QualifiedName, texts), st.just(V.QualifiedName)),
)
codes = st.sampled_from([0, 0, 0x40910000, 0x80340000, 0x80000000, 0x408F0000])
data_values = st.builds(
    ua.DataValue,
    variants,
    st.builds(ua.StatusCode, codes),
    SourceTimestamp=st.none() | moments,
    ServerTimestamp=st.none() | moments,
)


def read_response(values: list[ua.DataValue]) -> bytes:
    response = ua.ReadResponse()
    response.Results = values
    return struct_to_binary(response)


def read_reply(reply: bytes, asked: int):
    return finish(replies.read_reply(reply, asked))


def publish_reply(reply: bytes):
    return finish(replies.publish_reply(reply))


def doubles(n: int) -> list[ua.DataValue]:
    stamp = datetime(2026, 1, 1, tzinfo=UTC)
    return [ua.DataValue(ua.Variant(i + 0.5, V.Double), SourceTimestamp=stamp) for i in range(n)]


@given(st.lists(st.tuples(data_values, st.integers(1, 40)), max_size=12))
@settings(max_examples=150, deadline=None)
def test_any_reply_is_read_as_asyncua_reads_it(runs):
    values = [value for value, times in runs for _ in range(times)]
    reply = read_response(values)
    theirs = struct_from_binary(ua.ReadResponse, Buffer(reply)).Results
    expected = columns_of(theirs, len(values))
    assert differs(read_reply(reply, len(values)), expected) == 0


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_reply_is_refused_or_read_but_never_anything_else(data):
    values = data.draw(st.lists(data_values, min_size=1, max_size=20))
    reply = bytearray(read_response(values))
    for _ in range(data.draw(st.integers(1, 4))):
        reply[data.draw(st.integers(24, len(reply) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(reply)))
    for damaged in (bytes(reply), bytes(reply[:cut])):
        try:
            columns = read_reply(damaged, len(values))
        except (WireError, ServiceFault):
            continue
        assert len(columns.quality) == len(columns.source_time) == len(values)


def test_long_run_of_doubles_is_read_whole():
    columns = read_reply(read_response(doubles(5000)), 5000)
    assert np.array_equal(columns.values, np.arange(5000) + 0.5)
    assert not columns.quality.any()
    assert set(columns.source_time) == {int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 10**9}


def test_reply_with_fewer_values_than_asked_for_is_refused():
    with pytest.raises(WireError, match="3 values where 4"):
        read_reply(read_response(doubles(3)), 4)


def test_service_fault_names_its_status():
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(0x80100000)
    with pytest.raises(ServiceFault, match="BadTooManyOperations"):
        read_reply(struct_to_binary(fault), 1)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"\x01\x95\xff\xff\xff\x7f", id="array of 2^31-1 texts without any"),
        pytest.param(b"\x01\x0c\xff\xff\xff\x7f", id="text of 2^31-1 bytes without any"),
        pytest.param(b"\x01" + b"\x98\x01\x00\x00\x00" * 20_000, id="variants nested 20,000 deep"),
        pytest.param(
            b"\x01\x98" + struct.pack("<i", 1_000_000) + b"\x0c\xff\xff\xff\xff" * 1_000_000,
            id="a million null texts",
        ),
        pytest.param(b"\x01\x3f", id="a type that does not exist"),
        pytest.param(
            b"\x01\x98" + struct.pack("<i", 900) + (b"\x98\x1e\x00\x00\x00" + b"\x00" * 30) * 900,
            id="many lists of variants, none of them long",
        ),
    ],
)
def test_hostile_value_is_refused(value):
    reply = read_response([])[:-8] + struct.pack("<i", 1) + value
    with pytest.raises(WireError):
        read_reply(reply, 1)


def test_lying_dimensions_cost_nothing_and_the_next_value_is_read():
    lying = struct.pack("<BBi4dI3i", 1, 0xCB, 4, 1, 2, 3, 4, 3, 2, 1000, 1000)
    plain = struct.pack("<BBd", 1, 0x0B, 2.5)
    reply = read_response([])[:-8] + struct.pack("<i", 2) + lying + plain + b"\xff" * 4
    columns = read_reply(reply, 2)
    assert columns.values[1] == 2.5
    assert list(columns.quality) == [Quality.CONFIG_ERROR, Quality.GOOD]


@pytest.mark.parametrize("kind", [V.String, V.LocalizedText])
def test_endless_text_is_no_value(kind):
    text = "x" * 4097
    value = ua.Variant(text if kind is V.String else ua.LocalizedText(text), kind)
    columns = read_reply(read_response([ua.DataValue(value)]), 1)
    assert list(columns.quality) == [Quality.NOT_A_NUMBER]
    assert columns.objects == []


def test_notification_of_more_values_than_allowed_is_refused():
    reply = publish_response(*[change([(1, ua.DataValue())] * 12_000)] * 2)
    with pytest.raises(WireError, match="24000 values"):
        publish_reply(reply)


def test_nothing_good_comes_from_what_is_no_number():
    odd = [float("nan"), float("inf"), None]
    values = [ua.DataValue(ua.Variant(x, V.Double if x else V.String)) for x in odd]
    assert set(read_reply(read_response(values), 3).quality) == {Quality.NOT_A_NUMBER}


def test_nonsense_time_is_no_time():
    values = doubles(2)
    reply = read_response(values)
    late = reply[:-12] + struct.pack("<q", 2**63 - 1) + reply[-4:]
    assert read_reply(late, 2).source_time[1] == 0
    assert read_reply(late, 2).source_time[0] > 0


def publish_response(*parts: object) -> bytes:
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = 9
    response.Parameters.AvailableSequenceNumbers = [4, 5]
    response.Parameters.NotificationMessage.SequenceNumber = 5
    response.Parameters.NotificationMessage.NotificationData = list(parts)
    return struct_to_binary(response)


def change(items: list[tuple[int, ua.DataValue]]) -> ua.DataChangeNotification:
    return ua.DataChangeNotification(
        [ua.MonitoredItemNotification(handle, value) for handle, value in items]
    )


@given(st.lists(st.lists(data_values, min_size=1, max_size=30), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_any_notification_is_read_as_asyncua_reads_it(parts):
    handled = [[(7 * i, value) for i, value in enumerate(values)] for values in parts]
    reply = publish_response(*map(change, handled))
    ours = publish_reply(reply)
    theirs = notification_of(struct_from_binary(ua.PublishResponse, Buffer(reply)))
    assert (ours.subscription, ours.sequence, ours.acks) == (9, 5, (Ack(9, 5),))
    assert np.array_equal(ours.handles, theirs.handles)
    assert ours.columns is not None
    assert theirs.columns is not None
    assert differs(ours.columns, theirs.columns) == 0


@pytest.mark.parametrize("text", ["i=2258", "ns=3;i=70000", "ns=2;s=Pumpe läuft", "ns=65535;s="])
def test_node_ids_are_written_as_the_standard_has_them(text):
    node = ua.NodeId.from_string(text)
    assert nodeid_from_binary(Buffer(node_bytes(node))) == node


@given(texts)
def test_texts_are_written_as_asyncua_writes_them(text):
    assert lane._text(text) == (Primitives.String.pack(text) if text else b"\xff" * 4)


def test_keep_alive_has_no_columns_and_is_not_acknowledged():
    news = publish_reply(publish_response())
    assert news.columns is None
    assert news.acks == ()


def test_ended_subscription_says_why():
    ended = ua.StatusChangeNotification(ua.StatusCode(0x800A0000))
    assert publish_reply(publish_response(ended)).ended == 0x800A0000


def test_write_reply_gives_the_nodes_status():
    response = ua.WriteResponse()
    response.Results = [ua.StatusCode(0x803B0000)]
    assert write_reply(struct_to_binary(response)) == 0x803B0000


def test_float_that_is_whole_stays_exact():
    values = [ua.DataValue(ua.Variant(2**53 + i, V.UInt64)) for i in range(20)]
    columns = read_reply(read_response(values), 20)
    assert dict(columns.objects) == {i: 2**53 + i for i in range(1, 20)}
    assert math.isclose(columns.values[1], 2**53)
