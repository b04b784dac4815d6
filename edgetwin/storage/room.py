"""How the outbox makes room when its quota is passed: what is worth least goes first.

    1  raw values                         dropped: the summaries tell of the same time
    2  summaries, the oldest first        thinned to one a minute, then to one in ten minutes
    3  summaries                          dropped
    4  events, then gap records           dropped

A *thinned* record stands for those of its stream that it was made of, carries the number of the
last of them, and says which: ``"thinned":{"from_seq":7,"to_seq":12,"count":6}``. Of what is dropped
a gap record tells, one for each unbroken run of numbers. So for each stream: numbers sent + numbers
thinned away + numbers in gaps = numbers given out, each once.

What an upstream may already be sending is not thinned: it would come twice, whole and thinned.
"""

from dataclasses import dataclass, field
from itertools import groupby
from time import sleep

from edgetwin.core import payload
from edgetwin.core.payload import Gap
from edgetwin.core.thin import birth, merge, numbers
from edgetwin.storage.database import Row, Transaction
from edgetwin.storage.facts import Facts
from edgetwin.storage.record import COST, Draft, cost, names_in, packed, unpacked

SPANS = (60_000_000_000, 600_000_000_000)
"""What summaries are thinned to, ns."""

_CHUNK = 500
_VALUES = "kind = 'values'"
_NEXT = "kind NOT IN ('event', 'gap', 'closed')"
_EVENTS = "kind NOT IN ('gap', 'closed')"
_ALL = "1"


@dataclass(slots=True)
class Room:
    """One clearing out, inside one transaction. ``taken``: the last position handed out to any."""

    tx: Transaction
    facts: Facts
    upstreams: tuple[str, ...]
    quota: int
    taken: int
    gone: dict[str, list[int]] = field(default_factory=dict)

    def make(self, wall: int, told: tuple[str, ...]) -> list[Draft]:
        """Come down to fifteen sixteenths of the quota. Gives the gap records for who is told."""
        enough = self.quota - self.quota // 16
        self._drop(_VALUES, enough)
        for level in range(len(SPANS)):
            self._thin(level + 1, enough)
        for which in (_NEXT, _EVENTS, _ALL):
            self._drop(which, enough)
        return [
            self._gap(stream, run, told, wall)
            for stream, lost in self.gone.items()
            for run in _runs(sorted(lost))
        ]

    @property
    def _bytes(self) -> int:
        return self.facts.number("bytes")

    # ------------------------------------------------------------ thinning

    def _thin(self, level: int, enough: int) -> None:
        while self._bytes > enough:
            rows = self.tx.rows(
                "SELECT position, stream, boot, upstreams, wall, seq, body FROM records"
                " WHERE kind = 'summary' AND level < ? AND position > ?"
                " ORDER BY stream, position LIMIT ?",
                (level, self._untouched(), _CHUNK),
            )
            groups = [list(rows) for _, rows in groupby(rows, lambda row: _slot(row, level))]
            if len(rows) == _CHUNK and len(groups) > 1:
                groups.pop()  # it may go on behind the chunk
            if not groups:
                return
            for group in groups:
                self._join(group, level)
                sleep(0)  # the loop goes first: this thread lets go of the interpreter

    def _untouched(self) -> int:
        """Behind this position nobody has been sent anything."""
        return max(self.taken, *(self.facts.number(f"cursor:{n}") for n in self.upstreams), 0)

    def _join(self, group: list[Row], level: int) -> None:
        """Leave the last of each unbroken run of numbers, standing for all of it."""
        run: list[tuple[Row, bytes, range]] = []
        for row in group:
            body = unpacked(row[6])
            stands_for = numbers(body, row[5])
            if run and (stands_for.start != run[-1][2].stop or not _same(body, run[-1][1])):
                self._replace(run, level)
                run = []
            run.append((row, body, stands_for))
        self._replace(run, level)

    def _replace(self, run: list[tuple[Row, bytes, range]], level: int) -> None:
        last = run[-1][0]
        if len(run) > 1:
            bodies = [body for _, body, _ in run]
            body = packed(merge(bodies, run[0][2].start, run[-1][2].stop - 1))
            self.facts.add("bytes", cost(body) - sum(cost(row[6]) for row, _, _ in run))
            for name in names_in(last[3]):
                if name in self.upstreams:
                    self.facts.add(f"waiting:{name}", 1 - len(run))
            gone = [(row[0],) for row, _, _ in run[:-1]]
            self.tx.many("DELETE FROM records WHERE position = ?", gone)
            self.tx.run("UPDATE records SET body = ? WHERE position = ?", (body, last[0]))
        self.tx.run("UPDATE records SET level = ? WHERE position = ?", (level, last[0]))

    # ------------------------------------------------------------ dropping

    def _drop(self, which: str, enough: int) -> None:
        while self._bytes > enough:
            rows = self.tx.rows(
                f"SELECT position, stream, seq, upstreams, {COST}, level, body FROM records"  # noqa: S608 - constants of this module
                f" WHERE {which} ORDER BY position LIMIT ?",
                (_CHUNK // 10,),
            )
            if not rows:
                return
            self._delete(rows, enough)

    def _delete(self, rows: list[Row], enough: int) -> None:
        dropped: list[Row] = []
        for position, stream, sequence, names, size, level, body in rows:
            if self._bytes <= enough:
                break
            self.facts.add("bytes", -size)
            for name in names_in(names):
                if name in self.upstreams and position > self.facts.number(f"cursor:{name}"):
                    self.facts.add(f"waiting:{name}", -1)
            stood_for = numbers(unpacked(body), sequence) if level else (sequence,)
            self.gone.setdefault(stream, []).extend(stood_for)
            dropped.append((position,))
        self.tx.many("DELETE FROM records WHERE position = ?", dropped)

    def _gap(self, stream: str, run: list[int], told: tuple[str, ...], wall: int) -> Draft:
        reason = f"the outbox is full ({self.quota} bytes): the oldest records were dropped"
        missing = Gap(stream, run[0], run[-1], len(run), reason)
        return Draft("gap", "gap", told, payload.gap(missing, wall), wall)


def _slot(row: Row, level: int) -> tuple[object, ...]:
    """What may be joined: one stream, one start of the gateway, one slot of the wall clock."""
    _, stream, boot, names, wall, _, _ = row
    return stream, boot, names, (wall - 1) // SPANS[level - 1]


def _same(body: bytes, other: bytes) -> bool:
    """Whether one birth explains both."""
    return birth(body) == birth(other) != b""


def _runs(ascending: list[int]) -> list[list[int]]:
    """Ascending numbers, cut where one is missing."""
    together = groupby(enumerate(ascending), lambda each: each[1] - each[0])
    return [[number for _, number in run] for _, run in together]
