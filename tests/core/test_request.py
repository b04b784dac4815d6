"""Requests: read strictly whatever it is, judged by gateway and clock."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.plan import SECOND, Mode
from edgetwin.core.reading import Instant
from edgetwin.core.remote import State
from edgetwin.core.request import (
    BadRequest,
    Flaw,
    ModeWanted,
    Reply,
    Request,
    WriteWanted,
    judge,
    read,
    write_reply,
)

GOOD = {
    "gateway": "gw",
    "sequence": 17,
    "nonce": "abcdefghijklmnop",
    "issued": 1_000_000,
    "expires": 1_020_000,
    "by": "Anna",
    "write": {"tag": "skid/speed", "value": 1200},
}
WHOLE = b'"value": 1200'


def said(**more):
    content = {**GOOD, **more}
    return json.dumps({k: v for k, v in content.items() if v is not ...}).encode()


def at(wall_ms):
    return Instant(0, wall_ms * 1_000_000)


def test_a_write_is_read():
    found = read(said())
    assert found == Request(
        "gw", 17, "abcdefghijklmnop", 1_000_000, 1_020_000, "Anna", WriteWanted("skid/speed", 1200)
    )
    assert isinstance(found.wanted.value, float)


def test_an_array_is_read_as_its_values():
    payload = said().replace(WHOLE, b'"value": [0, -1.5, 3]')
    assert read(payload).wanted.value == (0.0, -1.5, 3.0)


def test_a_text_is_read_as_it_is():
    assert read(said(write={"tag": "a", "value": "läuft"})).wanted.value == "läuft"


@pytest.mark.parametrize("mode", Mode)
def test_a_mode_is_read(mode):
    wanted = {"loop": "pressure", "mode": str(mode)}
    assert read(said(write=..., loop=wanted)).wanted == ModeWanted("pressure", mode)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"null", "an object is expected"),
        (b"[" * 1000, "nested deeper"),
        (b"x" * 3073, "3073 bytes"),
        (said().replace(b"Anna", "Änna".encode()), "beside ASCII"),
        (said().replace(b'"by"', b'"by": "Bob", "by"'), "twice"),
        (said().replace(WHOLE, b'"value": NaN'), "NaN is no number"),
        (said().replace(WHOLE, b'"value": -Infinity'), "-Infinity is no number"),
        (said().replace(WHOLE, b'"value": 1e400'), "larger than any"),
        (said().replace(WHOLE, b'"value": 1' + b"0" * 400), "larger than 2"),
        (said().replace(WHOLE, b'"value": 0.' + b"1" * 400), "larger than any"),
        (said().replace(WHOLE, b'"value": [[1]]'), "nested deeper"),
        (said().replace(WHOLE, b'"value": []'), "value is not"),
        (said().replace(WHOLE, b'"value": [1, true]'), "value is not"),
        (said().replace(WHOLE, b'"value": [1, "2"]'), "value is not"),
        (said().replace(WHOLE, b'"value": [' + b"1," * 100 + b"1]"), "value is not"),
        (said(extra=1), "unknown: 'extra'"),
        (said(loop={"loop": "pressure", "mode": "auto"}), "exactly one of"),
        (said(write=...), "exactly one of"),
        (said(nonce=...), "nonce is missing"),
        (said(nonce="short"), "nonce is not"),
        (said(nonce="with spaces here!"), "nonce is not"),
        (said(sequence="17"), "sequence is not"),
        (said(sequence=True), "sequence is not"),
        (said(sequence=17.0), "sequence is not"),
        (said(sequence=0), "sequence is not"),
        (said(sequence=2**53 + 1), "larger than 2"),
        (said(issued=None), "issued is not"),
        (said(by=""), "by is not"),
        (said(by="two\nlines"), "by is not"),
        (said(by="x" * 65), "by is not"),
        (said(write={"tag": "a"}), "value is missing"),
        (said(write={"tag": "a", "value": True}), "value is not"),
        (said(write={"tag": "a", "value": ""}), "value is not"),
        (said(write={"tag": "a", "value": "a\nb"}), "value is not"),
        (said(write={"tag": "a", "value": "a" * 251}), "value is not"),
        (said(write={"tag": "a", "value": None}), "value is not"),
        (said(write={"tag": 1, "value": 1}), "tag is not"),
        (said(write={"tag": "a", "value": 1, "force": 1}), "unknown: 'force'"),
        (said(write=[]), "an object is expected"),
        (said(write=..., loop={"loop": "pressure", "mode": "AUTO"}), "mode is not"),
        (said(write=..., loop={"loop": "pressure", "mode": 2}), "mode is not"),
    ],
)
def test_what_is_not_exactly_a_request_is_refused_with_its_reason(payload, words):
    with pytest.raises(BadRequest, match=words) as refused:
        read(payload)
    assert refused.value.flaw is Flaw.UNREADABLE


@pytest.mark.parametrize("opens", [b"[", b'{"a":', b'{"write":['])
def test_brackets_a_hundred_thousand_deep_are_refused_before_they_are_parsed(opens):
    with pytest.raises(BadRequest, match="bytes are more than"):
        read(opens * 10**5)
    with pytest.raises(BadRequest, match="nested deeper"):
        read((opens * 10**5)[:3000])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_do_anything_but_being_refused(payload):
    with pytest.raises(BadRequest):
        read(payload)


@given(st.dictionaries(st.sampled_from([*GOOD, "loop", "x"]), JSON))
def test_a_request_with_anything_in_its_members_is_refused_or_well_formed(changed):
    try:
        found = read(json.dumps({**GOOD, **changed}).encode())
    except BadRequest:
        return
    assert type(found.sequence) is int
    assert found.by.isprintable()
    if isinstance(found.wanted, WriteWanted):
        assert type(found.wanted.value) is float
        assert math.isfinite(found.wanted.value)


@given(st.integers(0, len(said()) - 1), st.integers(0, 7))
def test_a_flipped_bit_gives_another_request_or_a_refusal(place, bit):
    flipped = bytearray(said())
    flipped[place] ^= 1 << bit
    try:
        found = read(bytes(flipped))
    except BadRequest:
        return
    assert isinstance(found, Request)


@pytest.mark.parametrize(
    ("request_", "now", "flaw"),
    [
        (said(), 1_000_000, None),
        (said(), 1_019_999, None),
        (said(), 995_000, None),
        (said(), 994_999, Flaw.FUTURE),
        (said(), 1_020_000, Flaw.EXPIRED),
        (said(expires=1_030_000), 1_000_000, None),
        (said(expires=1_030_001), 1_000_000, Flaw.TOO_LONG_VALID),
        (said(expires=1_000_000), 1_000_000, Flaw.TOO_LONG_VALID),
        (said(expires=1), 1_000_000, Flaw.TOO_LONG_VALID),
        (said(gateway="gw2"), 1_000_000, Flaw.OTHER_GATEWAY),
        (said(gateway="GW"), 1_000_000, Flaw.OTHER_GATEWAY),
    ],
)
def test_a_request_is_for_this_gateway_and_for_now(request_, now, flaw):
    found = read(request_)
    if flaw is None:
        judge(found, "gw", 30 * SECOND, at(now))
        return
    with pytest.raises(BadRequest) as refused:
        judge(found, "gw", 30 * SECOND, at(now))
    assert refused.value.flaw is flaw


def test_a_refusal_by_the_clock_says_how_far_the_clocks_differ():
    with pytest.raises(BadRequest, match="expired 5000 ms ago and was issued 25000 ms ago"):
        judge(read(said()), "gw", 30 * SECOND, at(1_025_000))


def test_a_reply_names_the_request_its_state_and_what_was_read_back():
    reply = Reply("room", 17, "n" * 16, State.APPLIED, "read back", (("read_back", 1200.0),))
    assert json.loads(write_reply(reply, "gw", 5_000_000)) == {
        "v": 1,
        "at": 5,
        "gateway": "gw",
        "key": "room",
        "sequence": 17,
        "nonce": "n" * 16,
        "state": "applied",
        "reason": "read back",
        "read_back": 1200.0,
    }
