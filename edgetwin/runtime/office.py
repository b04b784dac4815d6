"""The office side: takes frames from the queue, keeps what they amount to on disk, and has it sent.

    frames ─▶ Drafter ─▶ pending (memory, bounded) ─▶ Store (disk, one commit) ─▶ Forwarder ─▶
    broker
                                                        one per upstream ◀── PUBACK ──┘

One commit per round at most. Records are committed in the round they come in; the journal alone
waits up to a second, and cursors alone until somebody needs them. When the disk refuses or hangs,
records wait in memory, the oldest dropped and counted, and are tried again; the field side never
notices.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

from edgetwin.core.challenger import Challenger
from edgetwin.core.errors import StorageError
from edgetwin.core.frame import Frame
from edgetwin.core.payload import Gap
from edgetwin.core.plan import SECOND, GatewayPlan
from edgetwin.core.reading import Instant
from edgetwin.runtime.drafter import Drafted, Drafter, Unwritten
from edgetwin.runtime.frames import FrameQueue
from edgetwin.storage.journal import Entry
from edgetwin.storage.outbox import Done, Draft, Outbox
from edgetwin.storage.store import Store

if TYPE_CHECKING:
    from edgetwin.runtime.forwarder import Forwarder
    from edgetwin.runtime.sparkplug import SparkplugForwarder
    from edgetwin.runtime.unsigned import Unsigned

log = logging.getLogger(__name__)

FILE = "outbox.db"
_ROUND_S = 1.0  # how long readings wait for others, if no window ends
_SHORT_ROUND_S = 0.25  # the same where readings are sent as they are
_LATE_S = 0.1  # so long after its end a window is looked for: a frame has to come and end it
_REST_S = 0.05  # how long events do, so that a burst of them shares a commit
_ANSWER_S = 1.0  # how long a round waits for the disk; then it goes on without it
_HANGS_NS = 5 * SECOND  # a disk that has not answered by then is in trouble
_CHUNK = 8  # frames taken in without a pause: 0.2 ms where each holds 1,000 tags
_PENDING = 1000  # records that wait in memory for a disk that refuses
_ENTRIES = 10_000
_JOURNAL_NS = SECOND
_CURSORS_NS = 60 * SECOND
_FIRST_RETRY_NS, _LAST_RETRY_NS = SECOND, 10 * SECOND
_CLOSE_S = 3.0


class Office:
    """Everything behind the frame queue. ``now`` gives stamps and intervals."""

    def __init__(
        self,
        plan: GatewayPlan,
        frames: FrameQueue,
        now: Callable[[], Instant],
        unsigned: "Mapping[str, Unsigned] | None" = None,
    ) -> None:
        """Nothing is opened before ``run``. ``unsigned`` takes commands, by Sparkplug upstream."""
        self._plan = plan
        self._frames = frames
        self._now = now
        self._drafter = Drafter(plan)
        names = (u.name for u in plan.upstreams)
        outbox = Outbox(names, plan.outbox_bytes, self._drafter.everyone)
        self._store = Store(plan.state / FILE, outbox, now)
        self._pending: deque[Draft] = deque()
        self._faces = self._make_faces(unsigned or {})
        self._native = self._make_forwarders()
        self._forwarders: tuple[Forwarder | SparkplugForwarder, ...] = (
            *self._native,
            *self._faces,
        )
        self._opened = asyncio.Event()
        self._unread: deque[Frame] = deque()  # bounded by the queue it is taken from
        self._drafted: deque[Drafted] = deque()  # what one frame amounts to
        self._entries: deque[Entry] = deque(maxlen=_ENTRIES)  # the oldest go: see _keep_bounds
        self._dropped: Counter[str] = Counter()
        self._commit: asyncio.Future[None] | None = None
        self._begun = 0  # when it began
        self._writing: deque[Draft] = deque()  # what it holds; in front of what is pending
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
            Forwarder(
                upstream, self._plan, self._store, self._now, self._tell_gap, self._frames.nudge
            )
            for upstream in native
        )

    def _make_faces(self, unsigned: "Mapping[str, Unsigned]") -> "tuple[SparkplugForwarder, ...]":
        spoken = [u for u in self._plan.upstreams if u.sparkplug is not None]
        if not spoken:
            return ()  # and protobuf stays out of memory
        from edgetwin.runtime.sparkplug import SparkplugForwarder  # noqa: PLC0415 - as above

        return tuple(
            SparkplugForwarder(
                upstream,
                self._plan,
                self._store,
                self._now,
                self._pending.append,
                unsigned.get(upstream.name),
            )
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

    @property
    def challengers(self) -> tuple[Challenger, ...]:
        """Those that want ranges of a fleet; see ``runtime.ranges_line``."""
        return self._drafter.challengers

    def status(self) -> dict[str, Any]:
        """For ``edgetwin status``: plain values only."""
        return {
            "upstreams": {f.name: self._upstream(f) for f in self._forwarders},
            "outbox_bytes": self._store.outbox.bytes,
            "outbox_quota": self._plan.outbox_bytes,
            "boot": self._store.outbox.boot,
            "dropped_frames": self._frames.dropped,
            "unsaved": len(self._writing) + len(self._pending) + len(self._entries),
            "storage": self._trouble,
        }

    def _upstream(self, forwarder: "Forwarder | SparkplugForwarder") -> dict[str, Any]:
        backlog = self._store.outbox.backlog.get(forwarder.name)
        landed = forwarder.landed - self._landed.get(forwarder.name, 0)  # not saved yet
        waiting = max(0, backlog.records - landed) if backlog else 0
        age = (self._now().wall - backlog.oldest) / SECOND if backlog and waiting else 0.0
        return {
            "connected": forwarder.connected,
            "node": forwarder.node,
            "since": forwarder.since,
            "backlog": waiting,
            "oldest_age_s": round(max(0.0, age), 1),
            "error": forwarder.error,
            "warning": forwarder.warning,
            "refused": forwarder.refused,
        }

    # ------------------------------------------------------------ rounds

    async def _forward(self, forwarder: "Forwarder | SparkplugForwarder") -> None:
        await self._opened.wait()
        await forwarder.run()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        await self._keep()
        while True:
            begun = loop.time()
            self._unread.extend(await self._frames.gather(self._patience()))
            await self._take_all()
            await self._keep()
            spare = begun + _REST_S - loop.time()
            if spare > 0 and not any(f.wants_saving for f in self._native):
                await asyncio.sleep(spare)

    def _patience(self) -> float:
        """How long the next frames may wait, s: each wake-up finds its caches cold."""
        if self._faces or self._drafter.is_raw:
            return _SHORT_ROUND_S
        due = self._drafter.due
        if due is None:
            return _ROUND_S
        return min(_ROUND_S, max(0, due - self._now().mono) / SECOND + _LATE_S)

    async def _take_all(self) -> None:
        """All that is unread; the field has its turn in between. May be left and begun again."""
        taken = 0
        await self._write_down()
        while self._unread:
            self._take(self._unread.popleft())
            await self._write_down()
            taken += 1
            if taken % _CHUNK == 0:
                await asyncio.sleep(0)
        self._keep_bounds()

    def _take(self, frame: Frame) -> None:
        drafts, entries = self._drafter.take(frame)
        self._drafted += drafts
        self._entries += entries
        for face in self._faces:
            face.take(frame)

    async def _write_down(self) -> None:
        while self._drafted:
            first = self._drafted[0]
            draft = await _in_slices(first.slices()) if isinstance(first, Unwritten) else first
            self._pending.append(draft)
            self._drafted.popleft()

    def _keep_bounds(self) -> None:
        """While the disk refuses, the oldest records go; they are counted for the gap record."""
        while len(self._pending) > _PENDING and (self._trouble or self._commit is not None):
            self._dropped[self._pending.popleft().stream] += 1

    def _tell_gap(self, missing: Gap) -> None:
        self._pending.append(self._drafter.gap(missing, self._now().wall))

    # ------------------------------------------------------------ the disk

    async def _keep(self, *, last: bool = False) -> None:
        """Commit what is due, if the disk may be tried again."""
        now = self._now().mono
        if self._commit is not None:
            self._watch(self._commit, now)
            return
        if now < self._retry_at and not last:
            return
        if not self._opened.is_set() and not await self._open():
            return
        done = self._done()
        if not (last or self._is_due(now, done)):
            return
        self._commit = asyncio.ensure_future(self._write(done))
        self._begun = now
        # ``wait`` does not cancel: what is being written when this task ends is written once.
        await asyncio.wait((self._commit,), timeout=_ANSWER_S)

    def _watch(self, commit: "asyncio.Future[None]", now: int) -> None:
        """A disk that hangs cannot be helped, but it can be told."""
        if not commit.done() and now - self._begun > _HANGS_NS and not self._trouble:
            self._trouble = f"{self._store.path}: the disk does not answer. Check it"
            log.error("%s. Control goes on; records wait in memory", self._trouble)

    async def _write(self, done: Done) -> None:
        """One commit. What it holds is pending again if it fails. Never raises."""
        self._writing.extend(self._pending)
        self._pending.clear()
        told, self._dropped = self._dropped, Counter()
        entries = list(self._entries)
        self._entries.clear()
        landed = {f.name: f.landed for f in self._forwarders}
        try:
            await self._store.commit([*self._gaps(told), *self._writing], entries, done)
        except StorageError as error:
            self._put_back(told, entries)
            self._refused(error)
        except Exception as error:  # the top of this piece of work: whatever it was, records wait
            log.exception("the outbox failed")
            self._put_back(told, entries)
            self._refused(StorageError(f"{self._store.path}: {error!r}"))
        else:
            self._landed = landed
            self._kept(done)
        finally:
            self._commit = None

    def _put_back(self, told: Counter[str], entries: list[Entry]) -> None:
        self._pending.extendleft(reversed(self._writing))
        self._writing.clear()
        self._dropped += told
        self._entries = deque([*entries, *self._entries], maxlen=_ENTRIES)

    def _gaps(self, dropped: Counter[str]) -> list[Draft]:
        reason = f"the disk refused to write ({self._trouble})"
        return [
            self._drafter.gap(Gap(stream, None, None, count, reason), self._now().wall)
            for stream, count in sorted(dropped.items())
        ]

    async def _open(self) -> bool:
        try:
            await self._store.open()
        except StorageError as error:
            self._refused(error)
            return False
        self._opened.set()
        return True

    def _done(self) -> Done:
        """What upstreams have, and the disk does not know yet."""
        saved = self._store.outbox.cursors
        return Done(
            {f.name: f.acked for f in self._forwarders if f.acked > saved.get(f.name, 0)},
            {f.name: f.beyond for f in self._native if f.beyond},
            close=any(f.wants_closing for f in self._native),
        )

    def _is_due(self, now: int, done: Done) -> bool:
        if self._pending or (self._entries and now - self._committed >= _JOURNAL_NS):
            return True
        if done.close or any(f.wants_saving for f in self._native):
            return True
        return bool(done.upto or done.beyond) and now - self._committed >= _CURSORS_NS

    def _kept(self, done: Done) -> None:
        new = bool(self._writing) or done.close
        self._writing.clear()
        self._committed = self._now().mono
        if self._trouble:
            log.warning("%s: the disk takes records again", self._store.path)
        self._trouble, self._retry_wait = "", _FIRST_RETRY_NS
        for forwarder in self._native:
            forwarder.saved(done)
        for face in self._faces if new else ():
            face.wake()

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
        self._drafted += self._drafter.close()
        await self._write_down()
        await self._keep(last=True)
        leaving = asyncio.gather(*(forwarder.farewell() for forwarder in self._forwarders))
        while not leaving.done():
            await asyncio.wait((leaving,), timeout=_REST_S)
            if any(f.wants_saving for f in self._native):
                await self._keep(last=True)
        if self._pending or self._done().upto or self._done().beyond:
            await self._keep(last=True)
        await self._store.close()


async def _in_slices(work: Generator[None, None, Draft]) -> Draft:
    """Give way to whoever else is ready after each slice."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Draft = end.value
            return result
        await asyncio.sleep(0)
