"""The line of a Sparkplug edge node: it also listens, fences what it sent, and leaves by the book.

QoS 0 has no PUBACK. So that nothing is lost on a line that swallows, ``fence`` asks the broker to
cancel a subscription that never was: its UNSUBACK can only come after the broker has taken all that
was sent before it. An unanswered fence ends the line after one keepalive, as any other message.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from edgetwin.core.plan import MqttSettings
from edgetwin.upstream.mqtt import MqttLink
from edgetwin.upstream.mqtt_dial import V5, Message
from edgetwin.upstream.mqtt_refusal import LinkLost, Refused, place

_QOS = 1
_HEADER_BYTES = 64
_DISCONNECT_WITH_WILL = 4  # MQTT 5 §3.14.2.1


class SparkplugLink(MqttLink):
    """A line to a broker that is also listened to.

    ``on_message`` is given topic, payload and whether it was retained; it must not raise.
    """

    def __init__(
        self, settings: MqttSettings, on_message: Callable[[str, bytes, bool], None]
    ) -> None:
        self._replies: dict[int, asyncio.Future[None]] = {}
        super().__init__(settings, lambda _token: None)
        self._hear = on_message
        self._version: MQTTProtocolVersion = V5
        self._next_will: Callable[[], Awaitable[Message]] | None = None
        self._asked = False

    @property
    def busy(self) -> bool:
        """Whether the socket has not yet taken all that was sent."""
        return self._client is not None and self._client.want_write()

    async def join(self, next_will: Callable[[], Awaitable[Message]]) -> None:
        """Reach the broker as ``connect`` does, with a will of its own for each CONNECT.

        Raises:
            LinkLost, Refused: as ``connect``.
        """
        self._next_will, self._asked = next_will, False
        await self.connect(await next_will())

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Listen on these topics at QoS 1; ends when the broker has agreed. Set a deadline.

        Raises:
            LinkLost: the line is down.
            Refused: this user may not listen there.
        """
        wanted = [(topic, _QOS) for topic in topics]
        await self._await_reply(lambda client: client.subscribe(wanted), wanted[0][0])

    def fence(self, topic: str) -> "asyncio.Future[None]":
        """Done once the broker has all that was sent before; ``topic``: one never subscribed.

        Fails with LinkLost when the line is lost first.

        Raises:
            LinkLost: the line is down.
        """
        return self._await_reply(lambda client: client.unsubscribe(topic), topic)

    def publish(self, message: Message) -> int:
        """As ``MqttLink`` does; a message that the broker cannot take ends the line.

        Raises:
            LinkLost: the line is down.
            Refused: the message is larger than the broker's largest packet.
        """
        size = len(message.payload) + len(message.topic) + _HEADER_BYTES
        if size > self.largest:
            raise self._fail(
                Refused(
                    f"{place(self.settings)} takes {self.largest} bytes in one packet, but "
                    f"{message.topic} needs {size}. Raise the broker's limit"
                )
            )
        return super().publish(message)

    def drop(self) -> None:
        """Leave without a word: the broker then publishes the last will."""
        self._detach()

    def close(self) -> None:
        """Say good-bye where possible, in MQTT 5 with the wish that the will be published."""
        if self._client is not None and self._connected and self._version is V5:
            client, reason = (
                self._client,
                ReasonCode(PacketTypes.DISCONNECT, identifier=_DISCONNECT_WITH_WILL),
            )
            if self._why is None:
                self._step(lambda: client.disconnect(reasoncode=reason))
                self._step(client.loop_write)
            self._detach()
            return
        super().close()

    # ------------------------------------------------------------

    async def _connect(self, version: MQTTProtocolVersion, will: Message) -> None:
        if self._asked and self._next_will is not None:
            will = await self._next_will()  # another version, or another node of the broker
        self._asked, self._version = True, version
        await super()._connect(version, will)

    def _attach(self, client: Client) -> None:
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        super()._attach(client)

    def _detach(self) -> None:
        super()._detach()
        self._give_up(self._why or LinkLost(f"{place(self.settings)}: the line was left"))

    def _fail(self, why: LinkLost) -> LinkLost:
        told = super()._fail(why)
        self._give_up(told)
        return told

    def _give_up(self, why: LinkLost) -> None:
        """Nobody will answer any more."""
        replies, self._replies = self._replies, {}
        for reply in replies.values():
            if not reply.done():
                reply.set_exception(why)

    def _await_reply(
        self, ask: Callable[[Client], tuple[MQTTErrorCode, int | None]], topic: str
    ) -> "asyncio.Future[None]":
        if self._client is None or self._why is not None:
            raise self._why or LinkLost(f"{place(self.settings)}: not connected")
        code, token = ask(self._client)
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS or token is None:
            raise self._fail(LinkLost(f"{place(self.settings)}: {code.name}"))
        loop = asyncio.get_running_loop()
        self._replies[token] = reply = loop.create_future()
        self._unacked[token] = (loop.time(), topic)
        self._settled.clear()
        self._watch_writes()
        return reply

    def _answered(self, token: int) -> "asyncio.Future[None] | None":
        self._unacked.pop(token, None)
        if not self._unacked:
            self._settled.set()
        reply = self._replies.pop(token, None)
        return reply if reply is not None and not reply.done() else None

    # ------------------------------------------------------------ paho's callbacks

    def _on_message(self, _c: Client, _u: object, message: MQTTMessage) -> None:
        self._hear(message.topic, bytes(message.payload), message.retain)

    def _on_subscribe(
        self, _c: Client, _u: object, token: int, codes: list[ReasonCode], _p: object
    ) -> None:
        reply = self._answered(token)
        refused = next((code for code in codes if code.is_failure), None)
        if reply is None:
            return
        if refused is None:
            reply.set_result(None)
            return
        reply.set_exception(
            Refused(
                f"{place(self.settings)} does not let this user listen for commands and STATE "
                f"({refused.getName()}). Give it the right to subscribe there"
            )
        )

    def _on_unsubscribe(
        self, _c: Client, _u: object, token: int, _codes: list[ReasonCode], _p: object
    ) -> None:
        reply = self._answered(token)
        if reply is not None:
            reply.set_result(None)
