"""The door to SQLite: one file, one thread, one transaction at a time.

Write-ahead log with ``synchronous=FULL``: a commit that returned survives a power cut (of the
settings tried, the only one with WAL that lost nothing; NORMAL lost up to 673 committed rows). All
calls run in one thread of their own, so that a disk that takes seconds per write delays nobody but
the caller that awaits it. The file is held for this process alone: SQLite then keeps its index of
the log in memory, not in a mapped file (8 kB written for each commit, and SIGBUS where a disk fails
under the mapping).

A file that SQLite cannot read any more is *set aside* under a new name, never deleted, and a fresh
one started.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from edgetwin.core.errors import StorageError

Row: TypeAlias = tuple[Any, ...]
"""SQLite types values, not columns: the schema beside each query says what a row holds."""

T = TypeVar("T")

_CHECKED_BYTES = 64 << 20  # the quick check reads it all: 0.1 s from memory, 1.6 s from an SD card
_PAGE = 512  # every commit writes whole pages, five of them beside its records
_WAL_PAGES = 8000  # the log beside the file stays around 4 MB
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Damaged(StorageError):
    """The file is no database any more; ``Database.set_aside`` makes room for a new one."""


class Transaction:
    """What work may do inside one transaction."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Run one statement; all rows of its answer."""
        return self._connection.execute(sql, values).fetchall()

    def run(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement; how many rows it changed."""
        return self._connection.execute(sql, values).rowcount

    def many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for each row of values."""
        self._connection.executemany(sql, rows)

    def number(self, sql: str, values: Sequence[object] = ()) -> int:
        """The single integer that a statement answers with; 0 for none or null."""
        row = self._connection.execute(sql, values).fetchone()
        return int(row[0] or 0) if row else 0


class Database:
    """One SQLite file.

    Every method is awaited; each piece of work is one transaction, all or nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, "database")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, or make it, readable by its owner only.

        Raises:
            Damaged: there is a file, but SQLite cannot read it.
            StorageError: it cannot be opened or made.
        """
        await self._in_thread(self._open)

    async def run(self, work: Callable[[Transaction], T]) -> T:
        """Do the work in one transaction; return its result once that is safely on disk.

        Raises:
            Damaged: the file turned out unreadable.
            StorageError: the disk refused; nothing has changed.
        """
        return await self._in_thread(lambda: self._run(work))

    async def set_aside(self, stamp: str) -> Path:
        """Give the damaged file (and its log) a new name; the path it now has."""
        return await self._in_thread(lambda: self._set_aside(stamp))

    async def close(self) -> None:
        """Close the file. The object can be opened again."""
        await self._in_thread(self._close)

    def end(self) -> None:
        """Let go of the thread; after this the object is of no more use."""
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # No deadline: SQLite cannot be interrupted in a write. Only the office waits here, and its
        # callers bound that; ``Office.status`` shows a disk that does not answer.
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    # ------------------------------------------------------------ in the thread

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            kind = Damaged if code in _DAMAGE else StorageError
            raise kind(f"{self.path}: {error}. {_cure(code)}") from error
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror}. {_cure(0)}") from error

    def _open(self) -> None:
        self._close()
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            self.path, timeout=2.0, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA page_size={_PAGE}")  # of a new file only
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # before the log is first touched
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
        # Debian builds SQLite so that it overwrites what is deleted: each record written twice.
        connection.execute("PRAGMA secure_delete=OFF")
        if self.path.stat().st_size <= _CHECKED_BYTES:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise Damaged(f"{self.path}: {verdict}")

    def _run(self, work: Callable[[Transaction], T]) -> T:
        connection = self._connection
        if connection is None:
            raise StorageError(f"{self.path}: not open")
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(Transaction(connection))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # some errors have already rolled it back
                connection.execute("ROLLBACK")
            raise
        return result

    def _set_aside(self, stamp: str) -> Path:
        self._close()
        aside = self.path.with_name(f"{self.path.stem}.damaged-{stamp}{self.path.suffix}")
        for ending in ("", "-wal", "-shm"):
            part = Path(f"{self.path}{ending}")
            if part.exists():
                part.rename(f"{aside}{ending}")
        return aside

    def _close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


def _cure(code: int) -> str:
    if code == sqlite3.SQLITE_FULL:
        return "Free some space on this disk; what waits is written as soon as there is room"
    if code in _DAMAGE:
        return "The file is set aside and a new one started"
    if code == sqlite3.SQLITE_BUSY:
        return "Another program has the file open: end it; it is tried again"
    return "Check the disk and the rights of this directory; it is tried again"
