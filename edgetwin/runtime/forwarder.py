"""One upstream: its records from the outbox to its broker, in order, each until it is acknowledged.

    wake ─▶ read the next records of a lane ─▶ publish, a window at most in flight and unsaved
    PUBACK ─▶ ``acked`` and ``beyond`` move (lanes.py); the office saves them

A new connection starts again behind ``acked``. Birth and status are retained and go first. Who
comes back to more than a few windows asks the office to close all streams, and then sends what is
new as it comes, and the past behind it: at a pace the broker can be asked for, and in what the
live lane leaves of the window.
"""

import asyncio
import logging
import random
from collections.abc import Callable

from edgetwin.core import payload
from edgetwin.core.encoding import PLAIN
from edgetwin.core.errors import StorageError
from edgetwin.core.payload import Gap
from edgetwin.core.plan import SECOND, GatewayPlan, UpstreamPlan
from edgetwin.core.reading import Instant
from edgetwin.runtime.lanes import Lane, Lanes, Pace
from edgetwin.runtime.packing import Packing
from edgetwin.storage.outbox import Done, Record
from edgetwin.storage.store import Store
from edgetwin.upstream.mqtt_dial import Message, exposed
from edgetwin.upstream.mqtt_listen import ListeningLink
from edgetwin.upstream.mqtt_refusal import LinkLost, Refused

log = logging.getLogger(__name__)

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 4.0  # a broker that is back should not be kept waiting
_REFUSED_WAIT_S = 30.0  # nobody mends a password in seconds
_DISK_WAIT_S = 1.0
_FLUSH_S = 1.0
_FAREWELL_S = 1.0
_HEADER_BYTES = 64
_PACE_S = 0.05
_LONG = 5  # windows; a shorter backlog is sent in half a second, and needs no lane of its own
_LEAST_PACE = 200.0  # records a second
_SPEED = 40  # so many times faster than it was made, a backlog is sent
_SHARE = 0.75  # of the window, for the past
_GROUP = 5  # records of the past that are worth a reading


class Forwarder:
    """Keeps one upstream supplied.

    ``on_gap`` is told of records that its broker can never take, ``on_ready`` is called when
    something should be saved soon: ``wants_saving``, ``wants_closing``.
    """

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
        self.landed = 0
        self.warning = exposed(plan.broker)
        self._gateway = gateway
        self._store = store
        self._now = now
        self._on_gap = on_gap
        self._on_ready = on_ready
        self.wants_closing = False
        self._packing = Packing(plan.name, plan.topic, offered=plan.compress)
        self._link = ListeningLink(plan.broker, self._packing.hear, self._landed)
        self._wake = asyncio.Event()
        self._lanes = Lanes(0)
        self._pace = Pace(_LEAST_PACE)
        self._log = ""
        self._wait = _FIRST_WAIT_S
        self._jitter = random.Random()  # noqa: S311 spreads reconnects; nothing secret

    @property
    def node(self) -> str:
        """The node of the broker that is, or was last, spoken to."""
        return f"{self._link.settings.host}:{self._link.settings.port}"

    @property
    def refused(self) -> int:
        """How many messages that readers sent mean nothing."""
        return self._packing.ignored

    @property
    def acked(self) -> int:
        """The position in the outbox's present log up to which the broker has everything."""
        return self._lanes.acked if self._log == self._store.outbox.log else 0

    @property
    def beyond(self) -> tuple[int, ...]:
        """What the broker has ahead of that, and the disk does not know yet."""
        return self._lanes.beyond if self._log == self._store.outbox.log else ()

    @property
    def wants_saving(self) -> bool:
        """Nothing more is sent until what is acknowledged is saved."""
        return 2 * self._lanes.fresh >= self._link.window and (
            not self._lanes.past.done or self._lanes.live.sent < self._store.outbox.head
        )

    def saved(self, done: Done) -> None:
        """So much is on disk now."""
        if self._log != self._store.outbox.log:
            return  # a new log in place of a damaged one
        name = self.name
        self._lanes.saved(done.upto.get(name, 0), tuple(done.beyond.get(name, ())))
        if done.close and self.wants_closing:
            self.wants_closing = False
            self._lanes.restart(self._store.outbox.split)
        self._wake.set()

    def wake(self) -> None:
        """There may be something new to send."""
        self._wake.set()

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
                group.create_task(self._pump(), name=f"{self.name} pump")
                if self._packing.offered and self._link.speaks_v5:
                    group.create_task(self._ask_readers(), name=f"{self.name} readers")
        except* LinkLost as lost:
            causes += lost.exceptions
        return next(cause for cause in causes if isinstance(cause, LinkLost))

    async def _ask_readers(self) -> None:
        """Listen for what they accept; who may not listen goes on without."""
        try:
            await self._link.subscribe([self._packing.topic])
        except Refused:
            text = "upstream %s: this user may not read %s, so nothing is compressed"
            log.warning(text, self.name, self._packing.topic)

    def _greet(self) -> None:
        self._begin()
        self._packing.begin()
        boot = self._store.outbox.boot
        whole = self._gateway
        offered = self._packing.encodings if self._link.speaks_v5 else ()
        born = payload.birth(whole.name, boot, whole.tags, whole.typed, offered)
        here = payload.status(
            self._gateway.name, boot, online=True, cause="connected", birth_id=born.id
        )
        self._link.publish(self._retained("birth", born.payload))
        self._link.publish(self._retained("status", here))
        self.connected, self.since, self.error = True, self._now().wall, ""
        waiting = self._waiting()
        log.info("upstream %s: connected to %s, %d records wait", self.name, self.node, waiting)
        if self.warning:
            log.warning("upstream %s: %s", self.name, self.warning)
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
        return Message(f"{self.plan.topic}/{kind}", content, retain=True, content_type=PLAIN)

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

    def _begin(self) -> None:
        """Start again behind what is acknowledged; the long way needs the office's help first."""
        if self._log == self._store.outbox.log:
            self._lanes.restart()
        else:
            self._start_log()
        backlog = self._store.outbox.backlog.get(self.name)
        self.wants_closing = False
        if backlog and backlog.records > _LONG * self._link.window:
            self.wants_closing = True
            span_s = max(1.0, (self._now().wall - backlog.oldest) / SECOND)
            self._pace = Pace(max(_LEAST_PACE, _SPEED * backlog.records / span_s))
            self._on_ready()

    async def _send_more(self) -> None:
        """Fill the window: first with what is new, then with what is left of the past."""
        if self._log != self._store.outbox.log:
            self._start_log()
        if self.wants_closing:
            return  # ``saved`` wakes again
        window = self._link.window
        while (room := window - self._lanes.out) > 0:
            count, _ = await self._send_from(self._lanes.live, room)
            if not count:
                break
        if not self._lanes.past.done:
            await self._send_past(int(_SHARE * window) - self._lanes.out)
        if self.wants_saving:
            self._on_ready()

    async def _send_past(self, room: int) -> None:
        loop = asyncio.get_running_loop()
        granted = self._pace.grant(loop.time())
        if granted < 1:
            loop.call_later(_PACE_S, self._wake.set)
        elif room >= _GROUP or (room > 0 and not self._lanes.past.open):
            count, size = await self._send_from(self._lanes.past, min(room, granted))
            self._pace.spend(count, size)
            if count:
                self._wake.set()

    async def _send_from(self, lane: Lane, room: int) -> tuple[int, int]:
        """Send the next records of a lane, ``room`` at most; how many there were, and bytes."""
        head = self._store.outbox.head if lane.until is None else lane.until
        if lane.sent >= head:
            lane.ended = lane.until is not None
            return 0, 0
        records = await self._store.read(self.name, lane.sent, room, head)
        packed = await self._packing.pack([record.payload for record in records])
        for record, (content, kind) in zip(records, packed, strict=True):
            self._send(record, Message(self._topic(record), content, content_type=kind), lane)
        lane.ended = lane.until is not None and len(records) < room
        return len(records), sum(len(record.body) for record in records)

    def _start_log(self) -> None:
        """The first log, or a new one in place of a damaged one: positions begin anew."""
        self._log = self._store.outbox.log
        self._lanes = Lanes(self._store.outbox.cursors.get(self.name, 0))

    def _topic(self, record: Record) -> str:
        return f"{self.plan.topic}/{record.kind}"

    def _send(self, record: Record, message: Message, lane: Lane) -> None:
        if self._lanes.is_known(record.position):
            lane.sent = record.position
            return
        size = len(message.payload)
        if size + len(message.topic) + _HEADER_BYTES > self._link.largest:
            self._skip(record, lane, size)
            return
        lane.take_off(self._link.publish(message), record.position)

    def _skip(self, record: Record, lane: Lane, size: int) -> None:
        reason = f"{size} bytes are more than the broker takes ({self._link.largest})"
        missing = Gap(record.stream, record.sequence, record.sequence, 1, reason)
        log.error(
            "upstream %s: record %d of %s: %s", self.name, record.sequence, record.stream, reason
        )
        self._on_gap(missing)
        lane.take_off(-record.position, record.position)
        self._lanes.land(-record.position)

    def _landed(self, token: int) -> None:
        if self._lanes.land(token):
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
                    before = self.landed
                    await self._send_more()
                    await self._link.settled()
                    if self.wants_saving:
                        self._wake.clear()
                        await self._wake.wait()
                    elif self.landed == before:
                        return
        except TimeoutError:
            log.info("upstream %s: %d records stay in the outbox", self.name, self._waiting())
