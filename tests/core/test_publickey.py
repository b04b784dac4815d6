"""Public keys out of PEM files: the one form there is."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from edgetwin.core.publickey import NoPublicKey, read_public_key

KEY = ed25519.Ed25519PrivateKey.generate()


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_public_key_of_ed25519_is_read():
    raw = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert read_public_key(pem(KEY)) == raw
    assert read_public_key(pem(KEY).replace(b"\n", b"\r\n")) == raw


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no public key"),
        (b"\xff" * 9000, "no public key"),
        (pem(KEY) * 2, "no public key"),
        (pem(KEY).replace(b"\n", b"!\n", 2), "no public key"),
        (pem(ed448.Ed448PrivateKey.generate()), "no public key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "no public key"),
        (
            KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "a private key, which must stay",
        ),
    ],
)
def test_anything_else_is_refused_with_the_cure(content, words):
    with pytest.raises(NoPublicKey, match=words) as refused:
        read_public_key(content)
    assert "openssl" in str(refused.value)
