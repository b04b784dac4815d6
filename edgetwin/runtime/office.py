"""The office side: takes frames from the queue, keeps what they amount to on disk, and has it sent.

    frames ─▶ Drafter ─▶ Keeper (memory, bounded) ─▶ Store (disk, one commit) ─▶ Upstreams ─▶ broker
                                                        a forwarder each ◀── PUBACK ──┘

One commit per round at most, and the field has its turn between any two pieces of work.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from edgetwin.core.challenger import Challenger
from edgetwin.core.frame import Frame
from edgetwin.core.payload import Gap
from edgetwin.core.plan import SECOND, GatewayPlan
from edgetwin.core.reading import Instant
from edgetwin.core.slices import Steps
from edgetwin.runtime.drafter import Drafted, Drafter, Unwritten
from edgetwin.runtime.frames import FrameQueue
from edgetwin.runtime.keeper import Keeper
from edgetwin.runtime.upstreams import Upstreams, faces_of, native_of
from edgetwin.storage.outbox import Draft, Outbox
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
_CHUNK = 8  # frames taken in without a pause: 0.2 ms where each holds 1,000 tags
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
        self._store = store = Store(plan.state / FILE, outbox, now)
        self._upstreams = Upstreams(
            store,
            now,
            native_of(plan, store, now, self._tell_gap, frames.nudge),
            faces_of(plan, store, now, self._put, unsigned or {}),
        )
        self._keeper = Keeper(store, self._upstreams, now, self._gap)
        self._unread: deque[Frame] = deque()  # bounded by the queue it is taken from
        self._drafted: deque[Drafted] = deque()  # what one frame amounts to

    # ------------------------------------------------------------ for the daemon

    async def run(self) -> None:
        """Work until cancelled. ``close`` then brings out what is left."""
        async with asyncio.TaskGroup() as group:
            for forwarder in self._upstreams.all:
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
        outbox = self._store.outbox
        return {
            "upstreams": self._upstreams.status(),
            "outbox_bytes": outbox.bytes,
            "outbox_quota": self._plan.outbox_bytes,
            "boot": outbox.boot,
            "dropped_frames": self._frames.dropped,
            "unsaved": self._keeper.unsaved,
            "storage": self._keeper.trouble,
        }

    # ------------------------------------------------------------ rounds

    async def _forward(self, forwarder: "Forwarder | SparkplugForwarder") -> None:
        await self._keeper.opened.wait()
        await forwarder.run()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        await self._keeper.keep()
        while True:
            begun = loop.time()
            self._unread.extend(await self._frames.gather(self._patience()))
            await self._take_all()
            await self._keeper.keep()
            spare = begun + _REST_S - loop.time()
            if spare > 0 and not self._upstreams.want_saving:
                await asyncio.sleep(spare)

    def _patience(self) -> float:
        """How long the next frames may wait, s: each wake-up finds its caches cold."""
        if self._upstreams.faces or self._drafter.is_raw:
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
        self._keeper.keep_bounds()

    def _take(self, frame: Frame) -> None:
        drafts, entries = self._drafter.take(frame)
        self._drafted += drafts
        self._keeper.note(entries)
        self._upstreams.take(frame)

    async def _write_down(self) -> None:
        while self._drafted:
            first = self._drafted[0]
            draft = await _in_slices(first.slices()) if isinstance(first, Unwritten) else first
            self._keeper.put(draft)
            self._drafted.popleft()

    def _put(self, draft: Draft) -> None:
        self._keeper.put(draft)

    def _gap(self, missing: Gap) -> Draft:
        return self._drafter.gap(missing, self._now().wall)

    def _tell_gap(self, missing: Gap) -> None:
        self._keeper.put(self._gap(missing))

    # ------------------------------------------------------------ the end

    async def _finish(self) -> None:
        await self._keeper.finish()
        self._unread.extend(self._frames.drain_nowait())
        await self._take_all()
        self._drafted += self._drafter.close()
        await self._write_down()
        await self._keeper.keep(last=True)
        leaving = self._upstreams.farewell()
        while not leaving.done():
            await asyncio.wait((leaving,), timeout=_REST_S)
            if self._upstreams.want_saving:
                await self._keeper.keep(last=True)
        await self._keeper.close()


async def _in_slices(work: Steps[Draft]) -> Draft:
    """Give way to whoever else is ready after each slice."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Draft = end.value
            return result
        await asyncio.sleep(0)
