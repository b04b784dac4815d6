"""The office side: takes frames from the queue, keeps what they amount to on disk, and has it sent.

    frames ─▶ Drafter ─▶ pending (memory, bounded) ─▶ Store (disk, one commit) ─▶ Forwarder ─▶
    broker
                                                        one per upstream ◀── PUBACK ──┘

One commit per round at most. Records are committed in the round they come in; the journal alone
waits up to a second, and cursors alone until they are worth it. When the disk refuses, records wait
in memory, the oldest dropped and counted, and are tried again; the field side never notices.
"""

import asyncio
import functools
import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edgetwin.core.errors import StorageError
from edgetwin.core.frame import Frame
from edgetwin.core.payload import Gap
from edgetwin.core.plan import SECOND, GatewayPlan
from edgetwin.core.reading import Instant
from edgetwin.runtime.drafter import Drafter
from edgetwin.runtime.frames import FrameQueue
from edgetwin.storage.journal import Entry
from edgetwin.storage.outbox import Draft, Outbox
from edgetwin.storage.store import Store

if TYPE_CHECKING:
    from edgetwin.runtime.forwarder import Forwarder
    from edgetwin.runtime.sparkplug import SparkplugForwarder

log = logging.getLogger(__name__)

FILE = "outbox.db"
_ROUND_S = 1.0  # how long a round waits for frames at most
_REST_S = 0.05  # between rounds: at most 20 wake-ups a second
_CHUNK = 50  # frames taken in without a pause: less than a millisecond
_PENDING = 1000  # records that wait in memory for a disk that refuses
_ENTRIES = 10_000
_JOURNAL_NS = SECOND
_CURSORS_NS = 10 * SECOND
_FIRST_RETRY_NS, _LAST_RETRY_NS = SECOND, 10 * SECOND
_CLOSE_S = 3.0


class Office:
    """Everything behind the frame queue. ``now`` gives stamps and intervals."""

    def __init__(self, plan: GatewayPlan, frames: FrameQueue, now: Callable[[], Instant]) -> None:
        """Nothing is opened before ``run``."""
        self._plan = plan
        self._frames = frames
        self._now = now
        self._drafter = Drafter(plan)
        outbox = Outbox((u.name for u in plan.upstreams), plan.outbox_bytes)
        self._store = Store(plan.state / FILE, outbox, now)
        self._pending: deque[Draft] = deque()
        self._faces = self._make_faces()
        self._forwarders: tuple[Forwarder | SparkplugForwarder, ...] = (
            *self._make_forwarders(),
            *self._faces,
        )
        self._hurry = any(u.values for u in plan.upstreams)
        self._opened = asyncio.Event()
        self._unread: deque[Frame] = deque()  # bounded by the queue it is taken from
        self._entries: deque[Entry] = deque(maxlen=_ENTRIES)  # the oldest go: see _keep_bounds
        self._dropped: Counter[str] = Counter()
        self._commit: asyncio.Future[None] | None = None
        self._committed = 0
        self._landed: dict[str, int] = {}
        self._trouble = ""
        self._retry_at = 0
        self._retry_wait = _FIRST_RETRY_NS

    def _make_forwarders(self) -> "tuple[Forwarder, ...]":
        native = [u for u in self._plan.upstreams if u.sparkplug is None]
        if not native:
            return ()  # and paho stays out of memory
        from edgetwin.runtime.forwarder import Forwarder  # noqa: PLC0415 - as above

        return tuple(
            Forwarder(upstream, self._plan, self._store, self._now, self._tell_gap)
            for upstream in native
        )

    def _make_faces(self) -> "tuple[SparkplugForwarder, ...]":
        spoken = [u for u in self._plan.upstreams if u.sparkplug is not None]
        if not spoken:
            return ()  # and protobuf stays out of memory
        from edgetwin.runtime.sparkplug import SparkplugForwarder  # noqa: PLC0415 - as above

        return tuple(
            SparkplugForwarder(upstream, self._plan, self._store, self._now, self._pending.append)
            for upstream in spoken
        )

    # ------------------------------------------------------------ for the daemon

    async def run(self) -> None:
        """Work until cancelled. ``close`` then brings out what is left."""
        async with asyncio.TaskGroup() as group:
            for forwarder in self._forwarders:
                group.create_task(self._forward(forwarder), name=f"upstream {forwarder.name}")
            await self._work()

    async def close(self) -> None:
        """Take the last frames, end the windows, send what a second allows, say good-bye.

        At most 3 s.
        """
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._finish()
        except TimeoutError:
            log.warning("the last records stay in the outbox and go out after the next start")
        finally:
            self._store.end()

    def status(self) -> dict[str, Any]:
        """For ``edgetwin status``: plain values only."""
        return {
            "upstreams": {f.name: self._upstream(f) for f in self._forwarders},
            "outbox_bytes": self._store.outbox.bytes,
            "outbox_quota": self._plan.outbox_bytes,
            "boot": self._store.outbox.boot,
            "dropped_frames": self._frames.dropped,
            "unsaved": len(self._pending) + len(self._entries),
            "storage": self._trouble,
        }

    def _upstream(self, forwarder: "Forwarder | SparkplugForwarder") -> dict[str, Any]:
        backlog = self._store.outbox.backlog.get(forwarder.name)
        landed = forwarder.landed - self._landed.get(forwarder.name, 0)  # not saved yet
        waiting = max(0, backlog.records - landed) if backlog else 0
        age = (self._now().wall - backlog.oldest) / SECOND if backlog and waiting else 0.0
        return {
            "connected": forwarder.connected,
            "since": forwarder.since,
            "backlog": waiting,
            "oldest_age_s": round(max(0.0, age), 1),
            "error": forwarder.error,
            "refused": forwarder.refused,
        }

    # ------------------------------------------------------------ rounds

    async def _forward(self, forwarder: "Forwarder | SparkplugForwarder") -> None:
        await self._opened.wait()
        await forwarder.run()

    async def _work(self) -> None:
        await self._keep()
        while True:
            await self._wait_for_frames()
            await self._take_all()
            await self._keep()
            if not self._hurry:
                await asyncio.sleep(_REST_S)

    async def _wait_for_frames(self) -> None:
        try:
            async with asyncio.timeout(_ROUND_S):
                self._unread.extend(await self._frames.drain())
        except TimeoutError:
            return

    async def _take_all(self) -> None:
        taken = 0
        while self._unread:
            self._take(self._unread.popleft())
            taken += 1
            if taken % _CHUNK == 0:
                await asyncio.sleep(0)  # the field goes first
        self._keep_bounds()

    def _take(self, frame: Frame) -> None:
        drafts, entries = self._drafter.take(frame)
        self._pending += drafts
        self._entries += entries
        for face in self._faces:
            face.take(frame)

    def _keep_bounds(self) -> None:
        """While the disk refuses, the oldest records go; they are counted for the gap record."""
        while len(self._pending) > _PENDING and self._trouble:
            self._dropped[self._pending.popleft().stream] += 1

    def _tell_gap(self, missing: Gap) -> None:
        self._pending.append(self._drafter.gap(missing, self._now().wall))

    # ------------------------------------------------------------ the disk

    async def _keep(self, *, last: bool = False) -> None:
        """Commit what is due, if the disk may be tried again."""
        now = self._now().mono
        if self._commit is not None or (now < self._retry_at and not last):
            return
        if not self._opened.is_set() and not await self._open():
            return
        acked = self._unsaved_cursors()
        if not (last or self._is_due(now, acked)):
            return
        drafts, entries = list(self._pending), list(self._entries)
        landed = {f.name: f.landed for f in self._forwarders}
        self._commit = asyncio.ensure_future(
            self._store.commit([*self._gaps(), *drafts], entries, acked)
        )
        self._commit.add_done_callback(
            functools.partial(self._end_commit, len(drafts), len(entries), landed)
        )
        # ``wait`` does not cancel: what is being written when this task ends is written once.
        await asyncio.wait((self._commit,))

    def _gaps(self) -> list[Draft]:
        reason = f"the disk refused to write ({self._trouble})"
        return [
            self._drafter.gap(Gap(stream, None, None, count, reason), self._now().wall)
            for stream, count in sorted(self._dropped.items())
        ]

    async def _open(self) -> bool:
        try:
            await self._store.open()
        except StorageError as error:
            self._refused(error)
            return False
        self._opened.set()
        return True

    def _unsaved_cursors(self) -> dict[str, int]:
        saved = self._store.outbox.cursors
        return {f.name: f.acked for f in self._forwarders if f.acked > saved.get(f.name, 0)}

    def _is_due(self, now: int, acked: dict[str, int]) -> bool:
        if self._pending or (self._entries and now - self._committed >= _JOURNAL_NS):
            return True
        if not acked:
            return False
        window = max(u.broker.in_flight for u in self._plan.upstreams)
        saved = self._store.outbox.cursors
        many = any(position - saved[name] >= window for name, position in acked.items())
        return now - self._committed >= (SECOND if many else _CURSORS_NS)

    def _end_commit(
        self, drafts: int, entries: int, landed: dict[str, int], commit: "asyncio.Future[None]"
    ) -> None:
        self._commit = None
        error = None if commit.cancelled() else commit.exception()
        if isinstance(error, StorageError):
            self._refused(error)
            return
        if error is not None:
            log.error("the outbox failed", exc_info=error)
            self._refused(StorageError(f"{self._store.path}: {error!r}"))
            return
        for _ in range(drafts):
            self._pending.popleft()
        for _ in range(entries):
            self._entries.popleft()
        self._dropped.clear()
        self._landed = landed
        self._committed = self._now().mono
        if self._trouble:
            log.warning("%s: the disk takes records again", self._store.path)
        self._trouble, self._retry_wait = "", _FIRST_RETRY_NS
        for forwarder in self._forwarders if drafts else ():
            forwarder.wake()

    def _refused(self, error: StorageError) -> None:
        if not self._trouble:
            log.error("%s. Control goes on; records wait in memory", str(error).rstrip("."))
        self._trouble = str(error)
        self._retry_at = self._now().mono + self._retry_wait
        self._retry_wait = min(2 * self._retry_wait, _LAST_RETRY_NS)

    # ------------------------------------------------------------ the end

    async def _finish(self) -> None:
        if self._commit is not None:
            await asyncio.wait((self._commit,))
        self._unread.extend(self._frames.drain_nowait())
        await self._take_all()
        self._pending += self._drafter.close()
        await self._keep(last=True)
        await asyncio.gather(*(forwarder.farewell() for forwarder in self._forwarders))
        if self._pending or self._unsaved_cursors():
            await self._keep(last=True)
        await self._store.close()
