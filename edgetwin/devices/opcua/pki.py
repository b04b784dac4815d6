"""Certificates: our own, made when missing, and whom we trust.

    pki/own/cert.der  own/key.pem     who we are: give cert.der to the server's trust list
    pki/trusted/*.der                 servers that a person has accepted
    pki/rejected/<thumbprint>.der     servers that came and were not known

A server is trusted when exactly its certificate lies in ``trusted/``; that of an authority there
is not enough.
"""

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID = timedelta(days=5 * 365)
_RENEW_BEFORE = timedelta(days=30)


class CertificateRefused(Exception):
    """A server's certificate is not to be relied on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Our own certificate and key, and the application URI that they name."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    uri: str
    file: Path


def own_identity(pki: Path) -> Identity:
    """Load our certificate; make it when it is missing, damaged or about to expire.

    Takes up to a second.

    Raises:
        OSError: the directory can not be read or written.
    """
    folder = pki / "own"
    folder.mkdir(parents=True, exist_ok=True)
    key_file, file = folder / "key.pem", folder / "cert.der"
    uri = f"urn:{socket.gethostname()}:edgetwin"
    key = _load_key(key_file) or _make_key(key_file)
    certificate = _load_certificate(file)
    if certificate is None or not _serves(certificate, key, uri):
        certificate = _make_certificate(key, uri)
        _write(file, certificate.public_bytes(serialization.Encoding.DER), 0o644)
    return Identity(certificate, key, uri, file)


def check_server(pki: Path, der: bytes, uri: str, host: str, now: datetime) -> str:
    """See whether a server may be relied on; a warning that is no reason to stay away, or "".

    The host name is only warned of (OPC 10000-4 §6.1.3 lets it be suppressed): a person accepted
    this very certificate, and with a bare IP address in the settings it often can not match.

    Raises:
        CertificateRefused: unknown, damaged, not valid today, or made for another application.
        OSError: the directory can not be read or written.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise CertificateRefused("its certificate is damaged. Give the server a new one") from error
    _check_known(pki, certificate)
    _check_time(certificate, now)
    uris, hosts = _names(certificate)
    if uri and uri not in uris:
        raise CertificateRefused(
            f"its certificate is made for {', '.join(uris) or 'no application'}, but it calls "
            f"itself {uri}. "
            "Give the server a certificate with its own application URI"
        )
    if host.lower() not in hosts:
        return (
            f"the certificate names {', '.join(sorted(hosts)) or 'no host'}, not {host}; it is "
            "accepted because it is in trusted/"
        )
    return ""


def thumbprint(certificate: x509.Certificate) -> str:
    """The name by which OPC UA tools know a certificate (SHA-1, OPC 10000-6 §6.2.2)."""
    return certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 (the standard's name, not a protection)


def _check_known(pki: Path, certificate: x509.Certificate) -> None:
    trusted, rejected = pki / "trusted", pki / "rejected"
    trusted.mkdir(parents=True, exist_ok=True)
    if any(_load_certificate(path) == certificate for path in trusted.iterdir()):
        return
    rejected.mkdir(parents=True, exist_ok=True)
    path = rejected / f"{thumbprint(certificate)}.der"
    _write(path, certificate.public_bytes(serialization.Encoding.DER), 0o644)
    raise CertificateRefused(
        f"its certificate ({certificate.subject.rfc4514_string()}, valid until "
        f"{certificate.not_valid_after_utc:%Y-%m-%d}) is not trusted yet. Compare the thumbprint "
        f"{path.stem} with the server's; if it is the same: mv {path} {trusted}{os.sep}"
    )


def _check_time(certificate: x509.Certificate, now: datetime) -> None:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    clock = f"our clock says {now:%Y-%m-%d %H:%M} UTC"
    if now > end:
        raise CertificateRefused(
            f"its certificate expired on {end:%Y-%m-%d %H:%M} UTC ({clock}). Renew it on the "
            "server, or set our clock"
        )
    if now < start:
        raise CertificateRefused(
            f"its certificate is valid only from {start:%Y-%m-%d %H:%M} UTC, and {clock}: "
            f"{(start - now) / timedelta(hours=1):.1f} h too early. Set the clock that is wrong"
        )


def _names(certificate: x509.Certificate) -> tuple[list[str], set[str]]:
    """The application URIs, and the hosts in lower case, that a certificate is made for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [], set()
    hosts = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    hosts |= {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    return names.get_values_for_type(x509.UniformResourceIdentifier), hosts


def _serves(certificate: x509.Certificate, key: rsa.RSAPrivateKey, uri: str) -> bool:
    fresh = certificate.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE
    return fresh and uri in _names(certificate)[0] and certificate.public_key() == key.public_key()


def _load_certificate(path: Path) -> x509.Certificate | None:
    try:
        content = path.read_bytes()
        if content.startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except (OSError, ValueError):
        return None


def _load_key(path: Path) -> rsa.RSAPrivateKey | None:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
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
    _write(path, pem, 0o600)
    return key


def _make_certificate(key: rsa.RSAPrivateKey, uri: str) -> x509.Certificate:
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
    now = datetime.now(UTC)
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
    return builder.sign(key, hashes.SHA256())


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Put a file in place whole, or not at all, with its rights from the first byte on."""
    draft = path.with_suffix(path.suffix + ".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
    draft.replace(path)
