"""Whoever signs requests: keys, tokens, and what a thief of neither can make of them.

Loaded by path, as upstream/rig.py is. Nothing here uses edgetwin.
"""

import base64
import json
import secrets
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def b64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


class Signer:
    """A key pair; ``kid`` is the name of the file that its public half is saved in."""

    def __init__(self, kid: str = "control-room") -> None:
        self.kid = kid
        self._key = Ed25519PrivateKey.generate()
        self._sequence = 0

    def save(self, folder: Path) -> Path:
        """Write the public half; gives the file."""
        form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        file = folder / f"{self.kid}.pem"
        file.write_bytes(self._key.public_key().public_bytes(*form))
        return file

    def sign(self, payload: bytes, header: bytes | None = None) -> bytes:
        """A token over any bytes at all."""
        if header is None:
            header = json.dumps({"alg": "EdDSA", "kid": self.kid}).encode()
        signed = b64(header) + b"." + b64(payload)
        return signed + b"." + b64(self._key.sign(signed))

    def content(self, gateway: str, **more: object) -> dict[str, object]:
        """What a good request says; ``more`` replaces and adds, None takes out."""
        now = time.time_ns() // 1_000_000
        self._sequence = max(self._sequence + 1, now)
        said: dict[str, object] = {
            "gateway": gateway,
            "sequence": self._sequence,
            "nonce": secrets.token_urlsafe(16),
            "issued": now,
            "expires": now + 30_000,
            "by": "Anna, control room",
            **more,
        }
        return {name: value for name, value in said.items() if value is not None}

    def request(self, gateway: str, **more: object) -> bytes:
        """The token of such a request."""
        return self.sign_content(self.content(gateway, **more))

    def sign_content(self, content: dict[str, object]) -> bytes:
        """The token of what ``content`` gave."""
        return self.sign(json.dumps(content).encode())
