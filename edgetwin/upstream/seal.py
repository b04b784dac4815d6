"""The door to cryptography for what comes from upstream: who has signed it, or nobody knows.

What is signed travels as JWS in its compact form (RFC 7515 §7.1) with Ed25519 (RFC 8037):

    BASE64URL({"alg":"EdDSA","kid":"control-room"}) . BASE64URL(payload) . BASE64URL(signature)

The gateway holds public keys only: who takes over the broker, or this gateway, can forge nothing.
The order is the protection: size, form, header, key, signature, and only then is anybody shown the
payload. The header must be exactly these two members, so there is no algorithm to choose
(RFC 8725 §3.1), no key or address of a key to bring along, nothing critical to understand.

A key file may change while the gateway runs: it is read again when its time or size has changed,
and one that is gone or damaged is a key that is no longer trusted.
"""

import base64
import binascii
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edgetwin.core.errors import ConfigError, EdgetwinError
from edgetwin.core.publickey import LARGEST, NoPublicKey, read_public_key

log = logging.getLogger(__name__)

LARGEST_TOKEN = 4096
_LARGEST_HEADER = 256
_SIGNATURE = 64


class Flaw(StrEnum):
    """Why a token is not opened."""

    TOO_LARGE = "too large"
    FORM = "no signed request"
    HEADER = "wrong header"
    UNKNOWN_KEY = "unknown key"
    SIGNATURE = "wrong signature"
    TOO_MANY = "too many at once"


class Unsealed(EdgetwinError):
    """The token is not what one of the keys has signed; ``flaw`` says why."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(str(flaw))
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class Opened:
    """What was signed. ``kid`` is the key's name here, ``thumbprint`` its own wherever it is."""

    payload: bytes
    kid: str
    thumbprint: str


@dataclass(frozen=True, slots=True)
class _Key:
    public: Ed25519PublicKey
    thumbprint: str


class Verifier:
    """Opens what one of some keys has signed; a key's ``kid`` is the name of its file.

    ``spend``: asked before each check of a signature (which takes 0.1 ms); False: not now.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        largest: int = LARGEST_TOKEN,
        spend: Callable[[], bool] = lambda: True,
    ) -> None:
        """Nothing is read before ``load``."""
        self._files = {file.stem: file for file in files}
        self._largest = largest
        self._spend = spend
        self._keys: dict[str, _Key] = {}
        self._seen: dict[str, object] = {}

    def load(self) -> None:
        """Read every key.

        Raises:
            ConfigError: a file cannot be read, or holds no public key of Ed25519.
        """
        for kid, file in self._files.items():
            try:
                self._keys[kid], self._seen[kid] = _read(file), _stamp(file)
            except OSError as error:
                cause = error.strerror or str(error)
                raise ConfigError(
                    f"key file {file} cannot be read ({cause}). Check path and rights"
                ) from error
            except NoPublicKey as error:
                raise ConfigError(f"key file {file}: {error}") from error

    def refresh(self) -> None:
        """Look for changed key files. What cannot be read any more is trusted no more."""
        for kid, file in self._files.items():
            stamp = _stamp(file)
            if stamp == self._seen.get(kid):
                continue
            self._seen[kid] = stamp
            self._keys.pop(kid, None)
            try:
                self._keys[kid] = _read(file)
            except (OSError, NoPublicKey) as error:
                log.warning("key %s is trusted no more: %s: %s", kid, file, error)
            else:
                log.warning("key %s has changed: %s is used from now on", kid, file)

    def open(self, token: bytes) -> Opened:
        """What was signed, and by which key.

        Raises:
            Unsealed: it is not signed by a key of ours, or not in the one form there is.
        """
        if len(token) > self._largest:
            raise Unsealed(Flaw.TOO_LARGE)
        parts = token.split(b".")
        if len(parts) != 3:
            raise Unsealed(Flaw.FORM)
        header, payload, signature = map(_decode, parts)
        kid = _kid(header)
        key = self._keys.get(kid)
        if key is None:
            raise Unsealed(Flaw.UNKNOWN_KEY)
        if len(signature) != _SIGNATURE:
            raise Unsealed(Flaw.SIGNATURE)
        if not self._spend():
            raise Unsealed(Flaw.TOO_MANY)
        try:
            key.public.verify(signature, token[: token.rindex(b".")])
        except InvalidSignature as error:
            raise Unsealed(Flaw.SIGNATURE) from error
        return Opened(payload, kid, key.thumbprint)


def _read(file: Path) -> _Key:
    with file.open("rb") as source:
        raw = read_public_key(source.read(LARGEST))
    return _Key(Ed25519PublicKey.from_public_bytes(raw), hashlib.sha256(raw).hexdigest())


def _stamp(file: Path) -> object:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _decode(part: bytes) -> bytes:
    """Base64url without padding (RFC 7515 §2), in the one spelling that stands for these bytes."""
    try:
        plain = base64.b64decode(part + b"=" * (-len(part) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unsealed(Flaw.FORM) from error
    if base64.urlsafe_b64encode(plain).rstrip(b"=") != part:
        raise Unsealed(Flaw.FORM)
    return plain


def _kid(header: bytes) -> str:
    """The name of the key, if the header is ``{"alg":"EdDSA","kid":"…"}`` and no more."""
    if len(header) > _LARGEST_HEADER:
        raise Unsealed(Flaw.HEADER)
    try:
        members = json.loads(header.decode("ascii"), object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise Unsealed(Flaw.HEADER) from error
    if not isinstance(members, list) or not all(isinstance(m, tuple) for m in members):
        raise Unsealed(Flaw.HEADER)
    named = dict(members)
    kid = named.get("kid")
    if len(members) != 2 or named.get("alg") != "EdDSA" or not isinstance(kid, str):
        raise Unsealed(Flaw.HEADER)
    return kid
