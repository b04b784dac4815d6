"""One upstream that is listened to: a line of its own, on which requests come and replies go.

Nothing of it is shared with the records of the same upstream: whoever floods the one does not delay
the other. What comes is looked at in the order of its cost, and each refusal is counted:

    retained · size, form, header, key · signature (so many a second) · contents · gateway, clock

Only who has signed gets a reply: strangers cannot make the gateway talk. Where replies go is fixed;
a response topic that a message brings along is not looked at.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edgetwin.core.plan import RequestSettings, UpstreamPlan
from edgetwin.core.reading import Instant
from edgetwin.core.remote import State
from edgetwin.core.request import BadRequest, Flaw, Reply, Request, judge, read, write_reply
from edgetwin.runtime.desk import Desk, Petition
from edgetwin.runtime.tally import Bucket, Tally
from edgetwin.upstream.mqtt_dial import Message
from edgetwin.upstream.mqtt_listen import ListeningLink
from edgetwin.upstream.mqtt_refusal import LinkLost, Refused, place
from edgetwin.upstream.seal import Opened, Unsealed, Verifier

log = logging.getLogger(__name__)

_CHECKS = 200  # signatures a second: 3 % of a core at most
_REPLIES = 100  # that the broker has not acknowledged; more are not sent
_FIRST_WAIT_S, _LONGEST_WAIT_S, _REFUSED_WAIT_S = 1.0, 4.0, 30.0
_ANSWER_S = 10.0
_FAREWELL_S = 0.5
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
        self.connected = False
        self.error = ""
        self._gateway = gateway
        self._settings = settings
        self._desk = desk
        self._now = now
        self._verifier = Verifier(settings.keys, spend=Bucket(_CHECKS, now).spend)
        self._looked = now().mono
        self._request, self._reply = f"{plan.topic}/request", f"{plan.topic}/reply"
        broker = replace(plan.broker, client_id=f"{plan.broker.client_id}-requests")
        self._link = ListeningLink(broker, self._hear, self._acknowledged)
        self._out = 0
        self._wait = _FIRST_WAIT_S
        self._jitter = random.Random()  # noqa: S311 spreads reconnects; nothing secret

    def load(self) -> None:
        """Read the keys.

        Raises:
            ConfigError: one of them cannot be used.
        """
        self._verifier.load()

    def status(self) -> dict[str, Any]:
        """For ``edgetwin status``: plain values only."""
        return {"connected": self.connected, "error": self.error, **self.tally.as_dict()}

    # ------------------------------------------------------------ the line

    async def run(self) -> None:
        """Connect, listen, and connect again, until cancelled."""
        while True:
            lost = await self._live()
            if self.connected or str(lost) != self.error:
                log.warning("upstream %s: requests: %s", self.name, lost)
            self.connected, self.error = False, str(lost)
            self._link.close()
            await asyncio.sleep(self._pause(refused=isinstance(lost, Refused)))

    async def _live(self) -> LinkLost:
        """One connection, from its start to its end; gives the cause of the end."""
        self._out = 0
        try:
            await self._link.connect(None)
            async with asyncio.timeout(_ANSWER_S):
                await self._link.subscribe([self._request])
            self.connected, self.error, self._wait = True, "", _FIRST_WAIT_S
            log.info("upstream %s: listens for requests on %s", self.name, self._request)
            await self._link.lost()
        except LinkLost as lost:
            return lost
        except TimeoutError:
            return LinkLost(f"{place(self._link.settings)} does not answer a subscription")
        raise AssertionError("a line does not end without a cause")

    def _pause(self, *, refused: bool) -> float:
        """How long to wait: twice as long each time, to seconds; half a minute when refused."""
        wait = _REFUSED_WAIT_S if refused else self._wait
        self._wait = min(2 * self._wait, _LONGEST_WAIT_S)
        return wait * self._jitter.uniform(0.75, 1.0)

    async def farewell(self) -> None:
        """Let the last replies arrive, and hang up. Never raises."""
        try:
            if self.connected:
                await asyncio.wait_for(self._link.settled(), _FAREWELL_S)
        except TimeoutError:
            log.info("upstream %s: the last replies are not acknowledged", self.name)
        finally:
            self.connected = False
            self._link.close()

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
        if not self.connected or self._out >= _REPLIES:
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
