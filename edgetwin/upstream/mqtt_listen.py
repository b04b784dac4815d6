"""A line to a broker that also listens: subscriptions, and what comes by them."""

import asyncio
from collections.abc import Callable, Iterable

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from edgetwin.core.plan import MqttSettings
from edgetwin.upstream.mqtt import MqttLink
from edgetwin.upstream.mqtt_refusal import LinkLost, Refused, place

_QOS = 1


class ListeningLink(MqttLink):
    """A line to a broker that is also listened to.

    ``on_message`` is given topic, payload and whether it was retained; it must not raise.
    """

    def __init__(
        self,
        settings: MqttSettings,
        on_message: Callable[[str, bytes, bool], None],
        on_ack: Callable[[int], None] = lambda _token: None,
    ) -> None:
        self._replies: dict[int, asyncio.Future[None]] = {}
        super().__init__(settings, on_ack)
        self._hear = on_message

    async def subscribe(self, topics: Iterable[str], qos: int = _QOS) -> None:
        """Listen on these topics; ends when the broker has agreed. Set a deadline.

        Raises:
            LinkLost: the line is down.
            Refused: this user may not listen there.
        """
        wanted = [(topic, qos) for topic in topics]
        await self._await_reply(lambda client: client.subscribe(wanted), wanted[0][0])

    # ------------------------------------------------------------

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
                f"{place(self.settings)} does not let this user listen for commands and requests "
                f"({refused.getName()}). Give it the right to subscribe there"
            )
        )

    def _on_unsubscribe(
        self, _c: Client, _u: object, token: int, _codes: list[ReasonCode], _p: object
    ) -> None:
        reply = self._answered(token)
        if reply is not None:
            reply.set_result(None)
