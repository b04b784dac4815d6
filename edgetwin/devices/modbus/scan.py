"""The block reads of one scan group, and the hunt for addresses that the device does not have.

A device that misses one single address of a block refuses the whole block. So a refused block is
halved, and the halves are asked for in the same scan, until one tag alone is refused. That tag is a
config error, logged once and not asked for again on this connection. One bad tag among 125 costs at
most 14 extra requests, once. With the next scan the pieces are joined again around the tag::

    refused   ■■■■■■■■✗■■■■■■■
    hunt      ■■■■■■■■  ✗■  ■■  ■■■■ …       each piece has answered, ✗ has not
    joined    └──────┘   └──────────┘

What makes a device refuse can also be a hole between the tags, or a request longer than it can
bear. So what was once refused as a whole is never put together again, and a joined block that is
refused falls back to its pieces in the same scan. And a device that restarts may refuse for a while
what it has: so once a minute one of the tags it does not have is asked for, and as soon as one
answers, all of them are.
"""

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgetwin.core.blocks import Block, Limits, Span, join_blocks, plan_blocks
from edgetwin.core.decode import decoder_for
from edgetwin.core.plan import SECOND, ScanGroup
from edgetwin.core.quality import Quality
from edgetwin.core.reading import ReadingBatch
from edgetwin.core.tags import TagTable
from edgetwin.core.tuples import new
from edgetwin.devices.driver import Sink
from edgetwin.devices.modbus.ask import DATA_AT, Ask, Failure, Trouble, read_exchange
from edgetwin.devices.modbus.lane import Lane

_log = logging.getLogger(__name__)

_ASK_AGAIN = 60 * SECOND

# Silence is told of the tags by the twin and of the device when it lasts.
_TOLD_ELSEWHERE = (Trouble.LINE_LOST, Trouble.SILENT)


@dataclass(frozen=True, slots=True)
class Unit:
    """What every request of one device shares."""

    name: str
    number: int
    tags: TagTable
    limits: Limits
    sink: Sink


class GroupScan:
    """One scan group: its reads, and how many of them are out.

    It hands the lane a few reads at a time, so that groups of one device take turns: a short fast
    scan, such as that of a loop's input, never waits behind the whole of a long one.
    """

    def __init__(self, unit: Unit, group: ScanGroup) -> None:
        self.unit = unit
        self._reads = self._plan(group.tags)
        self._out = 0
        self._behind: deque[BlockRead] = deque()  # bounded: reads of this scan not yet handed on
        self._handing_on = False
        self._lane: Lane | None = None
        self._refused: list[Span] = []  # bounded: each is a block, and never asked for again
        self._torn = False
        self._scans = 0
        self._ask_again_every = max(_ASK_AGAIN // group.period, 1)

    @property
    def is_out(self) -> bool:
        """Whether replies of the last scan are still awaited."""
        return self._out > 0

    def start(self, lane: Lane) -> None:
        """Ask for every block that the device has."""
        if self._torn:
            self._mend()
        self._scans += 1
        if self._scans % self._ask_again_every == 0:
            self._ask_again(self._scans // self._ask_again_every)
        reads = [read for read in self._reads if not read.illegal]
        self._out = len(reads)
        self._lane = lane
        few = 2 * lane.in_flight
        self._behind.extend(reads[few:])
        lane.send(reads[:few])

    def forgive(self) -> None:
        """Ask once more for what the device did not have, as after a new connection."""
        for read in self._reads:
            read.illegal = False

    def _ask_again(self, turn: int) -> None:
        illegal = [read for read in self._reads if read.illegal]
        if illegal:
            illegal[turn % len(illegal)].illegal = False

    def found(self) -> None:
        """The device has a tag after all that it did not have: so it may have the others too."""
        self._refused.clear()
        self._torn = True
        self.forgive()

    def ended(self) -> None:
        """One read of this scan is over: others may go."""
        self._out -= 1
        if self._behind and not self._handing_on:
            self._hand_on()

    def _hand_on(self) -> None:
        """Never from within itself: without a line each read fails while it is handed over."""
        lane, behind = self._lane, self._behind
        if lane is None or self._out - len(behind) > lane.in_flight:
            return
        self._handing_on = True
        while behind and self._out - len(behind) <= lane.in_flight:
            lane.send([behind.popleft() for _ in range(min(lane.in_flight, len(behind)))])
        self._handing_on = False

    def divide(self, read: "BlockRead") -> None:
        """A block was refused: ask for its pieces or for each half, in the same scan."""
        block = read.block
        middle = (block.tags.start + block.tags.stop) // 2
        pieces = list(read.pieces) or [
            *self._plan(range(block.tags.start, middle)),
            *self._plan(range(middle, block.tags.stop)),
        ]
        self._refused.append(Span(block.table, block.first, block.first + block.count - 1))
        self._torn = True
        at = self._reads.index(read)
        self._reads[at : at + 1] = pieces
        self._out += len(pieces)
        read.lane.send(pieces)

    def _mend(self) -> None:
        """The hunt is over: read in as few requests as the device allows again."""
        self._torn = False
        whole = [read for read in self._reads if not read.alone]
        kept = {read.block: read for read in whole}
        joined = join_blocks([read.block for read in whole], self.unit.limits, self._refused)
        reads = [read for read in self._reads if read.alone]
        for block in joined:
            pieces = tuple(
                r for r in whole if block.tags.start <= r.block.tags.start < block.tags.stop
            )
            reads.append(kept.get(block) or BlockRead(self, block, pieces))
        self._reads = sorted(reads, key=lambda read: read.block.tags.start)

    def _plan(self, tags: Iterable[int]) -> "list[BlockRead]":
        blocks = plan_blocks([self.unit.tags[i] for i in tags], self.unit.limits)
        return [BlockRead(self, block) for block in blocks]


class BlockRead(Ask):
    """One block: its request, its decoder, and how its last read ended."""

    __slots__ = (
        "_decoder",
        "_scan",
        "_trouble",
        "_where",
        "alone",
        "block",
        "illegal",
        "pieces",
    )

    def __init__(self, scan: GroupScan, block: Block, pieces: "tuple[BlockRead, ...]" = ()) -> None:
        unit = scan.unit
        super().__init__(read_exchange(unit.number, block))
        self.block = block
        self.illegal = False  # not asked for again on this connection
        self.alone = False  # refused by itself when last asked: nothing is joined with it
        self.pieces = pieces  # what it was joined from, until it has answered
        self._scan = scan
        self._where = slice(block.tags.start, block.tags.stop)
        self._decoder = decoder_for([unit.tags[i] for i in block.tags], block.first)
        self._trouble: Quality | None = None

    def good(self, frame: bytes) -> None:
        """Decode and hand over, in the turn in which the bytes came in."""
        values, objects, quality = self._decoder.decode(frame, DATA_AT)
        self.pieces = ()
        if self.alone:
            self.alone = False
            self._scan.found()
        if self._trouble is not None:
            self._trouble = None
            _log.info("%s: it answers again for %s", self._scan.unit.name, self._words())
        batch = new(ReadingBatch, (self._where, values, quality, 0, objects))
        self._scan.unit.sink.readings(batch)
        self._scan.ended()  # last: what was decided by these values is sent before the next read

    def failed(self, failure: Failure) -> None:
        """Say of the tags that they are bad and why; or look which of them is."""
        if failure.is_illegal and len(self.block.tags) > 1:
            self._scan.divide(self)
        else:
            self._spoil(failure)
        self._scan.ended()

    def _spoil(self, failure: Failure) -> None:
        if failure.is_illegal:
            self.illegal = self.alone = True
        quality = failure.quality
        if quality is not self._trouble and failure.trouble not in _TOLD_ELSEWHERE:
            self._trouble = quality
            self._tell(failure)
        count = len(self.block.tags)
        spoiled = np.full(count, quality, np.uint8)
        self._scan.unit.sink.readings(ReadingBatch(self._where, np.full(count, np.nan), spoiled))

    def _tell(self, failure: Failure) -> None:
        if not failure.is_illegal:
            _log.warning("%s: %s: %s", self._scan.unit.name, self._words(), failure.words)
            return
        tag = self._scan.unit.tags[self.block.tags.start]
        _log.warning(
            "%s: %s (%s): %s. Correct its address in %s; the other tags are read without it",
            self._scan.unit.name,
            tag.name,
            tag.address,
            failure.words,
            tag.place or "the configuration",
        )

    def _words(self) -> str:
        first, last = (self._scan.unit.tags[i] for i in (self._where.start, self._where.stop - 1))
        if first is last:
            return f"{first.name} ({first.address})"
        return f"{first.name} to {last.name} ({first.address} to {last.address})"
