"""The request planner: which registers one scan asks for, in as few requests as the device allows.

A request costs a device milliseconds and a register costs it nothing, so neighbours are read
together, and a hole of up to ``max_gap`` registers is read along rather than asked around::

    tags      ■■■■ ■■   ■■■                      ■■■■■■
    blocks    └── 1 ──────┘                      └─ 2 ─┘

The tags of a scan group lie in the twin in order of address, so each block is a contiguous range of
twin indices. Going from the left and closing a block only when the next tag does not fit gives the
least number of blocks: whatever fits into a block, a part of it does too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.errors import ConfigError
from edgetwin.core.tags import Tag

READ_FUNCTION = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
"""Function codes of Modbus application protocol v1.1b3 §6.1 to §6.4."""

BITS_PER_REGISTER = 16


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbours in a table, ``first`` to ``last``, both offsets and both included."""

    table: Table
    first: int
    last: int

    def meets(self, table: Table, first: int, count: int) -> bool:
        """Whether a request would touch it."""
        return table is self.table and first <= self.last and self.first < first + count

    def __str__(self) -> str:
        """As a technician writes it: ``4x0001`` or ``4x0001-4x0020``."""
        first, last = ModbusAddress(self.table, self.first), ModbusAddress(self.table, self.last)
        return str(first) if self.first == self.last else f"{first}-{last}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device takes in one request.

    ``max_gap`` unused registers may be read along, but never one of a ``forbidden`` span: there are
    devices that refuse the whole request then, clear a counter, or restart.
    """

    max_registers: int = 125
    max_bits: int = 2000
    max_gap: int = 32
    forbidden: tuple[Span, ...] = ()

    def forbids(self, table: Table, first: int, count: int) -> Span | None:
        """The forbidden span that a request would touch, if there is one."""
        return next((span for span in self.forbidden if span.meets(table, first, count)), None)


@dataclass(frozen=True, slots=True)
class Block:
    """One read request: ``count`` items of a table from ``first``; ``tags`` are twin indices."""

    table: Table
    function: int
    first: int
    count: int
    tags: range


def plan_blocks(tags: Sequence[Tag], limits: Limits) -> tuple[Block, ...]:
    """Cover every tag exactly once.

    Args:
        tags: neighbours in the twin with ModbusAddresses, in order of (table, offset, bit).
        limits: what the device takes.

    Raises:
        ConfigError: a tag alone is longer than one request may be, or forbidden.
        ValueError: the tags are not in order.
    """
    for one, other in pairwise(tags):
        if other.index != one.index + 1 or _address(other) < _address(one):
            raise ValueError(f"{other.name} does not follow {one.name} by index and address")
    blocks: list[Block] = []
    for tag in tags:
        grown = _grow(blocks[-1], tag, limits) if blocks else None
        if grown is None:
            blocks.append(_begin(tag, limits))
        else:
            blocks[-1] = grown
    return tuple(blocks)


def join_blocks(
    blocks: Sequence[Block], limits: Limits, refused: Sequence[Span]
) -> tuple[Block, ...]:
    """Blocks that a hunt for illegal addresses has left in pieces, joined as far as is sensible.

    Args:
        blocks: in order of index; only those whose tags follow each other are joined.
        limits: what the device takes.
        refused: spans that it has refused as a whole: no joined block may hold one of them again.
    """
    joined: list[Block] = []
    for block in blocks:
        grown = _join(joined[-1], block, limits) if joined else None
        if grown is None or any(_holds(grown, span) for span in refused):
            joined.append(block)
        else:
            joined[-1] = grown
    return tuple(joined)


def _join(block: Block, other: Block, limits: Limits) -> Block | None:
    if other.table is not block.table or other.tags.start != block.tags.stop:
        return None
    tags = range(block.tags.start, other.tags.stop)
    return _extend(block, other.first, other.count, tags, limits)


def _holds(block: Block, span: Span) -> bool:
    last = block.first + block.count - 1
    return span.table is block.table and block.first <= span.first and span.last <= last


def read_in_vain(block: Block, tags: Sequence[Tag]) -> int:
    """How many items of a block no tag wants; ``tags`` are the block's."""
    wanted = {
        item
        for tag in tags
        for item in range(_address(tag).offset, _address(tag).offset + tag.registers)
    }
    return block.count - len(wanted)


def _begin(tag: Tag, limits: Limits) -> Block:
    address = _address(tag)
    most = limits.max_bits if address.table.is_bits else limits.max_registers
    if tag.registers > most:
        raise ConfigError(
            f"{tag.place or tag.name}: {tag.name} is {tag.registers} registers long, but the "
            f"device gives {most} in one request: raise max_registers, or shorten the tag"
        )
    if span := limits.forbids(address.table, address.offset, tag.registers):
        raise ConfigError(
            f"{tag.place or tag.name}: {tag.name} at {address} lies in {span}, which is forbidden"
        )
    function = READ_FUNCTION[address.table]
    tags = range(tag.index, tag.index + 1)
    return Block(address.table, function, address.offset, tag.registers, tags)


def _grow(block: Block, tag: Tag, limits: Limits) -> Block | None:
    """The block with the tag in it, or None where it does not fit."""
    address = _address(tag)
    if address.table is not block.table:
        return None
    tags = range(block.tags.start, tag.index + 1)
    return _extend(block, address.offset, tag.registers, tags, limits)


def _extend(block: Block, first: int, count: int, tags: range, limits: Limits) -> Block | None:
    """The block with these items in it as well, or None where that is not allowed."""
    bits = block.table.is_bits
    most = limits.max_bits if bits else limits.max_registers
    most_gap = limits.max_gap * BITS_PER_REGISTER if bits else limits.max_gap
    end = block.first + block.count
    total = max(end, first + count) - block.first
    if total > most or first - end > most_gap:
        return None
    if limits.forbidden and limits.forbids(block.table, block.first, total):
        return None
    return Block(block.table, block.function, block.first, total, tags)


def _address(tag: Tag) -> ModbusAddress:
    if not isinstance(tag.address, ModbusAddress):
        raise ConfigError(f"{tag.place or tag.name}: {tag.name} has no Modbus address")
    return tag.address
