"""The door to paho-mqtt: one line to one broker, on the asyncio loop, without a thread of paho's.

    connect ─▶ (thread: DNS, TCP, TLS, all blocking in paho) ─▶ socket on the loop ─▶ CONNACK
    publish ─▶ on_ack(token) for each PUBACK, in any order
    lost()  ─▶ raises LinkLost once, whatever the cause

paho is given only what is in flight, and a new client for every connection: what was not
acknowledged is sent again from the outbox, never from paho's memory. MQTT 5 is spoken where the
broker knows it, else 3.1.1.

A line that swallows everything is noticed in one keepalive: by the oldest message without PUBACK,
by the missing answer to a ping, or by TCP_USER_TIMEOUT. An exception out of paho's parser ends the
line, never the process.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgetwin.core.plan import MqttSettings
from edgetwin.upstream.cluster import Cluster, none_left
from edgetwin.upstream.mqtt_dial import V5, V311, Message, content_type, dial, in_thread
from edgetwin.upstream.mqtt_refusal import (
    HungUp,
    LinkLost,
    WrongVersion,
    connack,
    place,
    puback,
    unreachable,
)

_CONNECT_S = 10.0
_TICK_S = 1.0
_SLICE_S, _STRANGERS = 0.05, 20
_NO_LIMIT = 268_435_455  # the largest packet MQTT can frame at all


class MqttLink:
    """A line to a broker. Made once, connected as often as it takes.

    ``on_ack``   is given the token of each message that the broker has acknowledged
    ``settings`` those of the node that is, or was last, spoken to
    ``window``   how many messages may be in flight on this connection
    ``largest``  how many bytes the broker takes in one packet
    """

    def __init__(self, settings: MqttSettings, on_ack: Callable[[int], None]) -> None:
        self.settings = settings
        self._cluster = Cluster(settings)
        self.window = settings.in_flight
        self.largest = _NO_LIMIT
        self._on_ack = on_ack
        self._versions: tuple[MQTTProtocolVersion, ...] = (V5, V311)
        self._client: Client | None = None
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reset()

    def _reset(self) -> None:
        self._connected = False
        self._why: LinkLost | None = None
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._unacked: dict[int, tuple[float, str]] = {}
        self._deaf = False
        self._heard = 0
        self._slice = 0.0

    # ------------------------------------------------------------ for the office

    async def connect(self, will: Message | None) -> None:
        """Reach the broker, at the first of its nodes that takes us; ``settings`` is then that one.

        ``will`` is what it publishes for us when the line breaks.

        Raises:
            LinkLost: it cannot be reached.
            Refused: it, or one of our own files, says no.
        """
        whys = []
        for node in self._cluster.in_turn():
            self.settings = node
            try:
                await self._reach(will)
            except LinkLost as why:
                whys.append(why)
            else:
                return
        raise none_left(whys)

    def publish(self, message: Message) -> int:
        """Send a message; its token, for ``on_ack`` (which means nothing for QoS 0).

        Raises:
            LinkLost: the line is down.
        """
        if self._client is None or self._why is not None:
            raise self._why or LinkLost(f"{place(self.settings)}: not connected")
        told = content_type(message) if self.speaks_v5 else None
        info = self._client.publish(
            message.topic, message.payload, message.qos, message.retain, told
        )
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._fail(LinkLost(f"{place(self.settings)}: {info.rc.name}"))
        now = asyncio.get_running_loop().time()
        if message.qos:
            self._unacked[info.mid] = (now, message.topic)
            self._settled.clear()
        self._watch_writes()
        return info.mid

    @property
    def speaks_v5(self) -> bool:
        """Whether this connection is one of MQTT 5, and no older."""
        return self._client is not None and self._client.protocol is V5

    async def settled(self) -> None:
        """Wait until everything published is acknowledged.

        Never ends when the line is lost: set a deadline.
        """
        await self._settled.wait()

    async def lost(self) -> None:
        """Wait for as long as the broker answers.

        Raises:
            LinkLost: the line is down; the message says why.
        """
        while self._why is None:
            self._changed.clear()
            await self._changed.wait()
        raise self._why

    def close(self) -> None:
        """Say good-bye where possible, and let go of the socket. Never raises."""
        if self._client is not None and self._connected and self._why is None:
            self._step(self._client.disconnect)
            self._step(self._client.loop_write)
        self._detach()

    # ------------------------------------------------------------ connecting

    async def _reach(self, will: Message | None) -> None:
        for version in self._versions:
            try:
                await self._connect(version, will)
            except HungUp:
                continue  # it may just be starting: no reason to speak 3.1.1 from now on
            except WrongVersion:
                self._versions = (V311,)
                continue
            return
        self._versions = (V5, V311)
        raise LinkLost(
            f"{place(self.settings)} hangs up on MQTT 5 and on 3.1.1. "
            "Is this an MQTT port, with or without TLS? Does it ask for a client certificate?"
        )

    async def _connect(self, version: MQTTProtocolVersion, will: Message | None) -> None:
        self._detach()
        self._reset()
        try:
            async with asyncio.timeout(_CONNECT_S):
                client = await in_thread(lambda: dial(self.settings, version, will), "mqtt-connect")
                self._attach(client)
                while not self._connected and self._why is None:
                    self._changed.clear()
                    await self._changed.wait()
        except (OSError, ssl.SSLError) as error:
            self._detach()
            raise unreachable(error, self.settings) from error
        except BaseException:
            self._detach()
            raise
        if self._why is not None:
            self._detach()
            raise self._why

    def _attach(self, client: Client) -> None:
        loop = asyncio.get_running_loop()
        self._client = client
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_socket_close = lambda *_: self._unwatch()
        line = client.socket()
        if not isinstance(line, socket.socket):
            raise ConnectionResetError("the broker hung up")
        self._socket = line
        line.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self.settings.keepalive_s * 1000
        )
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.add_reader(line, self._readable)
        self._timer = loop.call_later(_TICK_S, self._tick)
        self._readable()  # TLS may already hold decrypted bytes that no selector will ever announce

    def _detach(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._unwatch()
            self._socket.close()
        self._client = self._socket = self._timer = None

    def _unwatch(self) -> None:
        if self._socket is not None and self._socket.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)

    # ------------------------------------------------------------ on the loop

    def _readable(self) -> None:
        if self._client is None or self._deaf:
            return
        unanswered = len(self._unacked)
        self._step(self._client.loop_read)
        if len(self._unacked) >= unanswered:
            self._hear_strangers()
        while self._is_pending():
            self._step(self._client.loop_read)

    def _is_pending(self) -> bool:
        """Whether TLS holds decrypted bytes, which no selector will ever announce."""
        line = self._socket
        if self._why is not None or self._deaf or not isinstance(line, ssl.SSLSocket):
            return False
        return line.fileno() >= 0 and line.pending() > 0

    def _hear_strangers(self) -> None:
        """What is no PUBACK is heard twenty times in 50 ms; then the line has to wait.

        A broker that is made to flood us costs control nothing but 400 short readings a second.
        """
        loop = asyncio.get_running_loop()
        if loop.time() - self._slice > _SLICE_S:
            self._slice, self._heard = loop.time(), 0
        self._heard += 1
        line, client = self._socket, self._client
        if not self._connected or self._why is not None or line is None or client is None:
            return
        if self._heard >= _STRANGERS or client.want_write():  # answers must not fill the memory
            self._deaf = True
            loop.remove_reader(line)
            loop.call_later(_SLICE_S, self._listen, line)

    def _listen(self, line: socket.socket) -> None:
        if line is self._socket and self._why is None and line.fileno() >= 0:
            self._deaf, self._heard = False, 0
            asyncio.get_running_loop().add_reader(line, self._readable)
            self._readable()

    def _writable(self) -> None:
        if self._client is not None:
            self._step(self._client.loop_write)

    def _tick(self) -> None:
        if self._client is None or self._why is not None:
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_TICK_S, self._tick)
        oldest = next(iter(self._unacked.values()), None)
        if oldest is not None and loop.time() - oldest[0] > self.settings.keepalive_s:
            self._fail(
                LinkLost(
                    f"{place(self.settings)} has acknowledged nothing for "
                    f"{self.settings.keepalive_s} s: the line swallows what is sent"
                )
            )
            return
        self._step(self._client.loop_misc)

    def _step(self, work: Callable[[], MQTTErrorCode]) -> None:
        try:
            code = work()
        except Exception as error:  # noqa: BLE001 paho parses what a stranger sent: any of its errors ends the line
            self._fail(LinkLost(f"{place(self.settings)} sent what MQTT does not know ({error!r})"))
            return
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._fail(LinkLost(f"{place(self.settings)}: the line broke ({code.name})"))
        self._watch_writes()

    def _watch_writes(self) -> None:
        """What the socket takes has been written at once; the rest goes when it is ready."""
        if self._client is None or self._socket is None or self._socket.fileno() < 0:
            return
        loop = asyncio.get_running_loop()
        if self._client.want_write():
            loop.add_writer(self._socket, self._writable)
        else:
            loop.remove_writer(self._socket)

    def _fail(self, why: LinkLost) -> LinkLost:
        """End the line; the first cause is the one told."""
        if self._why is None:
            self._why = why
            self._changed.set()
            self._unwatch()
        return self._why

    # ------------------------------------------------------------ paho's callbacks

    def _on_connect(
        self, _c: Client, _u: object, _f: ConnectFlags, code: ReasonCode, given: Properties | None
    ) -> None:
        if code.is_failure:
            self._fail(connack(code.value, code.getName(), self.settings))
            return
        self.window = min(self.settings.in_flight, getattr(given, "ReceiveMaximum", 65_535))
        self.largest = getattr(given, "MaximumPacketSize", _NO_LIMIT)
        self._connected = True
        self._changed.set()

    def _on_disconnect(
        self, _c: Client, _u: object, flags: DisconnectFlags, code: ReasonCode, _p: object
    ) -> None:
        where = place(self.settings)
        if flags.is_disconnect_packet_from_server:
            self._fail(LinkLost(f"{where} ended the connection: {code.getName()}"))
        elif self._connected:
            self._fail(LinkLost(f"{where} hung up, or the line broke"))
        else:
            self._fail(HungUp(f"{where} hung up before it answered"))

    def _on_publish(self, _c: Client, _u: object, token: int, code: ReasonCode, _p: object) -> None:
        _, topic = self._unacked.pop(token, (0.0, ""))
        if code.is_failure:
            self._fail(puback(code.value, code.getName(), topic, self.settings))
            return
        if not self._unacked:
            self._settled.set()
        self._on_ack(token)
