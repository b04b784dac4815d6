"""``edgetwin trust``: what waits is shown so that a person can compare it, and let in by name."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from edgetwin.cli import main
from edgetwin.devices.opcua.pki import own_identities
from edgetwin.devices.opcua.trusted import CertificateRefused, check_server

NOW = datetime.now(UTC)


@pytest.fixture
def met(tmp_path):
    """met(name, **) makes the gateway meet a server whose certificate it does not know."""

    def meet(name: str, days: int = 1) -> bytes:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        end = NOW + timedelta(days=days)
        builder = x509.CertificateBuilder(subject, subject, key.public_key(), 7)
        builder = builder.not_valid_before(end - timedelta(days=9)).not_valid_after(end)
        names = [x509.UniformResourceIdentifier(f"urn:{name}"), x509.DNSName(f"{name}.local")]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        der = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
        with pytest.raises(CertificateRefused):
            check_server(tmp_path / "pki", der, f"urn:{name}", f"{name}.local", NOW)
        return der

    return meet


def trust(tmp_path, *words: str) -> int:
    return main(["trust", *words, "--state", str(tmp_path)])


def test_what_waits_is_shown_with_all_that_a_person_compares(met, tmp_path, capsys):
    met("press")
    met("oven", days=-1)
    (own,) = own_identities(tmp_path / "pki", NOW)
    assert trust(tmp_path) == 0
    out = capsys.readouterr().out
    for text in ("CN=press", "issued by   itself", "urn:press, press.local", "SHA-256"):
        assert text in out
    assert "(expired, by our clock)" in out
    assert f"Our own certificate, for the servers' trust lists: {own.file}" in out


def test_name_lets_one_in_and_it_is_relied_on_at_once(met, tmp_path, capsys):
    press = met("press")
    met("oven")
    assert trust(tmp_path, "press") == 0
    assert "it needs no restart" in capsys.readouterr().out
    assert check_server(tmp_path / "pki", press, "urn:press", "press.local", NOW) == ""
    assert trust(tmp_path) == 0
    assert "press" not in capsys.readouterr().out


def test_name_that_fits_none_or_several_lets_nobody_in(met, tmp_path, capsys):
    met("press")
    met("oven")
    assert trust(tmp_path, "nobody") == 1
    assert trust(tmp_path, ".local") == 1
    assert "fits 2. Write more of the thumbprint" in capsys.readouterr().err
    assert len(list((tmp_path / "pki" / "rejected").iterdir())) == 2


def test_nothing_waits(tmp_path, capsys):
    assert trust(tmp_path) == 0
    assert "No server's certificate waits." in capsys.readouterr().out
