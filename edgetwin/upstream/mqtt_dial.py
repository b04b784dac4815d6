"""Up to CONNECT, all of it blocking: files, names, TCP, TLS; and a thread that may wait for it."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar, cast

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgetwin.core.plan import MqttSettings
from edgetwin.upstream.mqtt_refusal import unreadable

T = TypeVar("T")

V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311

_SOCKET_S = 5.0
_LARGEST_INBOUND = 64 << 10


class _Client(Client):
    """paho's client, which holds a broker to what it was told.

    Left alone it fills the memory with whatever a broker in the wrong hands sends: a packet of
    256 MB, or any number of messages of QoS 2, each kept until the broker lets go of it.
    """

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > _LARGEST_INBOUND:
            raise ValueError(f"a packet of {bufsize} bytes; {_LARGEST_INBOUND} are allowed")
        return super()._sock_recv(bufsize)

    def _send_pubrec(self, mid: int) -> MQTTErrorCode:
        raise ValueError(f"message {mid} of QoS 2, which nobody has asked for")


@dataclass(frozen=True, slots=True)
class Message:
    """One message. Of QoS 0 nobody ever says that it arrived; MQTT 3.1.1 tells no content type."""

    topic: str
    payload: bytes
    retain: bool = False
    qos: int = 1
    content_type: str = ""


def dial(settings: MqttSettings, version: MQTTProtocolVersion, will: Message | None) -> Client:
    """A new client, connected as far as TCP, TLS and CONNECT. Blocks; for a thread.

    Raises:
        Refused: one of our own files cannot be used.
        OSError: the broker cannot be reached, or its certificate is not accepted.
    """
    client = _Client(
        CallbackAPIVersion.VERSION2,
        client_id=settings.client_id,
        protocol=version,
        clean_session=None if version is V5 else True,
        reconnect_on_failure=False,
    )
    client.connect_timeout = _SOCKET_S
    client.max_inflight_messages_set(0)  # the office keeps the window; paho shall queue nothing
    if will is not None:
        is_told = version is V5 and will.content_type
        typed = _typed(will.content_type, PacketTypes.WILLMESSAGE) if is_told else None
        client.will_set(will.topic, will.payload, will.qos, will.retain, typed)
    if settings.user:
        client.username_pw_set(settings.user, password(settings))
    if settings.tls:
        client.tls_set_context(tls_context(settings))
    where = (settings.host, settings.port, settings.keepalive_s)
    if version is V5:
        limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own
        limits.MaximumPacketSize = _LARGEST_INBOUND
        client.connect(*where, clean_start=True, properties=limits)
    else:
        client.connect(*where)
    return client


def content_type(message: Message) -> Properties | None:
    """What MQTT 5 is told of a message besides; None: nothing."""
    return _typed(message.content_type, PacketTypes.PUBLISH) if message.content_type else None


@cache
def _typed(kind: str, packet: int) -> Properties:
    """Made once for each of the few types there are: it takes 18 us."""
    told = Properties(packet)  # type: ignore[no-untyped-call]  # paho's own
    told.ContentType = kind
    return told


class _Line(ssl.SSLSocket):
    """A TLS socket that closes itself when the handshake fails: paho 2.2 leaves it open."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 as it is inherited
        """Shake hands, or close."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def exposed(settings: MqttSettings) -> str:
    """What is unsafe about this line, to be told as long as it is; "" for nothing."""
    hosts = (settings.host, *(host for host, _ in settings.others))
    local = all(host in {"localhost", "::1"} or host.startswith("127.") for host in hosts)
    if settings.tls or local:
        return ""
    return "plain text: everybody on the way can read and alter what is sent. Write mqtts://"


def password(settings: MqttSettings) -> str | None:
    """The password, read anew for each connection: a changed file needs no restart.

    Raises:
        Refused: the file cannot be read.
    """
    if settings.password_file is None:
        return None
    try:
        return settings.password_file.read_text().strip()
    except OSError as error:
        raise unreadable(error, f"password file {settings.password_file}", settings) from error


def tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer, name and chain verified; with our own certificate where there is one.

    Raises:
        Refused: a file cannot be read, or is no certificate.
    """
    what = f"authority file {settings.ca_file}"
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _Line
        if settings.cert_file:
            what = f"certificate {settings.cert_file} or its key"
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except OSError as error:  # ssl.SSLError is one too
        raise unreadable(error, what, settings) from error
    return context


async def in_thread(work: Callable[[], T], name: str) -> T:
    """Run blocking work in a daemon thread: a name server that hangs holds up no exit.

    When nobody waits any more, the result is dropped.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("T", result))

    def run() -> None:
        result, failed = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 carried over to the loop, and raised there
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
