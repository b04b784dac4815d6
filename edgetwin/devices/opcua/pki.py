"""Our own certificate and key, made and renewed by themselves.

pki/own/cert.der  own/key.pem     who we are: give cert.der to the server's trust list
pki/own/next.der                  who we shall be: it is there before the old one ends
"""

import os
import socket
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes as PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID = timedelta(days=5 * 365)
_RENEW_BEFORE = timedelta(days=90)
_making = threading.Lock()  # devices connect side by side, each in a thread of its own


@dataclass(frozen=True, slots=True)
class Identity:
    """Our own certificate and key, and the application URI that they name."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    uri: str
    file: Path


def own_identities(pki: Path, now: datetime) -> tuple[Identity, ...]:
    """Who we are: the certificate to show first, and the one to show to a server that refuses it.

    Made when missing or damaged. Servers trust a very certificate, so a new one is made well before
    the old one ends, and both hold until then: a server that was not told of the new one yet is
    shown the old one. Takes up to a second.

    Raises:
        OSError: the directory can not be read or written.
    """
    with _making:
        return _own(pki / "own", now)


def _own(folder: Path, now: datetime) -> tuple[Identity, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    key_file, file, coming = folder / "key.pem", folder / "cert.der", folder / "next.der"
    uri = f"urn:{socket.gethostname()}:edgetwin"
    key = _load_key(key_file) or _make_key(key_file)
    if _left(coming, key, uri, now) and not _left(file, key, uri, now):
        coming.replace(file)
    left = _left(file, key, uri, now)
    if not left:
        _make_certificate(key, uri, file, now)
    elif left < _RENEW_BEFORE and not _left(coming, key, uri, now):
        _make_certificate(key, uri, coming, now)
    files = [each for each in (coming, file) if _left(each, key, uri, now)]
    loaded = [(each, load_certificate(each)) for each in files]
    return tuple(Identity(own, key, uri, each) for each, own in loaded if own)


def _left(file: Path, key: rsa.RSAPrivateKey, uri: str, now: datetime) -> timedelta:
    """How long a certificate of ours still holds; 0 if it does not, or is not ours."""
    own = load_certificate(file)
    if own is None or uri not in names_in(own)[0] or own.public_key() != key.public_key():
        return timedelta()
    return max(own.not_valid_after_utc - now, timedelta())


def thumbprint(certificate: x509.Certificate) -> str:
    """The name by which OPC UA tools know a certificate (SHA-1, OPC 10000-6 §6.2.2)."""
    return certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 (the standard's name, not a protection)


def names_in(certificate: x509.Certificate) -> tuple[list[str], set[str]]:
    """The application URIs, and the hosts in lower case, that a certificate is made for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [], set()
    hosts = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    hosts |= {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    return names.get_values_for_type(x509.UniformResourceIdentifier), hosts


def load_certificate(path: Path) -> x509.Certificate | None:
    """The certificate in a file, PEM or DER; None if there is none."""
    try:
        content = path.read_bytes()
        if content.startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except (OSError, ValueError):
        return None


def load_key(path: Path) -> PrivateKey:
    """A key in a file, PEM or DER.

    Raises:
        OSError, ValueError, TypeError: there is none, or it needs a password.
    """
    content = path.read_bytes()
    is_pem = content.startswith(b"-----BEGIN")
    load = serialization.load_pem_private_key if is_pem else serialization.load_der_private_key
    return load(content, None)


def _load_key(path: Path) -> rsa.RSAPrivateKey | None:
    try:
        key = load_key(path)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return key if isinstance(key, rsa.RSAPrivateKey) else None


def _make_key(path: Path) -> rsa.RSAPrivateKey:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    put_file(path, pem, 0o600)
    return key


def _make_certificate(key: rsa.RSAPrivateKey, uri: str, file: Path, now: datetime) -> None:
    """A self-signed application instance certificate (OPC 10000-6 §6.2.2)."""
    host = socket.gethostname()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"edgetwin@{host}"[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "edgetwin"),
        ]
    )
    usage = {"digital_signature", "content_commitment", "key_encipherment", "data_encipherment"}
    usage |= {"key_cert_sign"}  # self-signed: it vouches for itself
    flags = ("key_agreement", "crl_sign", "encipher_only", "decipher_only", *usage)
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**{flag: flag in usage for flag in flags}), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), _host_name(host)]),
            critical=False,
        )
    )
    own = builder.sign(key, hashes.SHA256())
    put_file(file, own.public_bytes(serialization.Encoding.DER), 0o644)


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def put_file(path: Path, content: bytes, mode: int) -> None:
    """Put a file in place whole, or not at all, with its rights from the first byte on."""
    draft = path.with_suffix(path.suffix + ".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
    draft.replace(path)
