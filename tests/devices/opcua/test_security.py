"""Certificates and log-in: nobody unknown is let in, and each refusal says what to do."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from edgetwin.core.errors import DeviceLost
from edgetwin.core.plan import Security
from edgetwin.devices.opcua import session, trusted
from edgetwin.devices.opcua.pki import own_identities, thumbprint
from edgetwin.devices.opcua.trusted import CertificateRefused, admit, check_server, waiting

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


async def test_unknown_server_is_rejected_into_a_file_and_connects_when_that_is_trusted(
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
    thumb = thumbprint(x509.load_der_x509_certificate(der))
    assert f"edgetwin trust {thumb[:8]} --state {tmp_path}" in str(refused.value)
    assert rejected[0].stem == thumb
    assert [each.thumbprint for each in admit(pki, thumb[:8])] == [thumb]
    assert waiting(pki) == []
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
    (first,), (again,) = own_identities(tmp_path, NOW), own_identities(tmp_path, NOW)
    assert first.certificate == again.certificate
    assert (tmp_path / "own" / "key.pem").stat().st_mode & 0o777 == 0o600
    names = first.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [first.uri]


def test_damaged_own_certificate_is_made_anew(tmp_path):
    (first,) = own_identities(tmp_path, NOW)
    first.file.write_bytes(b"rust")
    assert own_identities(tmp_path, NOW)[0].certificate != first.certificate


def test_new_own_certificate_is_there_before_the_old_one_ends_and_takes_its_place(tmp_path):
    (old,) = own_identities(tmp_path, NOW)
    end = old.certificate.not_valid_after_utc
    coming, still = own_identities(tmp_path, end - timedelta(days=60))
    assert still.certificate == old.certificate
    assert coming.file.name == "next.der"
    assert coming.key.private_numbers() == old.key.private_numbers()
    again, _ = own_identities(tmp_path, end - timedelta(days=1))
    assert again.certificate == coming.certificate
    (new,) = own_identities(tmp_path, end + timedelta(days=1))
    assert (new.certificate, new.file) == (coming.certificate, old.file)


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


class Authority:
    """Signs servers' certificates, or those of an authority below it."""

    def __init__(self, name: str, above: "Authority | None" = None, *, ca: bool = True) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = self.sign_for(self.name, self.key, above or self, ca=ca)

    def sign_for(self, name, key, by: "Authority", *names: x509.GeneralName, ca: bool):
        made = (
            x509.CertificateBuilder(by.name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return made.sign(by.key, hashes.SHA256())

    def server(self, host: str = "plc-7") -> x509.Certificate:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
        names = [x509.UniformResourceIdentifier(SERVER_URI), x509.DNSName(host)]
        return self.sign_for(name, key, self, *names, ca=False)


def der(*chain: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.DER) for each in chain)


def test_server_signed_by_a_trusted_authority_is_let_in_for_its_own_host(tmp_path):
    root = Authority("root")
    trust(tmp_path, der(root.certificate))
    assert check_server(tmp_path, der(root.server()), SERVER_URI, "plc-7", NOW) == ""
    with pytest.raises(CertificateRefused, match=r"names plc-7, not plc-8.*edgetwin trust"):
        check_server(tmp_path, der(root.server()), SERVER_URI, "plc-8", NOW)


def test_chain_that_the_server_shows_leads_to_the_authority(tmp_path):
    root = Authority("root")
    plant = Authority("plant", root)
    trust(tmp_path, der(root.certificate))
    chain = der(plant.server(), plant.certificate)
    assert check_server(tmp_path, chain, SERVER_URI, "plc-7", NOW) == ""
    with pytest.raises(CertificateRefused, match="not trusted yet"):
        check_server(tmp_path, der(plant.server()), SERVER_URI, "plc-7", NOW)


def test_who_is_no_authority_signs_nothing(tmp_path):
    server = Authority("a server with ambitions", ca=False)
    trust(tmp_path, der(server.certificate))
    with pytest.raises(CertificateRefused, match="not trusted yet"):
        check_server(tmp_path, der(server.server()), SERVER_URI, "plc-7", NOW)


def test_authority_of_the_same_name_is_another(tmp_path):
    trust(tmp_path, der(Authority("root").certificate))
    with pytest.raises(CertificateRefused, match="not trusted yet"):
        check_server(tmp_path, der(Authority("root").server()), SERVER_URI, "plc-7", NOW)


def test_revoked_certificate_is_refused_by_the_list_in_the_trust_folder(tmp_path):
    root = Authority("root")
    trust(tmp_path, der(root.certificate))
    bad, good = root.server(), root.server()
    entry = x509.RevokedCertificateBuilder(bad.serial_number, NOW).build()
    builder = x509.CertificateRevocationListBuilder().issuer_name(root.name).last_update(NOW)
    builder = builder.next_update(NOW + timedelta(days=1)).add_revoked_certificate(entry)
    signed = builder.sign(root.key, hashes.SHA256())
    path = tmp_path / "trusted" / "root.crl"
    path.write_bytes(signed.public_bytes(serialization.Encoding.DER))
    assert check_server(tmp_path, der(good), SERVER_URI, "plc-7", NOW) == ""
    with pytest.raises(CertificateRefused, match="revoked on"):
        check_server(tmp_path, der(bad), SERVER_URI, "plc-7", NOW)


def test_rejected_certificates_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(trusted, "MOST_WAITING", 2)
    root = Authority("root")
    for _ in range(4):
        with pytest.raises(CertificateRefused):
            check_server(tmp_path, der(root.server()), SERVER_URI, "plc-7", NOW)
    assert len(waiting(tmp_path)) == 2


@pytest.mark.parametrize("name", ["{thumb}", "test server", SERVER_URI, "127.0.0.1"])
def test_certificate_is_admitted_by_thumbprint_or_name(tmp_path, name):
    made = certificate(tmp_path)
    with pytest.raises(CertificateRefused):
        check_server(tmp_path, made, SERVER_URI, "127.0.0.1", NOW)
    (each,) = waiting(tmp_path)
    spaced = ":".join(each.thumbprint[i : i + 2] for i in range(0, 40, 2)).upper()
    assert admit(tmp_path, "nobody") == []
    assert admit(tmp_path, name.format(thumb=spaced)) == [each]
    assert check_server(tmp_path, made, SERVER_URI, "127.0.0.1", NOW) == ""


async def test_new_own_certificate_that_the_server_does_not_know_yet_costs_no_connection(
    make, server, tmp_path, caplog, monkeypatch
):
    trust(tmp_path / "pki", certificate(tmp_path))
    pki = tmp_path / "pki"
    (old,) = own_identities(pki, NOW)
    (tmp_path / "clients").mkdir()
    (tmp_path / "clients" / "edgetwin.der").write_bytes(old.file.read_bytes())
    await server.start("--pki", str(tmp_path), "--clients", str(tmp_path / "clients"))
    later = old.certificate.not_valid_after_utc - timedelta(days=60)
    monkeypatch.setattr(
        session, "own_identities", lambda folder, now: own_identities(folder, later)
    )
    driver, sink = make(NODE, server.url, security=Security.SIGN_AND_ENCRYPT, pki=pki)
    await driver.connect()
    assert await value_of(driver, sink) == 42.0
    assert f"Put {pki / 'own' / 'next.der'} into the server's trust list" in caplog.text


async def test_user_logs_in_by_certificate_and_a_stranger_does_not(make, server, tmp_path):
    trust(tmp_path / "pki", certificate(tmp_path))
    (tmp_path / "users").mkdir()
    for name in ("operator", "stranger"):
        (tmp_path / name).mkdir()
        certificate(tmp_path / name, uri="urn:user")
    known = (tmp_path / "operator" / "server.der").read_bytes()
    (tmp_path / "users" / "operator.der").write_bytes(known)
    await server.start("--pki", str(tmp_path), "--users", str(tmp_path / "users"))
    settings = {"security": Security.SIGN_AND_ENCRYPT, "pki": tmp_path / "pki"}

    def driver_of(name: str):
        files = {"user_certificate": "server.der", "user_key": "server.pem"}
        return make(
            NODE, server.url, **settings, **{k: tmp_path / name / v for k, v in files.items()}
        )

    driver, sink = driver_of("operator")
    await driver.connect()
    assert await value_of(driver, sink) == 42.0
    driver, _ = driver_of("stranger")
    with pytest.raises(DeviceLost, match=r"refuses the user of .*server\.der"):
        await driver.connect()
