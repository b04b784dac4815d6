"""The line of a Sparkplug edge node: it also listens, fences what it sent, and leaves by the book.

QoS 0 has no PUBACK. So that nothing is lost on a line that swallows, ``fence`` asks the broker to
cancel a subscription that never was: its UNSUBACK can only come after the broker has taken all that
was sent before it. An unanswered fence ends the line after one keepalive, as any other message.
"""

import asyncio
from collections.abc import Awaitable, Callable

from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from edgetwin.core.plan import MqttSettings
from edgetwin.upstream.mqtt_dial import V5, Message
from edgetwin.upstream.mqtt_listen import ListeningLink
from edgetwin.upstream.mqtt_refusal import Refused, place

_HEADER_BYTES = 64
_DISCONNECT_WITH_WILL = 4  # MQTT 5 §3.14.2.1


class SparkplugLink(ListeningLink):
    """The line of an edge node. ``on_message`` as that of ``ListeningLink``."""

    def __init__(
        self, settings: MqttSettings, on_message: Callable[[str, bytes, bool], None]
    ) -> None:
        super().__init__(settings, on_message)
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

    async def _connect(self, version: MQTTProtocolVersion, will: Message | None) -> None:
        if self._asked and self._next_will is not None:
            will = await self._next_will()  # another version, or another node of the broker
        self._asked, self._version = True, version
        await super()._connect(version, will)
