"""The byte stream: whole frames in any pieces, and no trust in what cannot be Modbus TCP."""

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetwin.devices.modbus.ask import Ask, Exchange
from edgetwin.devices.modbus.framing import Framer, NotModbus


def frame(tid, data, unit=1, function=3):
    return struct.pack(">HHHBBB", tid, 0, 3 + len(data), unit, function, len(data)) + data


frames = st.lists(
    st.builds(frame, st.integers(1, 200), st.binary(min_size=1, max_size=250)), max_size=6
)


@given(frames, st.data())
def test_any_cut_of_the_stream_gives_the_same_frames(sent, data):
    stream, framer, got = b"".join(sent), Framer(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += framer.feed(stream[:size], ())
        stream = stream[size:]
    assert got == sent


@settings(max_examples=500)
@given(st.lists(st.binary(max_size=300), max_size=4))
def test_any_bytes_are_frames_or_no_modbus_and_never_a_crash(chunks):
    framer = Framer()
    with contextlib.suppress(NotModbus):
        for chunk in chunks:
            for whole in framer.feed(chunk, {1, 2}):
                assert 9 <= len(whole) <= 260
                assert whole[2:4] == b"\0\0"
                assert len(whole) == 6 + int.from_bytes(whole[4:6])


def test_a_frame_with_bytes_behind_it_that_begin_no_other_is_not_used():
    with pytest.raises(NotModbus, match="protocol id"):
        Framer().feed(frame(1, b"\0\1") + b"\xde\xad\xbe\xef", {1})


@pytest.mark.parametrize("awaited", [{9}, set()])
def test_a_broken_off_frame_is_not_filled_from_the_next(awaited):
    framer = Framer()
    framer.request(8, Ask(Exchange(b"", frame(8, b"\0\1\0\2")[2:9], 13)))
    assert framer.feed(frame(8, b"\0\1\0\2")[:-4], {8}) == ()
    with pytest.raises(NotModbus, match="broke off"):
        framer.feed(frame(9, b"\0\3\0\4"), awaited)


@pytest.mark.parametrize("overdue", [False, True])
def test_a_byte_that_may_begin_another_reply_does_not_complete_the_one_before(overdue):
    framer = Framer()
    if overdue:
        framer.expired()
    awaited = {8} if overdue else {8, 9}
    assert framer.feed(frame(8, b"\0\1\0\2")[:-1], awaited) == ()
    with pytest.raises(NotModbus, match="one byte alone"):
        framer.feed(b"\0", awaited)


def test_a_byte_that_can_be_nothing_else_completes_a_reply():
    whole, framer = frame(8, b"\0\1\0\2"), Framer()
    assert framer.feed(whole[:-1], {8}) == ()
    assert framer.feed(whole[-1:], {8}) == (whole,)
