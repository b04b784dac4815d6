"""Certificates and log-in: nobody unknown is let in, and each refusal says what to do."""

import asyncio
import logging
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from edgetwin.core.errors import DeviceLost
from edgetwin.core.plan import Security
from edgetwin.devices.opcua.pki import CertificateRefused, check_server, own_identity, thumbprint

NODE = ["nsu=urn:edgetwin:test:plant;s=Small"]
SERVER_URI = "urn:edgetwin:test:server"
NOW = datetime.now(UTC)


def certificate(
    folder: Path, *, uri: str = SERVER_URI, host: str = "127.0.0.1", start_h: float = -1
) -> bytes:
    """A server's self-signed certificate and key as files; valid for a day from ``start_h`` on."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test server")])
    names = [x509.UniformResourceIdentifier(uri), x509.DNSName(host)]
    start = NOW + timedelta(hours=start_h)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "server.pem").write_bytes(pem)
    der = made.public_bytes(serialization.Encoding.DER)
    (folder / "server.der").write_bytes(der)
    return der


def trust(pki: Path, der: bytes) -> None:
    (pki / "trusted").mkdir(parents=True, exist_ok=True)
    (pki / "trusted" / "server.der").write_bytes(der)


async def value_of(driver, sink) -> float:
    sink.values.clear()
    driver.start_scan(0)
    await sink.until(lambda: 0 in sink.values, "a value")
    return sink.values[0]


async def test_unknown_server_is_rejected_into_a_file_and_connects_when_that_is_moved(
    make, server, tmp_path
):
    der = certificate(tmp_path)
    pki = tmp_path / "pki"
    await server.start("--pki", str(tmp_path))
    driver, sink = make(NODE, server.url, security=Security.SIGN_AND_ENCRYPT, pki=pki)
    with pytest.raises(DeviceLost) as refused:
        await driver.connect()
    rejected = list((pki / "rejected").iterdir())
    assert [path.read_bytes() for path in rejected] == [der]
    assert f"mv {rejected[0]} {pki / 'trusted'}" in str(refused.value)
    assert rejected[0].stem == thumbprint(x509.load_der_x509_certificate(der))
    shutil.move(rejected[0], pki / "trusted")
    await driver.connect()
    assert await value_of(driver, sink) == 42.0


async def test_server_without_the_wanted_protection_says_what_it_offers(
    make, shared_server, tmp_path
):
    await shared_server.start()
    driver, _ = make(NODE, shared_server.url, security=Security.SIGN, pki=tmp_path)
    with pytest.raises(DeviceLost, match=r"it offers None \(None\).*Basic256Sha256"):
        await driver.connect()


async def test_no_security_is_warned_of_once(make, shared_server, caplog):
    await shared_server.start()
    driver, _ = make(NODE, shared_server.url)
    with caplog.at_level(logging.WARNING, "edgetwin"):
        await driver.connect()
        await driver.connect()
    assert sum("'security: none'" in record.getMessage() for record in caplog.records) == 1


async def test_wrong_password_is_named_and_the_right_one_logs_in(make, server, tmp_path):
    trust(tmp_path / "pki", certificate(tmp_path))
    await server.start("--pki", str(tmp_path), "--user", "operator:secret")
    password = tmp_path / "password"
    password.write_text("wrong\n")
    settings = {"security": Security.SIGN_AND_ENCRYPT, "pki": tmp_path / "pki"}
    driver, sink = make(NODE, server.url, user="operator", password_file=password, **settings)
    with pytest.raises(DeviceLost, match=r"refuses user 'operator'.*'password_file'") as refused:
        await driver.connect()
    assert "wrong" not in str(refused.value)
    password.write_text("secret\n")
    await driver.connect()
    assert await value_of(driver, sink) == 42.0


async def test_renewed_channel_goes_on_reading_and_writing(make, server, tmp_path):
    trust(tmp_path / "pki", certificate(tmp_path))
    await server.start("--pki", str(tmp_path))
    settings = {"security": Security.SIGN_AND_ENCRYPT, "pki": tmp_path / "pki"}
    driver, sink = make(NODE, server.url, timeout=400_000_000, **settings)
    await driver.connect()
    session = driver._link._session
    client = session._client
    tokens = {client.uaclient.protocol._connection.security_token.TokenId}
    watch = asyncio.create_task(driver.lost())
    async with asyncio.timeout(10):
        while len(tokens) < 3:
            session._renewed = -(10**18)  # long ago: due at the next beat
            assert await value_of(driver, sink) == 42.0
            await asyncio.wait({watch}, timeout=0.1)
            tokens.add(client.uaclient.protocol._connection.security_token.TokenId)
    assert not watch.done()
    watch.cancel()


def test_own_certificate_is_made_once_and_its_key_is_private(tmp_path):
    first, again = own_identity(tmp_path), own_identity(tmp_path)
    assert first.certificate == again.certificate
    assert (tmp_path / "own" / "key.pem").stat().st_mode & 0o777 == 0o600
    names = first.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [first.uri]


def test_damaged_own_certificate_is_made_anew(tmp_path):
    first = own_identity(tmp_path)
    first.file.write_bytes(b"rust")
    assert own_identity(tmp_path).certificate != first.certificate


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        ({"start_h": -48}, "expired on .*our clock says"),
        ({"start_h": 3}, "valid only from .* 3.0 h too early. Set the clock"),
        ({"uri": "urn:other"}, f"made for urn:other, but it calls itself {SERVER_URI}"),
    ],
)
def test_trusted_but_unusable_certificate_says_why(tmp_path, made, sentence):
    der = certificate(tmp_path, **made)
    trust(tmp_path, der)
    with pytest.raises(CertificateRefused, match=sentence):
        check_server(tmp_path, der, SERVER_URI, "127.0.0.1", NOW)


def test_wrong_host_is_a_warning_of_its_own(tmp_path):
    der = certificate(tmp_path, host="plc-7")
    trust(tmp_path, der)
    assert "names plc-7, not 10.0.0.5" in check_server(tmp_path, der, SERVER_URI, "10.0.0.5", NOW)
    assert check_server(tmp_path, der, SERVER_URI, "PLC-7", NOW) == ""


def test_damaged_certificate_is_refused(tmp_path):
    with pytest.raises(CertificateRefused, match="damaged"):
        check_server(tmp_path, b"no certificate", SERVER_URI, "h", NOW)
