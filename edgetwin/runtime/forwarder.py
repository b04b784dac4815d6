"""One upstream: a line to its broker that always comes back, and the sender that goes over it.

connect ─▶ birth, status (retained) ─▶ Sender: records, until the line is lost ─▶ wait, connect
"""

import asyncio
import logging
import random
from collections.abc import Callable

from edgetwin.core import payload
from edgetwin.core.encoding import PLAIN
from edgetwin.core.errors import StorageError
from edgetwin.core.payload import Gap
from edgetwin.core.plan import GatewayPlan, UpstreamPlan
from edgetwin.core.reading import Instant
from edgetwin.runtime.sender import Sender
from edgetwin.storage.store import Store
from edgetwin.upstream.mqtt_dial import Message, exposed
from edgetwin.upstream.mqtt_listen import ListeningLink
from edgetwin.upstream.mqtt_refusal import LinkLost, Refused

log = logging.getLogger(__name__)

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 4.0  # a broker that is back should not be kept waiting
_REFUSED_WAIT_S = 30.0  # nobody mends a password in seconds
_FLUSH_S = 1.0
_FAREWELL_S = 1.0


class Forwarder:
    """Keeps one upstream supplied; ``on_gap`` and ``on_ready`` are its sender's."""

    def __init__(
        self,
        plan: UpstreamPlan,
        gateway: GatewayPlan,
        store: Store,
        now: Callable[[], Instant],
        on_gap: Callable[[Gap], None],
        on_ready: Callable[[], None],
    ) -> None:
        self.plan = plan
        self.name = plan.name
        self.connected = False
        self.since = 0
        self.error = ""
        self.warning = exposed(plan.broker)
        self._gateway = gateway
        self._store = store
        self._now = now
        self._link = ListeningLink(plan.broker, self._hear, self._landed)
        self.sender = Sender(plan, store, self._link, now, on_gap, on_ready)
        self._wait = _FIRST_WAIT_S
        self._jitter = random.Random()  # noqa: S311 spreads reconnects; nothing secret

    @property
    def node(self) -> str:
        """The node of the broker that is, or was last, spoken to."""
        return f"{self._link.settings.host}:{self._link.settings.port}"

    @property
    def refused(self) -> int:
        """How many messages that readers sent mean nothing."""
        return self.sender.packing.ignored

    # ------------------------------------------------------------ the line

    async def run(self) -> None:
        """Connect, send, and connect again, for ever.

        Cancelled, it leaves the line open for ``farewell``.
        """
        while True:
            try:
                lost = await self._live()
            except Exception as error:
                self._down(error)  # nobody foresaw it; who keeps the office starts it again
                self._link.close()
                raise
            self._down(lost)
            self._link.close()
            await asyncio.sleep(self._pause(refused=isinstance(lost, Refused)))

    async def _live(self) -> LinkLost:
        """One connection, from its start to its end; gives the cause of the end."""
        try:
            await self._link.connect(self._will())
            self._greet()
        except LinkLost as lost:
            return lost
        return await self._session()

    async def _session(self) -> LinkLost:
        """Send until the line is lost; gives the cause."""
        causes: list[BaseException] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._link.lost(), name=f"{self.name} line")
                group.create_task(self.sender.pump(), name=f"{self.name} pump")
                if self.sender.packing.offered and self._link.speaks_v5:
                    group.create_task(self._ask_readers(), name=f"{self.name} readers")
        except* LinkLost as lost:
            causes += lost.exceptions
        return next(cause for cause in causes if isinstance(cause, LinkLost))

    async def _ask_readers(self) -> None:
        """Listen for what they accept; who may not listen goes on without."""
        topic = self.sender.packing.topic
        try:
            await self._link.subscribe([topic])
        except Refused:
            text = "upstream %s: this user may not read %s, so nothing is compressed"
            log.warning(text, self.name, topic)

    def _greet(self) -> None:
        self.sender.begin()
        boot = self._store.outbox.boot
        whole = self._gateway
        offered = self.sender.packing.encodings if self._link.speaks_v5 else ()
        born = payload.birth(whole.name, boot, whole.tags, whole.typed, offered)
        here = payload.status(
            self._gateway.name, boot, online=True, cause="connected", birth_id=born.id
        )
        self._link.publish(self._retained("birth", born.payload))
        self._link.publish(self._retained("status", here))
        self.connected, self.since, self.error = True, self._now().wall, ""
        waiting = self.sender.waiting
        log.info("upstream %s: connected to %s, %d records wait", self.name, self.node, waiting)
        if self.warning:
            log.warning("upstream %s: %s", self.name, self.warning)
        self.sender.wake()

    def _down(self, why: BaseException) -> None:
        if self.connected or str(why) != self.error:
            log.warning("upstream %s: %s. Records wait on disk", self.name, str(why).rstrip("."))
            self.since = self._now().wall
        self.connected, self.error = False, str(why)

    def _pause(self, *, refused: bool) -> float:
        """How long to wait: twice as long each time, to seconds; half a minute when refused."""
        wait = _REFUSED_WAIT_S if refused else self._wait
        self._wait = min(2 * self._wait, _LONGEST_WAIT_S)
        return wait * self._jitter.uniform(0.75, 1.0)

    def _will(self) -> Message:
        gone = payload.status(
            self._gateway.name, self._store.outbox.boot, online=False, cause="lost"
        )
        return self._retained("status", gone)

    def _retained(self, kind: str, content: bytes) -> Message:
        return Message(f"{self.plan.topic}/{kind}", content, retain=True, content_type=PLAIN)

    def _hear(self, topic: str, content: bytes, retained: bool) -> None:  # noqa: FBT001 as a link calls it
        self.sender.packing.hear(topic, content, retained)

    def _landed(self, token: int) -> None:
        self._wait = _FIRST_WAIT_S
        self.sender.land(token)

    # ------------------------------------------------------------ the end

    async def farewell(self) -> None:
        """Send what still waits, as far as a second goes; then ``offline``, and hang up.

        Never raises.
        """
        try:
            if self.connected:
                await self._flush()
                gone = payload.status(
                    self._gateway.name, self._store.outbox.boot, online=False, cause="stopped"
                )
                self._link.publish(self._retained("status", gone))
                await asyncio.wait_for(self._link.settled(), _FAREWELL_S)
        except (LinkLost, TimeoutError, StorageError) as error:
            log.info("upstream %s: left without a word (%s)", self.name, error)
        finally:
            self.connected = False
            self._link.close()

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(_FLUSH_S):
                await self.sender.flush()
        except TimeoutError:
            log.info("upstream %s: %d records stay in the outbox", self.name, self.sender.waiting)
