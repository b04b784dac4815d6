"""Brings records to disk, one commit at a time; while the disk cannot take them they wait here.

    put ─▶ pending ─▶ writing ─▶ Store (one transaction, one sync)
              ▲──────────┘ refused: in front of what came meanwhile, tried again later

Records are committed as soon as they come; the journal alone waits up to a second, and cursors
alone until somebody needs them. When the disk refuses or hangs, records wait in memory, the oldest
dropped and counted, and are tried again.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable

from edgetwin.core.errors import StorageError
from edgetwin.core.payload import Gap
from edgetwin.core.plan import SECOND
from edgetwin.core.reading import Instant
from edgetwin.runtime.upstreams import Upstreams
from edgetwin.storage.journal import Entry
from edgetwin.storage.outbox import Done, Draft
from edgetwin.storage.store import Store

log = logging.getLogger(__name__)

_ANSWER_S = 1.0  # how long a round waits for the disk; then it goes on without it
_HANGS_NS = 5 * SECOND  # a disk that has not answered by then is in trouble
_PENDING = 1000  # records that wait in memory for a disk that refuses
_ENTRIES = 10_000
_JOURNAL_NS = SECOND
_CURSORS_NS = 60 * SECOND
_FIRST_RETRY_NS, _LAST_RETRY_NS = SECOND, 10 * SECOND


class Keeper:
    """What is not on disk yet. ``trouble``: why the disk takes nothing; empty where it does."""

    def __init__(
        self,
        store: Store,
        upstreams: Upstreams,
        now: Callable[[], Instant],
        gap: Callable[[Gap], Draft],
    ) -> None:
        """``gap`` makes the record that says what will never come."""
        self.trouble = ""
        self.opened = asyncio.Event()
        self._store = store
        self._upstreams = upstreams
        self._now = now
        self._gap = gap
        self._pending: deque[Draft] = deque()
        self._entries: deque[Entry] = deque(maxlen=_ENTRIES)  # the oldest go: see keep_bounds
        self._dropped: Counter[str] = Counter()
        self._commit: asyncio.Future[None] | None = None
        self._begun = 0  # when it began
        self._writing: deque[Draft] = deque()  # what it holds; in front of what is pending
        self._committed = 0
        self._retry_at = 0
        self._retry_wait = _FIRST_RETRY_NS

    @property
    def unsaved(self) -> int:
        """How many records and entries only memory holds."""
        return len(self._writing) + len(self._pending) + len(self._entries)

    def put(self, draft: Draft) -> None:
        """A record, behind all others."""
        self._pending.append(draft)

    def note(self, entries: Iterable[Entry]) -> None:
        """Entries of the journal."""
        self._entries += entries

    def keep_bounds(self) -> None:
        """While the disk refuses, the oldest records go; they are counted for the gap record."""
        while len(self._pending) > _PENDING and (self.trouble or self._commit is not None):
            self._dropped[self._pending.popleft().stream] += 1

    async def keep(self, *, last: bool = False) -> None:
        """Commit what is due, if the disk may be tried again."""
        now = self._now().mono
        if self._commit is not None:
            self._watch(self._commit, now)
            return
        if now < self._retry_at and not last:
            return
        if not self.opened.is_set() and not await self._open():
            return
        done = self._upstreams.unsaved()
        if not (last or self._is_due(now, done)):
            return
        self._commit = asyncio.ensure_future(self._write(done))
        self._begun = now
        # ``wait`` does not cancel: what is being written when this task ends is written once.
        await asyncio.wait((self._commit,), timeout=_ANSWER_S)

    async def finish(self) -> None:
        """Wait for the commit that is under way."""
        if self._commit is not None:
            await asyncio.wait((self._commit,))

    async def close(self) -> None:
        """Commit what is left, and close the store."""
        if self._pending or self._upstreams.is_ahead:
            await self.keep(last=True)
        await self._store.close()

    # ------------------------------------------------------------

    async def _open(self) -> bool:
        try:
            await self._store.open()
        except StorageError as error:
            self._refused(error)
            return False
        self.opened.set()
        return True

    def _is_due(self, now: int, done: Done) -> bool:
        if self._pending or (self._entries and now - self._committed >= _JOURNAL_NS):
            return True
        if done.close or self._upstreams.want_saving:
            return True
        return bool(done.upto or done.beyond) and now - self._committed >= _CURSORS_NS

    def _watch(self, commit: "asyncio.Future[None]", now: int) -> None:
        """A disk that hangs cannot be helped, but it can be told."""
        if not commit.done() and now - self._begun > _HANGS_NS and not self.trouble:
            self.trouble = f"{self._store.path}: the disk does not answer. Check it"
            log.error("%s. Control goes on; records wait in memory", self.trouble)

    async def _write(self, done: Done) -> None:
        """One commit. What it holds is pending again if it fails. Never raises."""
        self._writing.extend(self._pending)
        self._pending.clear()
        told, self._dropped = self._dropped, Counter()
        entries = list(self._entries)
        self._entries.clear()
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
            self._kept(done)
        finally:
            self._commit = None

    def _gaps(self, dropped: Counter[str]) -> list[Draft]:
        reason = f"the disk refused to write ({self.trouble})"
        return [
            self._gap(Gap(stream, None, None, count, reason))
            for stream, count in sorted(dropped.items())
        ]

    def _put_back(self, told: Counter[str], entries: list[Entry]) -> None:
        self._pending.extendleft(reversed(self._writing))
        self._writing.clear()
        self._dropped += told
        self._entries = deque([*entries, *self._entries], maxlen=_ENTRIES)

    def _kept(self, done: Done) -> None:
        new = bool(self._writing)
        self._writing.clear()
        self._committed = self._now().mono
        if self.trouble:
            log.warning("%s: the disk takes records again", self._store.path)
        self.trouble, self._retry_wait = "", _FIRST_RETRY_NS
        self._upstreams.saved(done, new=new)

    def _refused(self, error: StorageError) -> None:
        if not self.trouble:
            log.error("%s. Control goes on; records wait in memory", str(error).rstrip("."))
        self.trouble = str(error)
        self._retry_at = self._now().mono + self._retry_wait
        self._retry_wait = min(2 * self._retry_wait, _LAST_RETRY_NS)
