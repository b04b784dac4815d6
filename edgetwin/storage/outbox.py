"""The outbox: a log on disk of everything that is to go upstream, and one cursor per upstream.

    write ─▶ │ 41 │ 42 │ 43 │ 44 │ 45 │ 46 │ ◀─ position
                  ▲ cursor "plant"   ▲ cursor "cloud"
       deleted ◀──┘ (the lowest)     └── moved by PUBACK only, saved with the next write

A record gets its stream's next sequence number in the transaction that makes it durable, and is
sent only after that; so a subscriber that holds 1 … n of a stream holds all there is. A stream is
named after its log (``event@5f3a9c``): a new or replaced log starts new streams at 1 and can never
repeat a number of an old one.

Records go in order of position, but for one case: when an upstream comes back to a long backlog,
the present must not wait for the past. Then all streams are *closed* (a record tells their last
numbers) and new ones begin; the new ones go first, the closed ones behind, each in order. What was
acknowledged ahead of the cursor is struck off one by one, until the cursor has caught up.

The quota is hard: room.py tells what goes when it is passed.

All methods run in the database's thread, inside the transaction they are given; ``publish`` runs on
the event loop, after the commit.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from edgetwin.core import payload
from edgetwin.storage import facts as few
from edgetwin.storage.database import Row, Transaction
from edgetwin.storage.facts import Facts
from edgetwin.storage.record import (
    COST,
    COSTS,
    Backlog,
    Draft,
    Record,
    cost,
    listed,
    names_in,
    packed,
    unpacked,
)
from edgetwin.storage.room import Room

__all__ = ("Backlog", "Done", "Draft", "Outbox", "Record")

SCHEMA = (
    few.SCHEMA,
    "CREATE TABLE IF NOT EXISTS records (position INTEGER PRIMARY KEY, kind TEXT, stream TEXT,"
    " seq INTEGER, boot INTEGER, wall INTEGER, body BLOB, upstreams TEXT, level INTEGER)",
)
_COLUMNS = "PRAGMA table_info(records)"
_LEVEL = "ALTER TABLE records ADD COLUMN level INTEGER"


_RECENT = 20
_FAR = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Done:
    """What upstreams have acknowledged, by name.

    ``upto``    everything up to this position
    ``beyond``  these positions, ahead of that
    ``close``   somebody has come back to a long backlog: close all streams and begin new ones
    """

    upto: Mapping[str, int] = field(default_factory=dict)
    beyond: Mapping[str, Iterable[int]] = field(default_factory=dict)
    close: bool = False


@dataclass(frozen=True, slots=True)
class _Figures:
    """What the event loop may know, as of the end of a transaction."""

    bytes: int = 0
    head: int = 0
    split: int = 0
    cursors: Mapping[str, int] = field(default_factory=dict)
    backlog: Mapping[str, Backlog] = field(default_factory=dict)


class Outbox:
    """The records of all streams for these upstreams, never more than ``quota`` bytes of them."""

    def __init__(
        self, upstreams: Iterable[str], quota: int, told: Iterable[str] | None = None
    ) -> None:
        """``told`` are the upstreams that get the records made here: gaps, and what is closed."""
        self.upstreams = tuple(upstreams)
        self.told = self.upstreams if told is None else tuple(told)
        self.quota = quota
        self.boot = 0
        self.log = ""
        self.bytes = 0
        self.head = 0
        self.split = 0
        self._taken = 0
        self._recent: dict[int, bytes] = {}
        self.cursors: Mapping[str, int] = {}
        self.backlog: Mapping[str, Backlog] = {}
        self._figures = _Figures()

    def open(self, tx: Transaction) -> tuple[str, ...]:
        """Count this start and note which upstreams there are; gives the names that are gone."""
        for statement in SCHEMA:
            tx.run(statement)
        if "level" not in {row[1] for row in tx.rows(_COLUMNS)}:
            tx.run(_LEVEL)  # a file of an older version
        facts = Facts.load(tx)
        if "log" not in facts.values:
            facts.set("log", secrets.token_hex(3))
        self._recent.clear()
        self.boot, self.log = facts.add("boot", 1), str(facts.values["log"])
        known = {key.partition(":")[2] for key in facts.values if key.startswith("cursor:")}
        for name in known - set(self.upstreams):
            tx.run("DELETE FROM state WHERE key IN (?, ?)", (f"cursor:{name}", f"waiting:{name}"))
        for name in set(self.upstreams) - known:
            facts.set(f"cursor:{name}", facts.number("position"))
        if facts.number("costs") != COSTS:
            facts.set("costs", COSTS)
            facts.set("bytes", tx.number(f"SELECT sum({COST}) FROM records"))  # noqa: S608 - a constant
        self._sweep(tx, facts)
        facts.save(tx)
        self._figure(tx, facts)
        return tuple(sorted(known - set(self.upstreams)))

    def write(
        self,
        tx: Transaction,
        drafts: Iterable[Draft],
        done: Done,
        wall: int,
    ) -> None:
        """Append records, note what is acknowledged, and delete what all have."""
        facts = Facts.load(tx)
        for name, position in done.upto.items():
            self._advance(tx, facts, name, position)
        for name, positions in done.beyond.items():
            self._strike(tx, facts, name, positions)
        if done.close:
            self._append(tx, facts, [self._close(facts, wall)])
        self._append(tx, facts, drafts)
        if facts.number("bytes") > self.quota:
            self._recent.clear()  # thinning changes what stands behind a position
            room = Room(tx, facts, self.upstreams, self.quota, self._taken)
            self._append(tx, facts, room.make(wall, self.told))
        self._sweep(tx, facts)
        facts.save(tx)
        self._figure(tx, facts)

    def read(
        self, tx: Transaction, upstream: str, after: int, limit: int, until: int = _FAR
    ) -> list[Record]:
        """The next records of an upstream behind a position, up to another, oldest first."""
        rows = tx.rows(
            "SELECT position, kind, stream, seq, boot, wall, body FROM records"
            " WHERE position > ? AND position <= ? AND instr(upstreams, ?)"
            " ORDER BY position LIMIT ?",
            (after, until, listed((upstream,)), limit),
        )
        if rows:
            self._taken = max(self._taken, rows[-1][0])
        return [self._unpack(Record(*row)) for row in rows]

    def _unpack(self, record: Record) -> Record:
        return replace(record, body=self._recent.get(record.position) or unpacked(record.body))

    # ------------------------------------------------------------ parts of a write

    def _append(self, tx: Transaction, facts: Facts, drafts: Iterable[Draft]) -> None:
        rows: list[Row] = []
        for draft in drafts:
            position = facts.add("position", 1)
            sequence = facts.add(f"seq:{draft.stream}", 1)
            names, body = listed(draft.upstreams), draft.stored or packed(draft.body)
            row = (position, draft.kind, self._full(facts, draft.stream), sequence)
            rows.append((*row, self.boot, draft.wall, body, names))
            self._remember(position, draft.body)
            facts.add("bytes", cost(body))
            for name in draft.upstreams:
                facts.add(f"waiting:{name}", 1)
        tx.many("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)", rows)

    def _remember(self, position: int, body: bytes) -> None:
        """Keep the newest as they are: most are asked for at once."""
        self._recent[position] = body
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]

    def _full(self, facts: Facts, stream: str) -> str:
        """A stream's name with its log and, from the second on, its section."""
        section = facts.number("section")
        return f"{stream}@{self.log}.{section + 1}" if section else f"{stream}@{self.log}"

    def _close(self, facts: Facts, wall: int) -> Draft:
        """End all streams here; the record that says so is the first of the next section."""
        counted = [key for key in facts.values if key.startswith("seq:")]
        ended = {
            self._full(facts, key.partition(":")[2]): facts.number(key)
            for key in sorted(counted)
            if facts.number(key)
        }
        for key in counted:
            facts.set(key, 0)
        facts.add("section", 1)
        facts.set("split", facts.number("position"))
        return Draft("closed", "closed", self.told, payload.closed(ended, wall), wall)

    def _strike(self, tx: Transaction, facts: Facts, name: str, positions: Iterable[int]) -> None:
        """Note what an upstream has ahead of its cursor, on the records themselves."""
        for position in positions:
            rows = tx.rows(
                f"SELECT upstreams, {COST} FROM records WHERE position = ?",  # noqa: S608 - a constant
                (position,),
            )
            if not rows or name not in names_in(rows[0][0]):
                continue
            facts.add(f"waiting:{name}", -1)
            left = [each for each in names_in(rows[0][0]) if each != name]
            if left:
                tx.run(
                    "UPDATE records SET upstreams = ? WHERE position = ?", (listed(left), position)
                )
            else:
                tx.run("DELETE FROM records WHERE position = ?", (position,))
                facts.add("bytes", -rows[0][1])

    def _advance(self, tx: Transaction, facts: Facts, name: str, position: int) -> None:
        cursor = facts.number(f"cursor:{name}")
        if position <= cursor:
            return
        done = tx.number(
            "SELECT count(*) FROM records WHERE position > ? AND position <= ?"
            " AND instr(upstreams, ?)",
            (cursor, position, listed((name,))),
        )
        facts.add(f"waiting:{name}", -done)
        facts.set(f"cursor:{name}", position)

    def _sweep(self, tx: Transaction, facts: Facts) -> None:
        """Delete what every upstream has. One that waits for nothing stands at the head."""
        head = lowest = facts.number("position")
        for name in self.upstreams:
            if facts.number(f"waiting:{name}") <= 0:
                facts.set(f"cursor:{name}", head)
            lowest = min(lowest, facts.number(f"cursor:{name}"))
        freed = tx.number(
            f"SELECT sum({COST}) FROM records WHERE position <= ?",  # noqa: S608 - a constant
            (lowest,),
        )
        if freed:
            tx.run("DELETE FROM records WHERE position <= ?", (lowest,))
            facts.add("bytes", -freed)

    def _figure(self, tx: Transaction, facts: Facts) -> None:
        """Have new figures ready for the event loop: whole objects, replaced and never changed."""
        backlog = {}
        for name in self.upstreams:
            waiting = facts.number(f"waiting:{name}")
            cursor = facts.number(f"cursor:{name}")
            oldest = self._oldest(tx, name, cursor) if waiting > 0 else 0
            backlog[name] = Backlog(waiting, oldest)
        cursors = {name: facts.number(f"cursor:{name}") for name in self.upstreams}
        numbers = (facts.number("bytes"), facts.number("position"), facts.number("split"))
        self._figures = _Figures(*numbers, cursors, backlog)

    def publish(self) -> None:
        """Let the figures be seen, now that the transaction they come from is committed."""
        figures = self._figures
        self.bytes, self.head, self.split = figures.bytes, figures.head, figures.split
        self.cursors, self.backlog = figures.cursors, figures.backlog

    def _oldest(self, tx: Transaction, name: str, cursor: int) -> int:
        return tx.number(
            "SELECT wall FROM records WHERE position > ? AND instr(upstreams, ?)"
            " ORDER BY position LIMIT 1",
            (cursor, listed((name,))),
        )
