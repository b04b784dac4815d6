"""What the office keeps on disk: outbox and journal in one file, written in one transaction.

commit ─▶ database thread: cursors, records, journal ─▶ one fsync
damaged ─▶ the file is set aside, a fresh one started, and its first record tells the gap
"""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from edgetwin.core import payload
from edgetwin.core.payload import Gap
from edgetwin.core.reading import Instant
from edgetwin.storage.database import Damaged, Database, Transaction
from edgetwin.storage.journal import Entry, Journal, Written
from edgetwin.storage.outbox import Done, Draft, Outbox, Record

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

_RESERVE = 8 << 20  # left free for SQLite's own log, so that acknowledged records can be deleted
_LEAST = 256 << 10
_NONE = Done()


class Store:
    """One file, ``outbox.db``. ``now`` is asked for stamps only."""

    def __init__(self, path: Path, outbox: Outbox, now: Callable[[], Instant]) -> None:
        self.path = path
        self.outbox = outbox
        self._quota = outbox.quota
        self._journal = Journal()
        self._now = now
        self._database = Database(path)
        self._lost: list[Gap] = []

    async def open(self) -> None:
        """Open the file; one that is damaged is set aside and a fresh one started.

        Raises:
            StorageError: the disk refuses. It may be tried again.
        """
        try:
            await self._open()
        except Damaged as why:
            await self._replace(why)

    async def commit(
        self, drafts: Sequence[Draft], entries: Sequence[Entry], done: Done = _NONE
    ) -> None:
        """Make all this durable, or nothing of it.

        Raises:
            StorageError: the disk refuses. It may be tried again.
        """
        stamp = self._now().wall

        def work(tx: Transaction) -> None:
            self.outbox.quota = self._room(tx)
            told = [self._tell(gap, stamp) for gap in self._lost]
            self.outbox.write(tx, [*told, *drafts], done, stamp)
            self._journal.write(tx, self.outbox.boot, entries)

        await self._run(work)
        self.outbox.publish()
        self._lost.clear()

    async def read(
        self, upstream: str, after: int, limit: int, until: int | None = None
    ) -> list[Record]:
        """The next records of an upstream behind a position, up to another, oldest first.

        Raises:
            StorageError: the disk refuses. It may be tried again.
        """
        last = self.outbox.head if until is None else until
        return await self._run(lambda tx: self.outbox.read(tx, upstream, after, limit, last))

    async def journal(self, limit: int) -> list[Written]:
        """The newest entries of the journal, newest first.

        Raises:
            StorageError: the disk refuses. It may be tried again.
        """
        return await self._run(lambda tx: self._journal.last(tx, limit))

    async def close(self) -> None:
        """Close the file. The store can be opened again."""
        await self._database.close()

    def end(self) -> None:
        """Let go of the thread; after this the object is of no more use."""
        self._database.end()

    # ------------------------------------------------------------

    async def _open(self) -> None:
        await self._database.open()

        def work(tx: Transaction) -> tuple[str, ...]:
            self._journal.open(tx)
            return self.outbox.open(tx)

        gone = await self._database.run(work)
        self.outbox.publish()
        for name in gone:
            _LOG.warning(
                "%s: upstream %s is no longer configured; what waited for it is deleted",
                self.path,
                name,
            )

    def _room(self, tx: Transaction) -> int:
        """The configured quota, or what this disk can give without filling up."""
        disk = os.statvfs(self.path.parent)
        reserve = min(_RESERVE, disk.f_blocks * disk.f_frsize // 4)
        unused = tx.number("PRAGMA freelist_count") * tx.number("PRAGMA page_size")
        free = disk.f_bavail * disk.f_frsize + unused - reserve
        return min(self._quota, max(_LEAST, self.outbox.bytes + free))

    async def _run(self, work: Callable[[Transaction], T]) -> T:
        try:
            return await self._database.run(work)
        except Damaged as why:
            await self._replace(why)
            return await self._database.run(work)

    async def _replace(self, why: Damaged) -> None:
        aside = await self._database.set_aside(str(self._now().wall // 1_000_000_000))
        _LOG.error("%s It is kept as %s", why, aside.name)
        reason = f"the outbox was damaged; it is kept as {aside.name} and a new one was started"
        self._lost.append(Gap("*", None, None, None, reason))
        await self._open()

    def _tell(self, gap: Gap, wall: int) -> Draft:
        return Draft("gap", "gap", self.outbox.told, payload.gap(gap, wall), wall)
