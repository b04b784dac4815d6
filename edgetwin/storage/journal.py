"""The journal: every write that left this gateway, who wanted it and why, and what came of it.

One row per write request, completed by its result; numbered by boot and request number. Bounded by
rows, the oldest deleted. It lies in the same file as the outbox, so that a write and what is told
about it upstream become durable in one transaction.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import TypeAlias

from edgetwin.core.frame import Frame
from edgetwin.core.reading import WriteResult
from edgetwin.core.twin import Twin
from edgetwin.storage.database import Transaction

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS journal (boot INTEGER, number INTEGER, at INTEGER, tag TEXT,"
    " authority TEXT, by TEXT, reason TEXT, before REAL, value REAL, ended INTEGER, outcome TEXT,"
    " read_back REAL, detail TEXT, PRIMARY KEY (boot, number)) WITHOUT ROWID"
)
_INSERT = (
    "INSERT OR REPLACE INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL)"
)
_COMPLETE = (
    "UPDATE journal SET ended = ?, outcome = ?, read_back = ?, detail = ?"
    " WHERE boot = ? AND number = ?"
)
ROWS = 1_000_000
_SLACK = 1000


@dataclass(frozen=True, slots=True)
class Requested:
    """A write that the guard let through.

    ``at`` is UTC ns, ``before`` what stood then (NaN: not known).
    """

    number: int
    at: int
    tag: str
    authority: str
    by: str
    reason: str
    before: float
    value: float


@dataclass(frozen=True, slots=True)
class Ended:
    """How a write ended.

    ``at`` is UTC ns, ``read_back`` what the device then said (NaN: nothing).
    """

    number: int
    at: int
    outcome: str
    read_back: float
    detail: str


Entry: TypeAlias = Requested | Ended


@dataclass(frozen=True, slots=True)
class Written:
    """One row as it is kept: None where a result is still missing, or a value was not known."""

    boot: int
    number: int
    at: int
    tag: str
    authority: str
    by: str
    reason: str
    before: float | None
    value: float
    ended: int | None
    outcome: str | None
    read_back: float | None
    detail: str | None


def entries(frame: Frame, twin: Twin) -> list[Entry]:
    """What a frame says about writes. ``twin`` has already taken the frame's readings in."""
    found: list[Entry] = []
    if isinstance(frame.input, WriteResult):
        result = frame.input
        found.append(
            Ended(result.number, frame.at.wall, result.outcome, result.read_back, result.detail)
        )
    found += (
        Requested(
            number=request.number,
            at=frame.at.wall,
            tag=twin.tags[request.tag].name,
            authority=request.authority,
            by=request.by,
            reason=request.reason,
            before=float(twin.value[request.tag]),
            value=request.value,
        )
        for request in frame.writes
    )
    return found


class Journal:
    """The table of writes.

    All methods run in the database's thread, inside the transaction they are given.
    """

    def __init__(self, rows: int = ROWS) -> None:
        self._bound = rows
        self._rows = 0

    def open(self, tx: Transaction) -> None:
        """Make the table if it is missing."""
        tx.run(SCHEMA)
        self._rows = tx.number("SELECT count(*) FROM journal")

    def write(self, tx: Transaction, boot: int, new: Iterable[Entry]) -> None:
        """Add and complete rows; delete the oldest when there are too many."""
        for entry in new:
            if isinstance(entry, Requested):
                tx.run(_INSERT, (boot, *astuple(entry)))
                self._rows += 1
            else:
                number, *result = astuple(entry)
                tx.run(_COMPLETE, (*result, boot, number))
        if self._rows > self._bound + _SLACK:
            self._trim(tx)

    def last(self, tx: Transaction, limit: int) -> list[Written]:
        """The newest rows, newest first."""
        rows = tx.rows("SELECT * FROM journal ORDER BY boot DESC, number DESC LIMIT ?", (limit,))
        return [Written(*row) for row in rows]

    def _trim(self, tx: Transaction) -> None:
        self._rows = tx.number("SELECT count(*) FROM journal")
        tx.run(
            "DELETE FROM journal WHERE (boot, number) IN"
            " (SELECT boot, number FROM journal ORDER BY boot, number LIMIT ?)",
            (max(0, self._rows - self._bound),),
        )
        self._rows = min(self._rows, self._bound)
