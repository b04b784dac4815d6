"""What goes out over one upstream, in order: from the outbox to the line, a window at most.

    wake ─▶ read the next records of a lane ─▶ publish, a window at most in flight and unsaved
    PUBACK ─▶ ``acked`` and ``beyond`` move (lanes.py); the office saves them

A new connection starts again behind ``acked``. Who comes back to more than a few windows asks the
office to close all streams, and then sends what is new as it comes, and the past behind it: at a
pace the broker can be asked for, and in what the live lane leaves of the window.
"""

import asyncio
import logging
from collections.abc import Callable

from edgetwin.core.errors import StorageError
from edgetwin.core.payload import Gap
from edgetwin.core.plan import SECOND, UpstreamPlan
from edgetwin.core.reading import Instant
from edgetwin.runtime.lanes import Lane, Lanes, Pace
from edgetwin.runtime.packing import Packing
from edgetwin.storage.outbox import Done, Record
from edgetwin.storage.store import Store
from edgetwin.upstream.mqtt_dial import Message
from edgetwin.upstream.mqtt_listen import ListeningLink

log = logging.getLogger(__name__)

_DISK_WAIT_S = 1.0
_HEADER_BYTES = 64
_PACE_S = 0.05
_LONG = 5  # windows; a shorter backlog is sent in half a second, and needs no lane of its own
_LEAST_PACE = 200.0  # records a second
_SPEED = 40  # so many times faster than it was made, a backlog is sent
_SHARE = 0.75  # of the window, for the past
_GROUP = 5  # records of the past that are worth a reading


class Sender:
    """The records of one upstream.

    ``on_gap`` is told of records that its broker can never take, ``on_ready`` is called when
    something should be saved soon: ``wants_saving``, ``wants_closing``. ``landed`` counts records
    that were acknowledged.
    """

    def __init__(
        self,
        plan: UpstreamPlan,
        store: Store,
        link: ListeningLink,
        now: Callable[[], Instant],
        on_gap: Callable[[Gap], None],
        on_ready: Callable[[], None],
    ) -> None:
        self.wants_closing = False
        self.landed = 0
        self.packing = Packing(plan.name, plan.topic, offered=plan.compress)
        self._name = plan.name
        self._root = plan.topic
        self._store = store
        self._link = link
        self._now = now
        self._on_gap = on_gap
        self._on_ready = on_ready
        self._wake = asyncio.Event()
        self._lanes = Lanes(0)
        self._pace = Pace(_LEAST_PACE)
        self._log = ""

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
        name = self._name
        self._lanes.saved(done.upto.get(name, 0), tuple(done.beyond.get(name, ())))
        if done.close and self.wants_closing:
            self.wants_closing = False
            self._lanes.restart(self._store.outbox.split)
        self._wake.set()

    def wake(self) -> None:
        """There may be something new to send."""
        self._wake.set()

    # ------------------------------------------------------------ records

    async def pump(self) -> None:
        """Send whatever there is, whenever there is something; until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.send_more()
            except StorageError as error:
                log.debug("upstream %s: %s", self._name, error)  # the office tells it once
                asyncio.get_running_loop().call_later(_DISK_WAIT_S, self._wake.set)

    def begin(self) -> None:
        """A new connection: start again behind what is acknowledged.

        The long way needs the office's help first.
        """
        self.packing.begin()
        if self._log == self._store.outbox.log:
            self._lanes.restart()
        else:
            self._start_log()
        backlog = self._store.outbox.backlog.get(self._name)
        self.wants_closing = False
        if backlog and backlog.records > _LONG * self._link.window:
            self.wants_closing = True
            span_s = max(1.0, (self._now().wall - backlog.oldest) / SECOND)
            self._pace = Pace(max(_LEAST_PACE, _SPEED * backlog.records / span_s))
            self._on_ready()

    async def send_more(self) -> None:
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
        records = await self._store.read(self._name, lane.sent, room, head)
        packed = await self.packing.pack([record.payload for record in records])
        for record, (content, kind) in zip(records, packed, strict=True):
            self._send(record, Message(self._topic(record), content, content_type=kind), lane)
        lane.ended = lane.until is not None and len(records) < room
        return len(records), sum(len(record.body) for record in records)

    def _start_log(self) -> None:
        """The first log, or a new one in place of a damaged one: positions begin anew."""
        self._log = self._store.outbox.log
        self._lanes = Lanes(self._store.outbox.cursors.get(self._name, 0))

    def _topic(self, record: Record) -> str:
        return f"{self._root}/{record.kind}"

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
            "upstream %s: record %d of %s: %s", self._name, record.sequence, record.stream, reason
        )
        self._on_gap(missing)
        lane.take_off(-record.position, record.position)
        self._lanes.land(-record.position)

    def land(self, token: int) -> None:
        """The broker has acknowledged a message."""
        if self._lanes.land(token):
            self.landed += 1
        self._wake.set()

    @property
    def waiting(self) -> int:
        """How many records the broker does not have, as far as the disk knows."""
        backlog = self._store.outbox.backlog.get(self._name)
        return backlog.records if backlog else 0

    async def flush(self) -> None:
        """Send what still waits until nothing more is acknowledged. Needs a deadline.

        Raises:
            LinkLost, StorageError: it cannot go on.
        """
        while True:
            before = self.landed
            await self.send_more()
            await self._link.settled()
            if self.wants_saving:
                self._wake.clear()
                await self._wake.wait()
            elif self.landed == before:
                return
