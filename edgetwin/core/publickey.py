"""A public key of Ed25519 in its PEM file (RFC 8410), taken apart without a library.

Such a key has one form only: twelve fixed bytes that say "Ed25519", and the 32 bytes of the key.
"""

import base64
import binascii
import re

_FIXED = bytes.fromhex("302a300506032b6570032100")
_SIZE = 32
_PEM = re.compile(r"\s*-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*")
LARGEST = 4096
"""Bytes of a file that may hold one; a real one has 113."""


class NoPublicKey(ValueError):
    """The file holds something else. The message says what, and how to make the right thing."""


def read_public_key(pem: bytes) -> bytes:
    """The 32 bytes of the one key in a PEM file.

    Raises:
        NoPublicKey: there is none, or one of another kind.
    """
    text = pem[:LARGEST].decode("ascii", "replace")
    if "PRIVATE KEY" in text:
        raise NoPublicKey(
            "it holds a private key, which must stay with whoever signs. Take its public half: "
            "openssl pkey -in PRIVATE -pubout -out PUBLIC"
        )
    match = _PEM.fullmatch(text)
    try:
        der = base64.b64decode("".join(match[1].split()), validate=True) if match else b""
    except binascii.Error:
        der = b""
    if len(der) != len(_FIXED) + _SIZE or not der.startswith(_FIXED):
        raise NoPublicKey(
            "it holds no public key of Ed25519 in PEM. Make a pair: openssl genpkey -algorithm "
            "ed25519 -out PRIVATE, then openssl pkey -in PRIVATE -pubout -out PUBLIC"
        )
    return der[len(_FIXED) :]
