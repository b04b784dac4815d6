"""Who a device says it is: replies whose length only they know, on both framings, and hostile."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from edgetwin.devices.modbus.identity import extent, identity_exchange, identity_of, objects
from edgetwin.devices.modbus.inquiry import _WhoQuestion
from edgetwin.devices.modbus.rtu import RtuFramer, crc

parts = st.dictionaries(st.integers(0, 2), st.binary(max_size=60), max_size=3)


def reply_of(held, more=0, following=0):
    listed = b"".join(bytes([number, len(raw)]) + raw for number, raw in held.items())
    return bytes([7, 43, 14, 1, 1, more, following, len(held)]) + listed


class Question(_WhoQuestion):
    def __init__(self):
        self.tail, self.head, self.size = identity_exchange(7)


def test_the_request_is_that_of_the_specification():
    assert identity_exchange(7, 2).tail == b"\0\0\0\5\7\x2b\x0e\1\2"


@given(parts, st.integers(0, 200))
def test_the_length_is_that_of_the_reply_or_not_known_yet(held, cut):
    reply = reply_of(held)
    assert extent(reply) == extent(reply + b"more") == len(reply)
    assert extent(reply[:cut]) in (0, len(reply))


@given(parts, st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_on_rtu_it_is_found_however_it_is_cut(held, cuts):
    reply = reply_of(held)
    stream, framer, question = reply + crc(reply), RtuFramer(0.0, 0.0), Question()
    frames = []
    for size in cuts:
        frames += framer.feed(stream[:size], {1: question})
        stream = stream[size:]
    frames += framer.feed(stream, {1: question})
    assert [frame[6:] for frame in frames] == [reply]


@given(parts)
def test_on_tcp_it_fits_when_its_length_is_that_of_the_frame(held):
    reply = reply_of(held)
    head = b"\0\1" + struct.pack(">HH", 0, len(reply))
    assert Question().fits(head + reply)
    assert not Question().fits(head + reply + b"\0")
    assert not Question().fits(head + reply[:-1])
    assert not Question().fits(head + bytes([8]) + reply[1:])


@given(st.binary(max_size=255))
def test_no_bytes_make_it_fail(data):
    assert 0 <= extent(data) <= len(data) + 510
    frame = bytes(6) + data
    if Question().fits(frame):
        objects(data)


def test_what_a_device_calls_itself_cannot_move_the_cursor_of_a_terminal():
    found, following = objects(reply_of({0: b"AC\x1b[2JME\0rest", 2: "Ü1".encode()}, 0xFF, 3))
    assert following == 3
    assert identity_of(found).words == "AC[2JME Ü1"
