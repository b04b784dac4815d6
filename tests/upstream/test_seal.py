"""The seal: only what one of our keys has signed, in the one form there is, is opened."""

import base64
import hashlib
import hmac
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.errors import ConfigError
from edgetwin.upstream.seal import Flaw, Unsealed, Verifier


@pytest.fixture
def signer(upstream_signer):
    return upstream_signer.Signer()


@pytest.fixture
def verifier(signer, tmp_path):
    made = Verifier([signer.save(tmp_path)])
    made.load()
    return made


def b64(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def flaw(verifier, token):
    with pytest.raises(Unsealed) as refused:
        verifier.open(token)
    return refused.value.flaw


def test_what_is_signed_is_opened_and_the_key_named(signer, verifier):
    opened = verifier.open(signer.sign(b"anything at all"))
    assert (opened.payload, opened.kid) == (b"anything at all", "control-room")
    assert len(opened.thumbprint) == 64


def test_every_bit_counts(signer, verifier):
    token = signer.sign(b'{"a": 1}')
    for place in range(len(token)):
        for bit in range(8):
            flipped = bytearray(token)
            flipped[place] ^= 1 << bit
            flaw(verifier, bytes(flipped))


def test_every_truncation_is_refused(signer, verifier):
    token = signer.sign(b'{"a": 1}')
    for length in range(len(token)):
        flaw(verifier, token[:length])


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": "control-room"},
        {"alg": "HS256", "kid": "control-room"},
        {"alg": "eddsa", "kid": "control-room"},
        {"alg": "EdDSA"},
        {"kid": "control-room"},
        {"alg": "EdDSA", "kid": "control-room", "crit": ["b64"], "b64": False},
        {"alg": "EdDSA", "kid": "control-room", "jwk": {"kty": "OKP"}},
        {"alg": "EdDSA", "kid": 1},
        {"alg": "EdDSA", "kid": {"a": 1}},
        [["alg", "EdDSA"], ["kid", "control-room"]],
        "EdDSA",
        None,
    ],
)
def test_another_header_is_refused_even_when_it_is_signed(signer, verifier, header):
    token = signer.sign(b"x", json.dumps(header).encode())
    assert flaw(verifier, token) is Flaw.HEADER


def test_headers_that_are_no_json_are_refused(signer, verifier):
    twice = b'{"alg":"none","alg":"EdDSA","kid":"control-room"}'
    for header in (b"", b"{", b"[" * 200, b"\xff", b" " * 300, twice):
        assert flaw(verifier, signer.sign(b"x", header)) is Flaw.HEADER


def test_an_unknown_key_and_another_key_of_the_same_name_are_refused(
    signer, verifier, upstream_signer
):
    assert flaw(verifier, upstream_signer.Signer("other").sign(b"x")) is Flaw.UNKNOWN_KEY
    assert flaw(verifier, upstream_signer.Signer("control-room").sign(b"x")) is Flaw.SIGNATURE
    assert flaw(verifier, upstream_signer.Signer("../control-room").sign(b"x")) is Flaw.UNKNOWN_KEY


def test_the_public_key_is_no_shared_secret(signer, verifier, tmp_path):
    header = b64(json.dumps({"alg": "HS256", "kid": "control-room"}).encode())
    signed = header + b"." + b64(b"x")
    mac = hmac.new((tmp_path / "control-room.pem").read_bytes(), signed, hashlib.sha256).digest()
    assert flaw(verifier, signed + b"." + b64(mac)) is Flaw.HEADER


def test_there_is_one_spelling_of_a_token(signer, verifier):
    token = signer.sign(b"x")
    head, body, mark = token.split(b".")
    for other in (
        token + b"=",
        token + b"\n",
        b" " + token,
        b".".join([head, body + b"==", mark]),
        b".".join([head, body, mark, b""]),
        b".".join([head, body]),
        token.replace(b"-", b"+").replace(b"_", b"/") if {*b"-_"} & {*token} else token + b"+",
    ):
        flaw(verifier, other)


def test_a_large_token_is_not_even_looked_at(signer, verifier):
    assert flaw(verifier, signer.sign(b"x" * 4096)) is Flaw.TOO_LARGE
    assert flaw(verifier, b"." * 100_000_000) is Flaw.TOO_LARGE
    assert flaw(verifier, signer.sign(b"[" * 10**5)) is Flaw.TOO_LARGE


def test_signatures_are_checked_as_often_as_is_allowed(signer, tmp_path):
    allowed = [True, False]
    verifier = Verifier([signer.save(tmp_path)], spend=lambda: allowed.pop(0))
    verifier.load()
    verifier.open(signer.sign(b"x"))
    flaw(verifier, b"strangers do not use it up")
    assert flaw(verifier, signer.sign(b"x")) is Flaw.TOO_MANY
    assert allowed == []


@given(token=st.binary(max_size=300) | st.text('abcAB09-_.={}"', max_size=300).map(str.encode))
def test_nothing_that_is_not_signed_does_anything_but_being_refused(token):
    verifier = Verifier([])
    with pytest.raises(Unsealed):
        verifier.open(token)


def test_a_key_that_is_changed_or_removed_counts_at_the_next_look(
    signer, verifier, upstream_signer, tmp_path
):
    old = signer.sign(b"x")
    fresh = upstream_signer.Signer()
    os.replace(fresh.save(tmp_path), tmp_path / "control-room.pem")
    verifier.refresh()
    assert verifier.open(fresh.sign(b"y")).payload == b"y"
    assert flaw(verifier, old) is Flaw.SIGNATURE
    (tmp_path / "control-room.pem").unlink()
    verifier.refresh()
    assert flaw(verifier, fresh.sign(b"y")) is Flaw.UNKNOWN_KEY
    (tmp_path / "control-room.pem").write_text("broken")
    verifier.refresh()
    assert flaw(verifier, fresh.sign(b"y")) is Flaw.UNKNOWN_KEY


def test_a_key_file_that_cannot_be_used_stops_the_start(tmp_path):
    with pytest.raises(ConfigError, match=r"missing\.pem cannot be read"):
        Verifier([tmp_path / "missing.pem"]).load()
    (tmp_path / "wrong.pem").write_text("hello")
    with pytest.raises(ConfigError, match=r"wrong\.pem: it holds no public key"):
        Verifier([tmp_path / "wrong.pem"]).load()
