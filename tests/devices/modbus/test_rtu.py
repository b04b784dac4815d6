"""RTU: the reply is found wherever it stands, and nothing else is ever taken for it."""

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from edgetwin.core.address import Table
from edgetwin.core.blocks import Block
from edgetwin.devices.modbus.ask import Ask, read_exchange, write_exchange
from edgetwin.devices.modbus.debts import Debts
from edgetwin.devices.modbus.rtu import RtuFramer, crc


def read(count, unit=7, first=100):
    return Ask(read_exchange(unit, Block(Table.HOLDING, 3, first, count, range(0))))


def sealed(body):
    return body + crc(body)


def reply(words, unit=7, function=3):
    data = struct.pack(f">{len(words)}H", *words)
    return sealed(bytes([unit, function, len(data)]) + data)


@pytest.fixture
def framer():
    return RtuFramer(0.002, 0.02)


ASK = read(2)
RIGHT = reply([258, 772])
CANONICAL = b"\0\5\0\0\0\7" + RIGHT[:-2]


def fed(framer, *pieces):
    framer.request(5, ASK)
    return [frame for piece in pieces for frame in framer.feed(piece, {5: ASK})]


@given(st.binary(min_size=1, max_size=256))
def test_the_checksum_is_that_of_the_stock_framer(data):
    assert int.from_bytes(crc(data)) == FramerRTU.compute_CRC(data)


def test_a_request_is_the_one_in_the_standard(framer):
    asked = framer.request(1, read(10, unit=1, first=0))
    assert asked.hex() == "01030000000ac5cd"


@given(st.lists(st.integers(1, 8)))
def test_a_reply_in_any_pieces_is_found_and_gets_the_header_of_tcp(sizes):
    pieces, rest = [], RIGHT
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert fed(RtuFramer(0.0, 0.1), *pieces, rest) == [CANONICAL]


@pytest.mark.parametrize(
    "before",
    [b"\0", b"\xff\xff", b"\x07", RIGHT[:5], b"\x07\x03\x04" + bytes(20), read(2).tail[4:] + b"xx"],
    ids=["null", "noise", "unit", "cut", "head", "echo"],
)
def test_what_stands_before_a_reply_does_no_harm(framer, before):
    assert fed(framer, before + RIGHT) == [CANONICAL]
    assert not framer.is_dirty


def test_what_stands_behind_a_reply_is_noticed(framer):
    assert fed(framer, RIGHT + b"\x55") == [CANONICAL]
    assert framer.is_dirty


@pytest.mark.parametrize(
    "other",
    [reply([1, 2], unit=8), reply([1, 2], function=4), reply([1]), reply([1, 2, 3])],
    ids=["unit", "function", "fewer", "more"],
)
def test_a_whole_reply_to_another_request_is_no_answer_and_no_dirt(framer, other):
    assert fed(framer, other) == []
    assert not framer.is_dirty
    assert "another request" in framer.finding()
    assert list(framer.feed(RIGHT, {5: ASK})) == [CANONICAL]


def test_an_exception_is_handed_on(framer):
    refusal = sealed(bytes([7, 0x83, 2]))
    assert fed(framer, refusal) == [b"\0\5\0\0\0\3" + refusal[:-2]]


@settings(max_examples=300)
@given(st.data())
def test_one_to_three_wrong_bits_are_never_an_answer(data):
    bits = data.draw(
        st.lists(st.integers(0, len(RIGHT) * 8 - 1), min_size=1, max_size=3, unique=True)
    )
    spoilt = bytearray(RIGHT)
    for bit in bits:
        spoilt[bit // 8] ^= 1 << bit % 8
    assert fed(RtuFramer(0.0, 0.1), bytes(spoilt)) == []


def test_10000_malformed_frames_are_no_answer_and_no_crash(framer):
    chance = random.Random(1)
    for _ in range(10_000):
        spoilt = bytearray(RIGHT)
        way = chance.randrange(4)
        if way == 0:
            spoilt = bytearray(chance.randbytes(chance.randrange(300)))
        elif way == 1:
            spoilt[chance.randrange(len(RIGHT))] ^= chance.randrange(1, 256)
        elif way == 2:
            del spoilt[chance.randrange(len(RIGHT)) :]
        else:
            spoilt.insert(chance.randrange(1, len(RIGHT)), chance.randrange(256))
            if bytes(spoilt).startswith(RIGHT) or bytes(spoilt).endswith(RIGHT):
                continue
        assert fed(framer, bytes(spoilt)) == []


def test_a_flood_is_not_kept(framer):
    fed(framer, *[bytes([7]) * 4096] * 10)
    assert framer.finding() == "1024 bytes came that are no reply to it"


# ---------------------------------------------------------------- debts


def test_what_looks_like_what_is_owed_is_barred_and_gets_a_fence():
    debts = Debts()
    debts.owe(read(10), until=5.0)
    assert debts.bar(read(10, first=500), now=1.0), "another place, the same look"
    assert not debts.bar(read(11), now=1.0)
    assert not debts.bar(Ask(read_exchange(7, Block(Table.INPUT, 4, 0, 10, range(0)))), now=1.0)
    fence = debts.fence(read(10))
    assert fence is not None
    assert fence.tail == read(1).tail
    debts.owe(Ask(fence), until=6.0)
    assert debts.fence(read(10)).tail == read(2).tail


def test_any_right_reply_settles_all_debts():
    debts = Debts()
    debts.owe(read(10), until=5.0)
    debts.settle()
    assert not debts.bar(read(10), now=1.0)


def test_one_register_has_no_fence_and_waits_until_the_debt_is_old():
    debts = Debts()
    debts.owe(read(1), until=5.0)
    assert debts.fence(read(1)) is None
    assert debts.bar(read(1), now=4.9)
    assert not debts.bar(read(1), now=5.0)


def test_an_echo_names_what_it_answers_and_is_never_barred():
    debts = Debts()
    write = Ask(write_exchange(7, Block(Table.HOLDING, 3, 4, 1, range(0)), b"\0\5"))
    debts.owe(write, until=5.0)
    assert not debts.bar(write, now=1.0)


def test_while_anything_is_owed_an_exception_to_the_same_function_proves_nothing():
    debts = Debts()
    debts.owe(read(10), until=5.0)
    assert debts.doubt(0x83)
    assert not debts.doubt(0x86)
