"""The paho door against real brokers, spoiled lines and hostile servers."""

import asyncio
import contextlib
import ssl
import subprocess

import pytest

from edgetwin.core.plan import MqttSettings
from edgetwin.upstream.mqtt import MqttLink
from edgetwin.upstream.mqtt_dial import Message
from edgetwin.upstream.mqtt_refusal import LinkLost, Refused

WILL = Message("edgetwin/gw/status", b'{"v":1,"status":"offline","cause":"lost"}', retain=True)


def settings(port, **more):
    given = {"tls": False, "client_id": "link", "keepalive_s": 1, **more}
    return MqttSettings(given.pop("host", "127.0.0.1"), port, **given)


@contextlib.asynccontextmanager
async def linked(wanted):
    acks: asyncio.Queue[int] = asyncio.Queue()
    link = MqttLink(wanted, acks.put_nowait)
    link.acks = acks
    try:
        await link.connect(WILL)
        yield link
    finally:
        link.close()


@contextlib.asynccontextmanager
async def server(serve, **more):
    """A TCP server that answers as a test says."""
    tasks = set()

    async def keep(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(keep, "127.0.0.1", 0, **more)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def refusal(wanted, kind=LinkLost):
    link = MqttLink(wanted, print)
    with pytest.raises(kind) as caught:
        await link.connect(WILL)
    link.close()
    assert isinstance(caught.value, kind)
    return str(caught.value)


@pytest.mark.broker
async def test_each_message_is_acknowledged_and_arrives(mosquitto, upstream_rig):
    subscriber = upstream_rig.Subscriber(mosquitto.port)
    async with linked(settings(mosquitto.port)) as link:
        tokens = {
            link.publish(Message("t/x", b'{"v":1,"stream":"s","seq":%d}' % n))
            for n in range(1, 101)
        }
        async with asyncio.timeout(5):
            assert {await link.acks.get() for _ in tokens} == tokens
            await link.settled()
    assert await subscriber.saw(lambda ledger: len(ledger.records["s"]) == 100)
    assert not subscriber.ledger.holes()
    subscriber.close()


@pytest.mark.broker
async def test_last_will_is_published_when_the_line_breaks_and_not_after_goodbye(
    mosquitto, upstream_rig
):
    subscriber = upstream_rig.Subscriber(mosquitto.port)
    proxy = upstream_rig.Proxy(mosquitto.port)
    await proxy.open()
    async with linked(settings(proxy.port)) as link:
        proxy.cut()
        with pytest.raises(LinkLost, match="hung up, or the line broke"):
            await asyncio.wait_for(link.lost(), 5)
        assert await subscriber.saw(lambda ledger: "status" in ledger.retained)
    subscriber.ledger.retained.clear()
    async with linked(settings(proxy.port)) as link:
        link.publish(Message("t/bye", b'{"v":1,"bye":1}'))
        await asyncio.wait_for(link.settled(), 5)
    assert await subscriber.saw(lambda ledger: "bye" in ledger.retained)
    assert "status" not in subscriber.ledger.retained
    await proxy.close()
    subscriber.close()


@pytest.mark.broker
async def test_line_that_swallows_everything_is_noticed_in_two_keepalives(mosquitto, upstream_rig):
    proxy = upstream_rig.Proxy(mosquitto.port)
    await proxy.open()
    for sends in (True, False):
        async with linked(settings(proxy.port)) as link:
            proxy.swallow = True
            if sends:
                link.publish(Message("t/x", b"lost on the way"))
            with pytest.raises(LinkLost) as why:
                await asyncio.wait_for(link.lost(), 4)
            assert not sends or "has acknowledged nothing for 1 s" in str(why.value)
        proxy.swallow = False
        proxy.cut()
    await proxy.close()


@pytest.mark.broker
async def test_broker_that_ends_ends_the_link_and_can_be_reached_again(mosquitto):
    link = MqttLink(settings(mosquitto.port), print)
    await link.connect(WILL)
    await asyncio.to_thread(mosquitto.stop)
    with pytest.raises(LinkLost):
        await asyncio.wait_for(link.lost(), 5)
    with pytest.raises(LinkLost):
        link.publish(Message("t/x", b"x"))
    assert "nothing listens there" in await refusal(settings(mosquitto.port))
    await asyncio.to_thread(mosquitto.start)
    await link.connect(WILL)
    link.close()


@pytest.mark.broker
async def test_wrong_password_is_told_with_its_cure(upstream_rig, tmp_path):
    password = tmp_path / "password"
    known = tmp_path / "known"
    known.touch()
    broker = upstream_rig.Mosquitto(tmp_path, f"password_file {known}", anonymous=False)
    broker.start()
    try:
        password.write_text("secret\n")
        told = await refusal(settings(broker.port, user="ann", password_file=password), Refused)
        assert "refuses user 'ann'" in told
        assert "'password_file'" in told
        assert "secret" not in told
        password.unlink()
        told = await refusal(settings(broker.port, user="ann", password_file=password), Refused)
        assert "No such file" in told
    finally:
        broker.stop()


async def test_name_that_does_not_exist_is_told():
    told = await refusal(settings(1883, host="no-such-broker.invalid"))
    assert "the name cannot be resolved" in told


async def test_server_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr("edgetwin.upstream.mqtt._CONNECT_S", 0.3)

    async def silent(reader, _writer):
        await reader.read()

    async with server(silent) as port:
        assert "no answer" in await refusal(settings(port))


async def hang_up(_reader, _writer):
    return


async def test_server_that_hangs_up_is_asked_in_both_versions():
    async with server(hang_up) as port:
        told = await refusal(settings(port))
    assert "hangs up on MQTT 5 and on 3.1.1" in told


async def test_broker_of_3_1_1_is_spoken_to_in_3_1_1():
    versions = []

    async def old(reader, writer):
        connect = await reader.readuntil(b"MQTT") + await reader.readexactly(1)
        versions.append(connect[-1])
        writer.write(b"\x20\x02\x00" + (b"\x00" if connect[-1] == 4 else b"\x01"))
        await reader.read()

    async with server(old) as port:
        link = MqttLink(settings(port), print)
        for _ in range(2):
            await link.connect(WILL)
            link.close()
    assert versions == [5, 4, 4], "the second connection knows already"


@pytest.mark.parametrize(
    "junk",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\x00",
        b"\x20\x03\x00\x00\xff",
        b"\xf0\xff\xff\xff\x7f",
        b"\x20\x05\x00\x00\x02\xff\xff",
        b"\x40\x00",
        b"\x00" * 64,
    ],
    ids=["http", "empty", "short", "auth-length", "properties", "puback", "zeros"],
)
async def test_junk_instead_of_an_answer_ends_the_link_only(junk, monkeypatch):
    monkeypatch.setattr("edgetwin.upstream.mqtt._CONNECT_S", 1.0)

    async def spew(reader, writer):
        await reader.read(10)
        writer.write(junk)
        await writer.drain()

    async with server(spew) as port:
        await refusal(settings(port))


async def test_exception_in_a_callback_ends_the_link_and_is_told():
    async def accept(reader, writer):
        await reader.readuntil(b"MQTT")
        writer.write(b"\x20\x03\x00\x00\x00")
        await reader.readuntil(b"boom")
        writer.write(b"\x40\x02\x00\x01")
        await reader.read()

    def fail(_token):
        raise RuntimeError("in the callback")

    async with server(accept) as port:
        link = MqttLink(settings(port), fail)
        await link.connect(WILL)
        link.publish(Message("t/x", b"boom"))
        with pytest.raises(LinkLost, match="in the callback"):
            await asyncio.wait_for(link.lost(), 5)
        link.close()


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (b"\x30\x80\x80\x80\x32" + b"x" * 100_000, "a packet of 104857600 bytes"),
        (b"\x34\x08\x00\x03t/x\x00\x01\x00", "QoS 2, which nobody has asked for"),
    ],
    ids=["100 MiB", "QoS 2"],
)
async def test_broker_that_keeps_to_no_limit_ends_the_link_not_the_memory(packet, words):
    async def flood(reader, writer):
        await reader.readuntil(b"MQTT")
        writer.write(b"\x20\x03\x00\x00\x00" + packet)
        await reader.read()

    async with server(flood) as port:
        link = MqttLink(settings(port), print)
        await link.connect(WILL)
        with pytest.raises(LinkLost, match=words):
            await asyncio.wait_for(link.lost(), 5)
        link.close()


async def test_message_that_the_broker_refuses_counts_as_refused():
    async def deny(reader, writer):
        await reader.readuntil(b"MQTT")
        writer.write(b"\x20\x09\x00\x00\x06\x21\x00\x07\x22\x00\x00")
        await reader.readuntil(b"secret")
        writer.write(b"\x40\x04\x00\x01\x87\x00")
        await reader.read()

    acks = []
    async with server(deny) as port:
        link = MqttLink(settings(port), acks.append)
        await link.connect(WILL)
        assert link.window == 7, "the broker's own limit counts"
        link.publish(Message("t/forbidden", b"secret"))
        with pytest.raises(Refused, match=r"t/forbidden.*Not authorized.*right to write"):
            await asyncio.wait_for(link.lost(), 5)
        link.close()
    assert acks == []


# ---------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """Two authorities; one has signed a certificate for localhost, and one that is out of date."""
    folder = tmp_path_factory.mktemp("pki")

    def openssl(words):
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)

    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    for ca in ("ca", "other"):
        openssl(f"req -x509 {key} -keyout {ca}.key -out {ca}.pem -days 30 -subj /CN={ca}")
    openssl(f"req {key} -keyout server.key -out server.csr -subj /CN=localhost")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    sign = "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names"
    openssl(f"{sign} -days 30 -out server.pem")
    openssl(f"{sign} -days -1 -out expired.pem")
    return folder


@pytest.fixture
async def tls_broker(upstream_rig, tmp_path, pki, request):
    certificate = getattr(request, "param", "server.pem")
    if upstream_rig.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed (Debian: apt install mosquitto)")
    broker = upstream_rig.Mosquitto(
        tmp_path, f"cafile {pki}/ca.pem\ncertfile {pki}/{certificate}\nkeyfile {pki}/server.key"
    )
    broker.start()
    yield broker
    broker.stop()


@pytest.mark.broker
async def test_verified_line_carries_messages_both_ways(tls_broker, pki):
    wanted = settings(tls_broker.port, host="localhost", tls=True, ca_file=pki / "ca.pem")
    async with linked(wanted) as link:
        for n in range(50):
            link.publish(Message("t/x", b"x" * (n * 400)))
        await asyncio.wait_for(link.settled(), 5)


@pytest.mark.broker
async def test_certificate_of_another_name_is_refused(tls_broker, pki):
    told = await refusal(settings(tls_broker.port, tls=True, ca_file=pki / "ca.pem"), Refused)
    assert "for another name than 127.0.0.1" in told


@pytest.mark.broker
async def test_certificate_of_an_unknown_authority_is_refused(tls_broker, pki):
    for ca_file, named in ((pki / "other.pem", "other.pem"), (None, "this system's list")):
        told = await refusal(
            settings(tls_broker.port, host="localhost", tls=True, ca_file=ca_file), Refused
        )
        assert "an authority that is not in" in told
        assert named in told


@pytest.mark.broker
@pytest.mark.parametrize("tls_broker", ["expired.pem"], indirect=True)
async def test_certificate_out_of_date_is_refused(tls_broker, pki):
    told = await refusal(
        settings(tls_broker.port, host="localhost", tls=True, ca_file=pki / "ca.pem"), Refused
    )
    assert "has expired" in told


async def test_authority_file_that_is_missing_is_named(tmp_path):
    told = await refusal(settings(1, tls=True, ca_file=tmp_path / "none.pem"), Refused)
    assert "none.pem" in told


async def test_port_without_tls_is_told():
    async def plain(reader, writer):
        await reader.read(10)
        writer.write(b"\x20\x02\x00\x00")

    async with server(plain) as port:
        assert "TLS" in await refusal(settings(port, tls=True))


async def test_tls_line_without_mqtt_is_told(pki):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pki / "server.pem", pki / "server.key")
    async with server(hang_up, ssl=context) as port:
        wanted = settings(port, host="localhost", tls=True, ca_file=pki / "ca.pem")
        assert "hangs up on MQTT 5 and on 3.1.1" in await refusal(wanted)
