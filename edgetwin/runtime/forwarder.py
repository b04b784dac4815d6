"""One upstream: its records from the outbox to its broker, in order, each until it is acknowledged.

    wake ─▶ read the next records behind ``sent`` ─▶ publish, a window at most in flight
    PUBACK ─▶ ``acked`` moves over the unbroken front of what was sent; the office saves it

A new connection starts again behind ``acked``. Birth and status are retained and go first.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from edgetwin.core import payload
from edgetwin.core.errors import StorageError
from edgetwin.core.payload import Gap
from edgetwin.core.plan import GatewayPlan, UpstreamPlan
from edgetwin.core.reading import Instant
from edgetwin.storage.outbox import Record
from edgetwin.storage.store import Store
from edgetwin.upstream.mqtt import MqttLink
from edgetwin.upstream.mqtt_dial import Message
from edgetwin.upstream.mqtt_refusal import LinkLost, Refused

log = logging.getLogger(__name__)

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 4.0  # a broker that is back should not be kept waiting
_REFUSED_WAIT_S = 30.0  # nobody mends a password in seconds
_DISK_WAIT_S = 1.0
_FLUSH_S = 1.0
_FAREWELL_S = 1.0
_HEADER_BYTES = 64


@dataclass(slots=True)
class _Flight:
    """What is in flight: token to position, in order of sending."""

    sent: int
    acked: int
    open: dict[int, int] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)

    def take_off(self, token: int, position: int) -> None:
        self.open[token] = self.sent = position

    def land(self, token: int) -> bool:
        """Note a PUBACK; ``acked`` moves as far as nothing before it is still open."""
        if token not in self.open:
            return False
        self.done.add(token)
        while self.open and (first := next(iter(self.open))) in self.done:
            self.acked = self.open.pop(first)
            self.done.discard(first)
        return True


class Forwarder:
    """Keeps one upstream supplied. ``on_gap`` is told of records that its broker can never take."""

    def __init__(
        self,
        plan: UpstreamPlan,
        gateway: GatewayPlan,
        store: Store,
        now: Callable[[], Instant],
        on_gap: Callable[[Gap], None],
    ) -> None:
        self.plan = plan
        self.name = plan.name
        self.connected = False
        self.since = 0
        self.error = ""
        self.landed = 0
        self.refused = 0  # commands: none is listened to
        self._gateway = gateway
        self._store = store
        self._now = now
        self._on_gap = on_gap
        self._link = MqttLink(plan.broker, self._landed)
        self._wake = asyncio.Event()
        self._flight = _Flight(0, 0)
        self._log = ""
        self._wait = _FIRST_WAIT_S
        self._jitter = random.Random()  # noqa: S311 spreads reconnects; nothing secret

    @property
    def acked(self) -> int:
        """The position in the outbox's present log up to which the broker has everything."""
        return self._flight.acked if self._log == self._store.outbox.log else 0

    def wake(self) -> None:
        """There may be something new to send."""
        self._wake.set()

    # ------------------------------------------------------------ the line

    async def run(self) -> None:
        """Connect, send, and connect again, for ever.

        Cancelled, it leaves the line open for ``farewell``.
        """
        while True:
            lost = await self._live()
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
                group.create_task(self._pump(), name=f"{self.name} pump")
        except* LinkLost as lost:
            causes += lost.exceptions
        return next(cause for cause in causes if isinstance(cause, LinkLost))

    def _greet(self) -> None:
        self._flight = _Flight(self.acked, self.acked)
        boot = self._store.outbox.boot
        born = payload.birth(self._gateway.name, boot, self._gateway.tags)
        here = payload.status(
            self._gateway.name, boot, online=True, cause="connected", birth_id=born.id
        )
        self._link.publish(self._retained("birth", born.payload))
        self._link.publish(self._retained("status", here))
        self.connected, self.since, self.error = True, self._now().wall, ""
        log.info("upstream %s: connected, %d records wait", self.name, self._waiting())
        self._wake.set()

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
        return Message(f"{self.plan.topic}/{kind}", content, retain=True)

    # ------------------------------------------------------------ records

    async def _pump(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._send_more()
            except StorageError as error:
                log.debug("upstream %s: %s", self.name, error)  # the office tells it once
                asyncio.get_running_loop().call_later(_DISK_WAIT_S, self._wake.set)

    async def _send_more(self) -> None:
        """Fill the window.

        It is not refilled for every single PUBACK, so that records are read in groups.
        """
        enough = max(1, self._link.window // 2)
        while (room := self._link.window - len(self._flight.open)) >= enough:
            if self._log != self._store.outbox.log:
                self._start_log()
            if self._flight.sent >= self._store.outbox.head:
                return
            records = await self._store.read(self.name, self._flight.sent, room)
            for record in records:
                self._send(record)
            if len(records) < room:
                return

    def _start_log(self) -> None:
        """The first log, or a new one in place of a damaged one: positions begin anew."""
        self._log = self._store.outbox.log
        cursor = self._store.outbox.cursors.get(self.name, 0)
        self._flight = _Flight(cursor, cursor)

    def _send(self, record: Record) -> None:
        topic = f"{self.plan.topic}/{record.kind}"
        content = record.payload
        if len(content) + len(topic) + _HEADER_BYTES > self._link.largest:
            self._skip(record, len(content))
            return
        self._flight.take_off(self._link.publish(Message(topic, content)), record.position)

    def _skip(self, record: Record, size: int) -> None:
        reason = f"{size} bytes are more than the broker takes ({self._link.largest})"
        missing = Gap(record.stream, record.sequence, record.sequence, 1, reason)
        log.error(
            "upstream %s: record %d of %s: %s", self.name, record.sequence, record.stream, reason
        )
        self._on_gap(missing)
        self._flight.take_off(-record.position, record.position)
        self._flight.land(-record.position)

    def _landed(self, token: int) -> None:
        if self._flight.land(token):
            self.landed += 1
        self._wait = _FIRST_WAIT_S
        self._wake.set()

    def _waiting(self) -> int:
        backlog = self._store.outbox.backlog.get(self.name)
        return backlog.records if backlog else 0

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
                while True:
                    before = self._flight.sent
                    await self._send_more()
                    await self._link.settled()
                    if self._flight.sent == before:
                        return
        except TimeoutError:
            log.info("upstream %s: %d records stay in the outbox", self.name, self._waiting())
