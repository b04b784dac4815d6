"""The proof that nothing is missing: by gateway, stream and sequence (docs/upstream.md, records).

    message ─▶ take ─▶ new: work with it      merge ◀─ what the other members of the group have
                    └▶ came before: drop it           └▶ holes(produced) ─▶ the proof

Members of a consumer group see different records of the same stream, in no order between them; so
each keeps its own, and what they have is put together. Nothing here depends on order.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from edgetwin.fleet.runs import Runs


class Stream(NamedTuple):
    """One stream of one gateway. Names of logs are random and short: two may share one."""

    gateway: str
    name: str


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers of a stream that neither came nor were told missing."""

    stream: Stream
    first: int
    last: int

    def __str__(self) -> str:
        """``gw-7 event@5f3a9c 12 to 14``."""
        return f"{self.stream.gateway} {self.stream.name} {self.first} to {self.last}"


class Completeness:
    """Which records came, and which never will (as their gateways say).

    ``came``      the numbers of each stream that came
    ``told``      those that never will, because they were thinned or dropped
    ``ends``      the last number of streams that are closed, or whose end somebody knows
    ``replaced``  when (UTC ms) a log of a gateway was begun in place of a damaged one
    ``doubles``   how many records came again under their number
    """

    def __init__(self) -> None:
        self.doubles = 0
        self.came: dict[Stream, Runs] = {}
        self.told: dict[Stream, Runs] = {}
        self.ends: dict[Stream, int] = {}
        self.replaced: dict[tuple[str, str], int] = {}

    def take(self, gateway: str, message: Mapping[str, Any]) -> bool:
        """Note a record as ``core.received.read`` gives it. False: it came before, drop it.

        Raises:
            ValueError: it is no record, or tells what no gateway says.
        """
        stream = Stream(gateway, _text(message.get("stream")))
        number = _number(message.get("seq"))
        if not self.came.setdefault(stream, Runs()).add(number, number):
            self.doubles += 1
            return False
        if "gap" in message:
            self._gap(stream, message["gap"], message.get("at", 0))
        elif "closed" in message:
            for name, last in message["closed"].items():
                self._end(Stream(gateway, name), _number(last))
        elif "thinned" in message:
            self._tell(stream, message["thinned"])
        return True

    def merge(self, other: "Completeness") -> None:
        """Add what another member has; what both have came twice."""
        self.doubles += other.doubles
        for stream, runs in other.came.items():
            new = self.came.setdefault(stream, Runs()).update(runs)
            self.doubles += len(runs) - new
        for stream, runs in other.told.items():
            self.told.setdefault(stream, Runs()).update(runs)
        for stream, last in other.ends.items():
            self._end(stream, last)
        self.replaced |= other.replaced

    def holes(self, produced: Iterable[tuple[Stream, int]] = ()) -> Iterator[Hole]:
        """What is missing: below the highest number of each stream, or below its known end.

        ``produced`` are last numbers that somebody knows who is not the gateway's line: an audit.
        The streams of a log that was damaged and replaced are left out: their gateway said so.
        """
        for stream, last in produced:
            self._end(stream, last)
        for stream in sorted(self.came.keys() | self.ends.keys()):
            if self._excused(stream):
                continue
            known = Runs()
            known.update(self.came.get(stream, Runs()))
            known.update(self.told.get(stream, Runs()))
            for first, last in known.holes(max(known.highest, self.ends.get(stream, 0))):
                yield Hole(stream, first, last)

    @property
    def records(self) -> int:
        """How many different records came."""
        return sum(map(len, self.came.values()))

    @property
    def told_missing(self) -> int:
        """How many numbers were thinned or dropped, as told."""
        return sum(map(len, self.told.values()))

    @property
    def streams(self) -> int:
        """How many streams are known."""
        return len(self.came.keys() | self.ends.keys())

    # ------------------------------------------------------------

    def _gap(self, stream: Stream, gap: Mapping[str, Any], at: int) -> None:
        if gap["stream"] == "*":
            self.replaced[stream.gateway, _log(stream)] = at
        elif gap["from_seq"] is not None and gap["stream"] != "frames":
            self._tell(Stream(stream.gateway, _text(gap["stream"])), gap)

    def _excused(self, stream: Stream) -> bool:
        """Whether another log was begun later because this one was damaged."""
        begun = self.replaced.get((stream.gateway, _log(stream)), -1)
        return any(
            gateway == stream.gateway and log != _log(stream) and at > begun
            for (gateway, log), at in self.replaced.items()
        )

    def _tell(self, stream: Stream, span: Mapping[str, Any]) -> None:
        first, last = _number(span["from_seq"]), _number(span["to_seq"])
        self.told.setdefault(stream, Runs()).add(first, last)

    def _end(self, stream: Stream, last: int) -> None:
        self.ends[stream] = max(last, self.ends.get(stream, 0))


def _log(stream: Stream) -> str:
    """The log that a stream is of, without its section: 5f3a9c of event@5f3a9c.2."""
    return stream.name.partition("@")[2].partition(".")[0]


def _text(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError(f"a record names its stream, not {value!r}")


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"a sequence number is a whole number from 1, not {value!r}")
    return value
