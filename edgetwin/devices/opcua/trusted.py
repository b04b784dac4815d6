"""Which servers are relied on, and which wait for a person to say so.

    pki/trusted/   certificates of servers, or of authorities; revocation lists (.crl)
    pki/rejected/  <thumbprint>.der of servers that came and were not known

A server is known when exactly its certificate lies in ``trusted/``, or when an authority there has
signed it, itself or by others whose certificates the server shows. A person who accepts a very
certificate accepts its names too; one of an authority must name the host (OPC 10000-4 §6.1.3).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from edgetwin.devices.opcua.pki import load_certificate, names_in, put_file, thumbprint

MOST_WAITING = 50
"""More rejected certificates are not kept: the oldest goes."""
_MOST_STEPS = 5


class CertificateRefused(Exception):
    """A server's certificate is not to be relied on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A certificate as a person compares it."""

    file: Path
    subject: str
    issuer: str
    thumbprint: str
    sha256: str
    start: datetime
    end: datetime
    names: tuple[str, ...]


def check_server(pki: Path, shown: bytes, uri: str, host: str, now: datetime) -> str:
    """See whether a server may be relied on; a warning that is no reason to stay away, or "".

    ``shown`` is its certificate, and behind it those that lead to an authority.

    Raises:
        CertificateRefused: unknown, damaged, revoked, not valid today, or made for another.
        OSError: the directory can not be read or written.
    """
    chain = _split(shown)
    certificate = chain[0]
    known = _trusted(pki)
    in_person = certificate in known
    if not in_person and not _signed(certificate, chain[1:], known, now):
        raise CertificateRefused(_unknown(certificate, _put_aside(pki, certificate)))
    _check_time(certificate, now)
    _check_revoked(pki, certificate, known)
    return _check_names(pki, certificate, uri, host, in_person=in_person)


def _check_names(
    pki: Path, certificate: x509.Certificate, uri: str, host: str, *, in_person: bool
) -> str:
    uris, hosts = names_in(certificate)
    if uri and uri not in uris:
        raise CertificateRefused(
            f"its certificate is made for {', '.join(uris) or 'no application'}, but it calls "
            f"itself {uri}. "
            "Give the server a certificate with its own application URI"
        )
    if host.lower() in hosts:
        return ""
    named = f"names {', '.join(sorted(hosts)) or 'no host'}, not {host}"
    if in_person:
        return f"the certificate {named}; it is accepted because it is in trusted/"
    path = _put_aside(pki, certificate)
    raise CertificateRefused(
        f"its certificate is signed by an authority that is trusted, but {named}. Give the server "
        f"one with its name, or accept this very certificate: {_command(path)}"
    )


def waiting(pki: Path) -> list[Waiting]:
    """The rejected certificates, the newest first."""
    folder = pki / "rejected"
    files = sorted(folder.glob("*.der"), key=lambda file: -file.stat().st_mtime)
    loaded = [(file, load_certificate(file)) for file in files]
    return [facts(file, certificate) for file, certificate in loaded if certificate]


def facts(file: Path, certificate: x509.Certificate) -> Waiting:
    """What a person compares."""
    uris, hosts = names_in(certificate)
    return Waiting(
        file,
        certificate.subject.rfc4514_string(),
        certificate.issuer.rfc4514_string(),
        thumbprint(certificate),
        certificate.fingerprint(hashes.SHA256()).hex(),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        (*uris, *sorted(hosts)),
    )


def admit(pki: Path, name: str) -> list[Waiting]:
    """Trust the one certificate that ``name`` fits: the beginning of a thumbprint, or a name in it.

    Gives all that it fits: only if that is one, it was moved, and connections use it from now on.
    """
    plain = name.lower().replace(":", "").replace(" ", "")
    found = [each for each in waiting(pki) if plain and _fits(each, plain, name.lower())]
    if len(found) == 1:
        trusted = pki / "trusted"
        trusted.mkdir(parents=True, exist_ok=True)
        found[0].file.replace(trusted / found[0].file.name)
    return found


def _fits(each: Waiting, thumb: str, name: str) -> bool:
    if each.thumbprint.startswith(thumb) or each.sha256.startswith(thumb):
        return True
    return any(name in text.lower() for text in (each.subject, *each.names))


def _split(shown: bytes) -> list[x509.Certificate]:
    """A chain is one DER certificate behind the other (OPC 10000-6 §6.2.6)."""
    chain: list[x509.Certificate] = []
    rest = shown
    try:
        while rest and len(chain) <= _MOST_STEPS:
            length = _der_length(rest)
            chain.append(x509.load_der_x509_certificate(rest[:length]))
            rest = rest[length:]
    except (ValueError, IndexError):
        chain = []
    if not chain:
        raise CertificateRefused("its certificate is damaged. Give the server a new one")
    return chain


def _der_length(data: bytes) -> int:
    """How long the ASN.1 value at the beginning is, its head included (X.690 §8.1.3)."""
    first = data[1]
    if first < 0x80:
        return 2 + first
    digits = first & 0x7F
    return 2 + digits + int.from_bytes(data[2 : 2 + digits], "big")


def _trusted(pki: Path) -> list[x509.Certificate]:
    folder = pki / "trusted"
    folder.mkdir(parents=True, exist_ok=True)
    return [each for path in folder.iterdir() if (each := load_certificate(path))]


def _signed(
    certificate: x509.Certificate,
    shown: Sequence[x509.Certificate],
    known: Sequence[x509.Certificate],
    now: datetime,
) -> bool:
    """Whether a trusted authority has signed it, in at most so many steps."""
    for _ in range(_MOST_STEPS):
        if any(_has_signed(each, certificate, now) for each in known):
            return True
        above = [each for each in shown if _has_signed(each, certificate, now)]
        if not above or above[0] == certificate:
            return False
        certificate = above[0]
    return False


def _has_signed(authority: x509.Certificate, certificate: x509.Certificate, now: datetime) -> bool:
    try:
        limits = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(authority)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature):
        return False
    in_time = authority.not_valid_before_utc <= now <= authority.not_valid_after_utc
    return limits.ca and in_time and _may_sign(authority)


def _may_sign(authority: x509.Certificate) -> bool:
    try:
        usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.key_cert_sign


def _check_revoked(
    pki: Path, certificate: x509.Certificate, known: Sequence[x509.Certificate]
) -> None:
    """By the lists that lie in trusted/, as far as a trusted authority has signed them."""
    for path in (pki / "trusted").glob("*.crl"):
        content = path.read_bytes()
        try:
            is_pem = content.startswith(b"-----BEGIN")
            crl = x509.load_pem_x509_crl(content) if is_pem else x509.load_der_x509_crl(content)
            genuine = any(_signs_list(each, crl) for each in known)
        except (ValueError, TypeError):
            continue
        if genuine and crl.issuer == certificate.issuer:
            entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
            if entry is not None:
                raise CertificateRefused(
                    f"its certificate was revoked on {entry.revocation_date_utc:%Y-%m-%d} "
                    f"({path.name}). Give the server a new one"
                )


def _signs_list(authority: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
    if authority.subject != crl.issuer:
        return False
    return crl.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # a wrong kind of key raises TypeError


def _put_aside(pki: Path, certificate: x509.Certificate) -> Path:
    rejected = pki / "rejected"
    rejected.mkdir(parents=True, exist_ok=True)
    path = rejected / f"{thumbprint(certificate)}.der"
    put_file(path, certificate.public_bytes(Encoding.DER), 0o644)
    for old in sorted(rejected.iterdir(), key=lambda file: -file.stat().st_mtime)[MOST_WAITING:]:
        old.unlink(missing_ok=True)
    return path


def _command(path: Path) -> str:
    return f"edgetwin trust {path.stem[:8]} --state {path.parents[2]}{os.sep}"


def _unknown(certificate: x509.Certificate, path: Path) -> str:
    return (
        f"its certificate ({certificate.subject.rfc4514_string()}, valid until "
        f"{certificate.not_valid_after_utc:%Y-%m-%d}) is not trusted yet. Compare the thumbprint "
        f"{path.stem} with the server's; if it is the same: {_command(path)}"
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
