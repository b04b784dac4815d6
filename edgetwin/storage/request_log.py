"""Requests from the cloud on disk: each is kept before it is carried out, and never taken twice.

One row is both the proof against replays and the audit: who asked for what, when, and what came of
it. A key's highest number outlives its rows. All is in a file of its own, for the outbox may be
replaced when it is damaged. When this file has to be, or is new, requests that were issued before
it was made are refused: nobody knows any more whether they were carried out.

    claim ─▶ committed and synced ─▶ carried out ─▶ outcome, with the next commit
    killed in between ─▶ at the next start the row says that its end is not known
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgetwin.storage.database import Damaged, Database, Transaction

_LOG = logging.getLogger(__name__)

FILE = "requests.db"
ROWS = 100_000
_SLACK = 1000
_MS = 1_000_000
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS requests (key TEXT, sequence INTEGER, nonce TEXT, at INTEGER,"
    " upstream TEXT, by TEXT, wanted TEXT, state TEXT, reason TEXT, ended INTEGER,"
    " PRIMARY KEY (key, sequence)) WITHOUT ROWID",
    "CREATE UNIQUE INDEX IF NOT EXISTS nonces ON requests (key, nonce)",
    "CREATE INDEX IF NOT EXISTS times ON requests (at)",
    "CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, sequence INTEGER) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS made (at INTEGER)",
)
_OPEN = "open"
_OLDER = "issued before the gateway began to keep requests: it may have been carried out already"
_UNKNOWN = "the gateway ended before the end of this request was known"


@dataclass(frozen=True, slots=True)
class Claim:
    """A request that wants to be carried out.

    ``key`` is the thumbprint of what signed it; ``sequence`` 0: it has none, and is given the next.
    ``issued`` is ms, ``at`` ns since 1970; ``wanted`` is for people.
    """

    key: str
    sequence: int
    nonce: str
    issued: int
    at: int
    upstream: str
    by: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request stands. ``at`` is ns since 1970."""

    key: str
    sequence: int
    state: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class Standing:
    """``taken``: carry it out. Else it is a replay, of the request that stands so ("": of none)."""

    taken: bool
    sequence: int
    state: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One row, as it is kept."""

    key: str
    sequence: int
    nonce: str
    at: int
    upstream: str
    by: str
    wanted: str
    state: str
    reason: str
    ended: int | None


class RequestLog:
    """The file ``requests.db``. Everything that is awaited is one transaction, synced."""

    def __init__(self, folder: Path, rows: int = ROWS) -> None:
        self._database = Database(folder / FILE)
        self._bound = rows
        self._rows = 0

    async def open(self, wall: int) -> None:
        """Open the file; one that is damaged is set aside. ``wall`` is ns since 1970.

        Raises:
            StorageError: the disk refuses. It may be tried again.
        """
        try:
            await self._open(wall)
        except Damaged as why:
            await self._replace(why, wall)

    async def keep(
        self, claims: Sequence[Claim], outcomes: Sequence[Outcome], wall: int
    ) -> list[Standing]:
        """Make outcomes and claims durable; how each claim stands then.

        Raises:
            StorageError: the disk refuses; nothing is kept, and nothing may be carried out.
        """

        def work(tx: Transaction) -> list[Standing]:
            for each in outcomes:
                tx.run(
                    "UPDATE requests SET state = ?, reason = ?, ended = ?"
                    " WHERE key = ? AND sequence = ?",
                    (each.state, each.reason, each.at, each.key, each.sequence),
                )
            return [self._claim(tx, each) for each in claims]

        try:
            return await self._database.run(work)
        except Damaged as why:
            await self._replace(why, wall)
            raise

    async def last(self, limit: int) -> list[Asked]:
        """The newest rows, newest first.

        Raises:
            StorageError: the disk refuses. It may be tried again.
        """
        rows = await self._database.run(
            lambda tx: tx.rows("SELECT * FROM requests ORDER BY at DESC LIMIT ?", (limit,))
        )
        return [Asked(*row) for row in rows]

    async def close(self) -> None:
        """Close the file. It can be opened again."""
        await self._database.close()

    def end(self) -> None:
        """Let go of the thread; after this the object is of no more use."""
        self._database.end()

    # ------------------------------------------------------------ in the thread

    async def _open(self, wall: int) -> None:
        await self._database.open()

        def work(tx: Transaction) -> None:
            for statement in _SCHEMA:
                tx.run(statement)
            if not tx.number("SELECT count(*) FROM made"):
                tx.run("INSERT INTO made VALUES (?)", (wall,))
            tx.run(
                "UPDATE requests SET state = 'failed', reason = ?, ended = ? WHERE ended IS NULL",
                (_UNKNOWN, wall),
            )
            self._rows = tx.number("SELECT count(*) FROM requests")

        await self._database.run(work)

    async def _replace(self, why: Damaged, wall: int) -> None:
        aside = await self._database.set_aside(str(wall // 1_000_000_000))
        _LOG.error("%s It is kept as %s; requests issued before now are refused", why, aside.name)
        await self._open(wall)

    def _claim(self, tx: Transaction, claim: Claim) -> Standing:
        highest = tx.number("SELECT sequence FROM keys WHERE key = ?", (claim.key,))
        sequence = claim.sequence or highest + 1
        nonce = claim.nonce or str(sequence)
        made = tx.number("SELECT at FROM made")
        if claim.sequence and claim.issued <= made // _MS:
            return Standing(False, sequence, "", _OLDER)  # noqa: FBT003 (taken, by its name)
        if sequence <= highest or self._is_known(tx, claim.key, nonce):
            return self._replayed(tx, claim)
        row = (claim.key, sequence, nonce, claim.at, claim.upstream, claim.by, claim.wanted)
        tx.run("INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', NULL)", (*row, _OPEN))
        tx.run("INSERT OR REPLACE INTO keys VALUES (?, ?)", (claim.key, sequence))
        self._rows += 1
        if self._rows > self._bound + _SLACK:
            self._trim(tx)
        return Standing(taken=True, sequence=sequence)

    def _is_known(self, tx: Transaction, key: str, nonce: str) -> bool:
        values = (key, nonce)
        return bool(tx.rows("SELECT 1 FROM requests WHERE key = ? AND nonce = ?", values))

    def _replayed(self, tx: Transaction, claim: Claim) -> Standing:
        rows = tx.rows(
            "SELECT state, reason FROM requests WHERE key = ? AND sequence = ? AND nonce = ?",
            (claim.key, claim.sequence, claim.nonce),
        )
        state, reason = rows[0] if rows else ("", "")
        return Standing(False, claim.sequence, state, reason)  # noqa: FBT003 (taken, by its name)

    def _trim(self, tx: Transaction) -> None:
        """The oldest rows go; the keys' highest numbers stay."""
        tx.run(
            "DELETE FROM requests WHERE at <= (SELECT at FROM requests ORDER BY at DESC LIMIT 1"
            " OFFSET ?)",
            (self._bound,),
        )
        self._rows = tx.number("SELECT count(*) FROM requests")
