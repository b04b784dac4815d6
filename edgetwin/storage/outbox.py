"""The outbox: a log on disk of everything that is to go upstream, and one cursor per upstream.

    write ─▶ │ 41 │ 42 │ 43 │ 44 │ 45 │ 46 │ ◀─ position
                  ▲ cursor "plant"   ▲ cursor "cloud"
       deleted ◀──┘ (the lowest)     └── moved by PUBACK only, saved with the next write

A record gets its stream's next sequence number in the transaction that makes it durable, and is
sent only after that; so a subscriber that holds 1 … n of a stream holds all there is. A stream is
named after its log (``event@5f3a9c``): a new or replaced log starts new streams at 1 and can never
repeat a number of an old one.

The quota is hard. When it is passed the oldest records go, a sixteenth of it at once, summaries and
values before events and gaps last, and in the same transaction a gap record per stream tells which.

All methods run in the database's thread, inside the transaction they are given.
"""

import secrets
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edgetwin.core import payload
from edgetwin.core.payload import Gap
from edgetwin.storage.database import Row, Transaction

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS records (position INTEGER PRIMARY KEY, kind TEXT, stream TEXT,"
    " seq INTEGER, boot INTEGER, wall INTEGER, body BLOB, upstreams TEXT)",
)
_ROW_BYTES = 100  # what a record takes beside its body: columns, page share
_CHUNK = 1000
_PACKED_FROM = 1000  # bodies from here on are compressed: a fifth of the bytes to write, 10 us/KB
_OLDEST = "SELECT position, stream, seq, upstreams, length(body) FROM records"
_DROPPED_IN_TURN = (
    f"{_OLDEST} WHERE kind NOT IN ('event', 'gap') ORDER BY position LIMIT ?",
    f"{_OLDEST} WHERE kind <> 'gap' ORDER BY position LIMIT ?",
    f"{_OLDEST} ORDER BY position LIMIT ?",
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A record before it has a number. ``stream`` is still without its log; ``wall`` is UTC ns."""

    kind: str
    stream: str
    upstreams: tuple[str, ...]
    body: bytes
    wall: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record on disk. ``kind`` is also the last part of its topic."""

    position: int
    kind: str
    stream: str
    sequence: int
    boot: int
    wall: int
    stored: bytes

    @property
    def body(self) -> bytes:
        """What was drafted."""
        return self.stored if self.stored.startswith(b"{") else zlib.decompress(self.stored)

    @property
    def payload(self) -> bytes:
        """What is sent."""
        return payload.envelope(self.body, self.stream, self.sequence, self.boot)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What an upstream has not acknowledged; ``oldest`` is when that was made (UTC ns, 0: none)."""

    records: int = 0
    oldest: int = 0


@dataclass(slots=True)
class _State:
    """The few facts that change with every write: one small table, one page."""

    values: dict[str, int | str]
    changed: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, tx: Transaction) -> "_State":
        return cls({str(key): value for key, value in tx.rows("SELECT key, value FROM state")})

    def number(self, key: str) -> int:
        return int(self.values.get(key, 0))

    def set(self, key: str, value: int | str) -> None:
        if self.values.get(key) != value:
            self.values[key] = value
            self.changed.add(key)

    def add(self, key: str, amount: int) -> int:
        self.set(key, self.number(key) + amount)
        return self.number(key)

    def save(self, tx: Transaction) -> None:
        tx.many(
            "INSERT OR REPLACE INTO state VALUES (?, ?)",
            [(key, self.values[key]) for key in sorted(self.changed)],
        )


class Outbox:
    """The records of all streams for these upstreams, never more than ``quota`` bytes of them."""

    def __init__(self, upstreams: Iterable[str], quota: int) -> None:
        self.upstreams = tuple(upstreams)
        self.quota = quota
        self.boot = 0
        self.log = ""
        self.bytes = 0
        self.head = 0
        self.cursors: Mapping[str, int] = {}
        self.backlog: Mapping[str, Backlog] = {}

    def open(self, tx: Transaction) -> tuple[str, ...]:
        """Count this start and note which upstreams there are; gives the names that are gone."""
        for statement in SCHEMA:
            tx.run(statement)
        state = _State.load(tx)
        if "log" not in state.values:
            state.set("log", secrets.token_hex(3))
        self.boot, self.log = state.add("boot", 1), str(state.values["log"])
        known = {key.partition(":")[2] for key in state.values if key.startswith("cursor:")}
        for name in known - set(self.upstreams):
            tx.run("DELETE FROM state WHERE key IN (?, ?)", (f"cursor:{name}", f"waiting:{name}"))
        for name in set(self.upstreams) - known:
            state.set(f"cursor:{name}", state.number("position"))
        self._sweep(tx, state)
        state.save(tx)
        self._publish(tx, state)
        return tuple(sorted(known - set(self.upstreams)))

    def write(
        self, tx: Transaction, drafts: Iterable[Draft], acked: Mapping[str, int], wall: int
    ) -> None:
        """Append records, move the cursors to what is acknowledged, and delete what all have."""
        state = _State.load(tx)
        for name, position in acked.items():
            self._advance(tx, state, name, position)
        self._append(tx, state, drafts)
        if state.number("bytes") > self.quota:
            self._append(tx, state, self._drop(tx, state, wall))
        self._sweep(tx, state)
        state.save(tx)
        self._publish(tx, state)

    def read(self, tx: Transaction, upstream: str, after: int, limit: int) -> list[Record]:
        """The next records of an upstream behind a position, oldest first."""
        rows = tx.rows(
            "SELECT position, kind, stream, seq, boot, wall, body FROM records"
            " WHERE position > ? AND instr(upstreams, ?) ORDER BY position LIMIT ?",
            (after, _list((upstream,)), limit),
        )
        return [Record(*row) for row in rows]

    # ------------------------------------------------------------ parts of a write

    def _append(self, tx: Transaction, state: _State, drafts: Iterable[Draft]) -> None:
        rows: list[Row] = []
        for draft in drafts:
            position = state.add("position", 1)
            sequence = state.add(f"seq:{draft.stream}", 1)
            stream = f"{draft.stream}@{self.log}"
            names, body = _list(draft.upstreams), _packed(draft.body)
            rows.append(
                (position, draft.kind, stream, sequence, self.boot, draft.wall, body, names)
            )
            state.add("bytes", len(body) + _ROW_BYTES)
            for name in draft.upstreams:
                state.add(f"waiting:{name}", 1)
        tx.many("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _advance(self, tx: Transaction, state: _State, name: str, position: int) -> None:
        cursor = state.number(f"cursor:{name}")
        if position <= cursor:
            return
        done = tx.number(
            "SELECT count(*) FROM records WHERE position > ? AND position <= ?"
            " AND instr(upstreams, ?)",
            (cursor, position, _list((name,))),
        )
        state.add(f"waiting:{name}", -done)
        state.set(f"cursor:{name}", position)

    def _sweep(self, tx: Transaction, state: _State) -> None:
        """Delete what every upstream has. One that waits for nothing stands at the head."""
        head = lowest = state.number("position")
        for name in self.upstreams:
            if state.number(f"waiting:{name}") <= 0:
                state.set(f"cursor:{name}", head)
            lowest = min(lowest, state.number(f"cursor:{name}"))
        freed = tx.number(
            "SELECT sum(length(body) + ?) FROM records WHERE position <= ?", (_ROW_BYTES, lowest)
        )
        if freed:
            tx.run("DELETE FROM records WHERE position <= ?", (lowest,))
            state.add("bytes", -freed)

    def _drop(self, tx: Transaction, state: _State, wall: int) -> list[Draft]:
        """Make room: the oldest go. Gives the gap records that say so."""
        room = self.quota - self.quota // 16
        gone: dict[str, list[int]] = {}
        for oldest in _DROPPED_IN_TURN:
            while state.number("bytes") > room:
                rows = tx.rows(oldest, (_CHUNK,))
                if not rows:
                    break
                self._delete(tx, state, rows, room, gone)
        return [self._gap(stream, numbers, wall) for stream, numbers in gone.items()]

    def _delete(
        self,
        tx: Transaction,
        state: _State,
        rows: list[Row],
        room: int,
        gone: dict[str, list[int]],
    ) -> None:
        dropped: list[Row] = []
        for position, stream, sequence, names, size in rows:
            if state.number("bytes") <= room:
                break
            state.add("bytes", -size - _ROW_BYTES)
            for name in _names(names):
                if name in self.upstreams and position > state.number(f"cursor:{name}"):
                    state.add(f"waiting:{name}", -1)
            gone.setdefault(stream, []).append(sequence)
            dropped.append((position,))
        tx.many("DELETE FROM records WHERE position = ?", dropped)

    def _gap(self, stream: str, numbers: list[int], wall: int) -> Draft:
        reason = f"the outbox is full ({self.quota} bytes): the oldest records were dropped"
        missing = Gap(stream, numbers[0], numbers[-1], len(numbers), reason)
        return Draft("gap", "gap", self.upstreams, payload.gap(missing, wall), wall)

    def _publish(self, tx: Transaction, state: _State) -> None:
        """Leave new figures for the event loop: whole objects, replaced and never changed."""
        backlog = {}
        for name in self.upstreams:
            waiting = state.number(f"waiting:{name}")
            cursor = state.number(f"cursor:{name}")
            oldest = self._oldest(tx, name, cursor) if waiting > 0 else 0
            backlog[name] = Backlog(waiting, oldest)
        self.bytes, self.head = state.number("bytes"), state.number("position")
        self.cursors = {name: state.number(f"cursor:{name}") for name in self.upstreams}
        self.backlog = backlog

    def _oldest(self, tx: Transaction, name: str, cursor: int) -> int:
        return tx.number(
            "SELECT wall FROM records WHERE position > ? AND instr(upstreams, ?)"
            " ORDER BY position LIMIT 1",
            (cursor, _list((name,))),
        )


def _list(names: Iterable[str]) -> str:
    """``,cloud,plant,``: the form in which a record says for whom it is, findable by ``instr``."""
    return f",{','.join(names)},"


def _names(text: str) -> list[str]:
    return text.strip(",").split(",")


def _packed(body: bytes) -> bytes:
    return zlib.compress(body, 1) if len(body) >= _PACKED_FROM else body
