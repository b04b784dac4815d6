import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from edgetwin.core.contract.kinds import MESSAGES
from edgetwin.core.contract.schema import schema
from edgetwin.core.encoding import GZIP, PLAIN, compress, expand, read_accept


def accept(*types, **more):
    return json.dumps({"v": 1, "accept": list(types), **more}).encode()


@pytest.mark.parametrize(
    ("payload", "types"),
    [
        (accept(GZIP), {GZIP}),
        (accept(GZIP, PLAIN, "image/png"), {GZIP, PLAIN, "image/png"}),
        (accept(), set()),
        (b"", set()),
    ],
)
def test_what_readers_accept(payload, types):
    assert read_accept(payload) == types


@pytest.mark.parametrize(
    "payload",
    [
        b"gzip",
        b"[]",
        b"null",
        b'{"v":1}',
        b"\xff\xfe",
        b"[" * 900,
        b'{"v":1,"accept":"application/json+gzip"}',
        b'{"v":true,"accept":[]}',
        b'{"v":2,"accept":[]}',
        b'{"v":1,"accept":[1]}',
        accept(GZIP, more=1),
        accept(*["a"] * 17),
        accept("a" * 101),
        accept(GZIP) + b" " * 1000,
    ],
)
def test_anything_else_is_no_such_message(payload):
    assert read_accept(payload) is None


@given(
    st.fixed_dictionaries(
        {"v": st.sampled_from([1, 2, "1"]), "accept": st.lists(st.text(max_size=110), max_size=18)},
        optional={"more": st.none()},
    )
)
def test_what_is_declared_is_what_is_taken(told):
    judge = Draft202012Validator(schema(MESSAGES["accept"]))
    sent = json.dumps(told, ensure_ascii=False).encode(errors="backslashreplace")
    if len(sent) <= 1000:
        assert judge.is_valid(told) == (read_accept(sent) is not None)


@given(st.binary(max_size=1100))
def test_no_bytes_whatever_raise_anything(payload):
    found = read_accept(payload)
    assert found is None or isinstance(found, frozenset)


@given(st.binary(max_size=500).filter(lambda raw: raw[:2] != b"\x1f\x8b"))
def test_what_is_compressed_comes_back_and_what_is_not_stays(payload):
    assert expand(compress(payload)) == payload
    assert expand(payload) == payload
    assert compress(payload) == compress(payload)


WHOLE = compress(b"{}" * 100)


@pytest.mark.parametrize("broken", [WHOLE[:3], WHOLE[:15], WHOLE[:10] + b"\xff" + WHOLE[11:]])
def test_broken_gzip_is_told(broken):
    with pytest.raises(ValueError, match="broken gzip"):
        expand(broken)
