"""The block reads of one scan group, and the hunt for addresses that the device does not have.

A device that misses one single address of a block refuses the whole block. So a refused block is
halved, and the halves are asked for in the same scan, until one tag alone is refused. That tag is a
config error, logged once and not asked for again on this connection; its neighbours are read in the
pieces that were found, now and from then on. One bad tag among 125 costs at most 14 extra requests,
once.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgetwin.core.blocks import Block, Limits, plan_blocks
from edgetwin.core.decode import decoder_for
from edgetwin.core.plan import ScanGroup
from edgetwin.core.quality import Quality
from edgetwin.core.reading import ReadingBatch
from edgetwin.core.tags import TagTable
from edgetwin.devices.driver import Sink
from edgetwin.devices.modbus.ask import DATA_AT, Ask, Failure, Trouble, read_exchange
from edgetwin.devices.modbus.line import Line

_log = logging.getLogger(__name__)

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
    """One scan group: its reads, and how many of them are out."""

    def __init__(self, unit: Unit, group: ScanGroup) -> None:
        self.unit = unit
        self._reads = self._plan(group.tags)
        self._out = 0

    @property
    def is_out(self) -> bool:
        """Whether replies of the last scan are still awaited."""
        return self._out > 0

    def start(self, line: Line) -> None:
        """Ask for every block that the device has."""
        reads = [read for read in self._reads if not read.illegal]
        self._out = len(reads)
        for read in reads:
            read.line = line
        line.send(reads)

    def forgive(self) -> None:
        """A new connection: ask once more for what the device did not have."""
        for read in self._reads:
            read.illegal = False

    def ended(self) -> None:
        """One read of this scan is over."""
        self._out -= 1

    def halve(self, read: "BlockRead") -> None:
        """A block was refused: ask for each half, in the same scan."""
        tags = read.block.tags
        middle = (tags.start + tags.stop) // 2
        halves = [
            *self._plan(range(tags.start, middle)),
            *self._plan(range(middle, tags.stop)),
        ]
        at = self._reads.index(read)
        self._reads[at : at + 1] = halves
        self._out += len(halves)
        for half in halves:
            half.line = read.line
        if read.line is not None:
            read.line.send(halves)

    def _plan(self, tags: Iterable[int]) -> "list[BlockRead]":
        blocks = plan_blocks([self.unit.tags[i] for i in tags], self.unit.limits)
        return [BlockRead(self, block) for block in blocks]


class BlockRead(Ask):
    """One block: its request, its decoder, and how its last read ended."""

    __slots__ = ("_decoder", "_scan", "_trouble", "_where", "block", "illegal", "line")

    def __init__(self, scan: GroupScan, block: Block) -> None:
        unit = scan.unit
        super().__init__(read_exchange(unit.number, block))
        self.block = block
        self.illegal = False
        self.line: Line | None = None
        self._scan = scan
        self._where = slice(block.tags.start, block.tags.stop)
        self._decoder = decoder_for([unit.tags[i] for i in block.tags], block.first)
        self._trouble: Quality | None = None

    def good(self, frame: bytes) -> None:
        """Decode and hand over, in the turn in which the bytes came in."""
        values, objects, quality = self._decoder.decode(frame, DATA_AT)
        if self._trouble is not None:
            self._trouble = None
            _log.info("%s: it answers again for %s", self._scan.unit.name, self._words())
        self._scan.ended()
        self._scan.unit.sink.readings(ReadingBatch(self._where, values, quality, 0, objects))

    def failed(self, failure: Failure) -> None:
        """Say of the tags that they are bad and why; or look which of them is."""
        self._scan.ended()
        if failure.is_illegal and len(self.block.tags) > 1:
            self._scan.halve(self)
            return
        self.illegal = failure.is_illegal
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
