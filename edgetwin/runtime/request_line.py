"""One upstream that is listened to: a line of its own, on which requests come and replies go.

Nothing of it is shared with the records of the same upstream: whoever floods the one does not delay
the other. What comes is looked at in the order of its cost, and each refusal is counted:

    retained · size, form, header, key · signature (so many a second) · contents · gateway, clock

Only who has signed gets a reply: strangers cannot make the gateway talk. Where replies go is fixed;
a response topic that a message brings along is not looked at.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from edgetwin.core.plan import RequestSettings, UpstreamPlan
from edgetwin.core.reading import Instant
from edgetwin.core.remote import State
from edgetwin.core.request import BadRequest, Flaw, Reply, Request, judge, read, write_reply
from edgetwin.runtime.desk import Desk, Petition
from edgetwin.runtime.listener import Listener
from edgetwin.runtime.tally import Bucket, Tally
from edgetwin.upstream.mqtt_dial import Message
from edgetwin.upstream.mqtt_listen import ListeningLink
from edgetwin.upstream.mqtt_refusal import LinkLost
from edgetwin.upstream.seal import Opened, Unsealed, Verifier

log = logging.getLogger(__name__)

_CHECKS = 200  # signatures a second: 3 % of a core at most
_REPLIES = 100  # that the broker has not acknowledged; more are not sent
_FAREWELL_S = 0.5
_DISK_S = 5.0
_KEYS_S = 1.0  # so often key files are looked at, when something comes
_MS = 1_000_000


class RequestLine:
    """Listens for the requests of one upstream, and sends the replies."""

    def __init__(
        self,
        plan: UpstreamPlan,
        settings: RequestSettings,
        gateway: str,
        desk: Desk,
        now: Callable[[], Instant],
    ) -> None:
        """Nothing is read or opened before ``load`` and ``run``."""
        self.name = plan.name
        self.tally = Tally(plan.name)
        self._gateway = gateway
        self._settings = settings
        self._desk = desk
        self._now = now
        self._verifier = Verifier(settings.keys, spend=Bucket(_CHECKS, now).spend)
        self._looked = now().mono
        self._request, self._reply = f"{plan.topic}/request", f"{plan.topic}/reply"
        broker = replace(plan.broker, client_id=f"{plan.broker.client_id}-requests")
        self._link = ListeningLink(broker, self._hear, self._acknowledged)
        purpose = f"upstream {plan.name}, requests"
        self._ear = Listener(purpose, self._link, [self._request], begun=self._begun)
        self._out = 0

    def load(self) -> None:
        """Read the keys.

        Raises:
            ConfigError: one of them cannot be used.
        """
        self._verifier.load()

    def status(self) -> dict[str, Any]:
        """For ``edgetwin status``: plain values only."""
        here = {"connected": self._ear.connected, "error": self._ear.error}
        return {**here, **self.tally.as_dict()}

    # ------------------------------------------------------------ the line

    async def run(self) -> None:
        """Listen until cancelled; the line is then left open for ``farewell``."""
        with suppress(TimeoutError):  # what comes earlier would only be refused
            await asyncio.wait_for(self._desk.begun.wait(), _DISK_S)
        await self._ear.run()

    def _begun(self) -> None:
        self._out = 0

    async def farewell(self) -> None:
        """Let the last replies arrive, and hang up. Never raises."""
        try:
            if self._ear.connected:
                await asyncio.wait_for(self._link.settled(), _FAREWELL_S)
        except TimeoutError:
            log.info("upstream %s: the last replies are not acknowledged", self.name)
        finally:
            self._ear.close()

    # ------------------------------------------------------------ what comes

    def _hear(self, topic: str, content: bytes, retained: bool) -> None:  # noqa: FBT001 - as the link gives it
        """A message from the broker. Never raises; who sent it is not known yet."""
        if topic != self._request:
            return  # a broker that sends what was not asked for
        self.tally.heard += 1
        if retained:
            self.tally.refuse(Flaw.RETAINED, "nobody says when it was meant")
            return
        self._look_for_keys()
        try:
            opened = self._verifier.open(content)
            request = read(opened.payload)
        except Unsealed as error:
            self.tally.refuse(error.flaw)
        except BadRequest as error:
            self.tally.refuse(error.flaw, str(error))
        else:
            self._consider(opened, request)

    def _consider(self, opened: Opened, request: Request) -> None:
        try:
            judge(request, self._gateway, self._settings.expiry, self._now())
        except BadRequest as error:
            self.tally.refuse(error.flaw, str(error))
            if error.flaw is not Flaw.OTHER_GATEWAY:  # then the answer is not ours to give
                text = f"{error.flaw}: {error}"
                self._answer(
                    Reply(opened.kid, request.sequence, request.nonce, State.INVALID, text)
                )
            return
        self._desk.take(
            Petition(
                upstream=self.name,
                key=opened.thumbprint,
                kid=opened.kid,
                sequence=request.sequence,
                nonce=request.nonce,
                issued=request.issued,
                expires=request.expires * _MS,
                by=request.by,
                wanted=request.wanted,
                answer=self._answer,
                tally=self.tally,
            )
        )

    def _look_for_keys(self) -> None:
        mono = self._now().mono
        if mono - self._looked >= _KEYS_S * 1e9:
            self._looked = mono
            self._verifier.refresh()

    # ------------------------------------------------------------ what goes

    def _answer(self, reply: Reply) -> None:
        """Send a reply, if the line takes it: a reply that is late is of no use to anybody."""
        if not self._ear.connected or self._out >= _REPLIES:
            self.tally.unanswered += 1
            return
        body = write_reply(reply, self._gateway, self._now().wall)
        try:
            self._link.publish(Message(self._reply, body))
        except LinkLost:
            self.tally.unanswered += 1
        else:
            self._out += 1

    def _acknowledged(self, _token: int) -> None:
        self._out -= 1
