"""An array written as one: neighbours in one request, one read-back, an answer for each element.

A device sees all elements of a request change at the same instant. Function 16 takes 123 registers,
function 23 takes 121, function 15 takes 1968 coils (application protocol v1.1b3 §6.11, §6.12,
§6.17), and a device perhaps less: what is longer goes in several requests, one after the other.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.blocks import READ_FUNCTION, Block
from edgetwin.core.decode import decoder_for
from edgetwin.core.plan import ModbusSettings, WriteBy
from edgetwin.core.reading import Instant, WriteOutcome, WriteRequest, WriteResult
from edgetwin.core.tags import Tag, TagTable
from edgetwin.devices.modbus.ask import DATA_AT, Exchange, coils_form, read_exchange, write_form
from edgetwin.devices.modbus.writing import compared, result_of

_MOST_REGISTERS, _MOST_COMBINED, _MOST_COILS = 123, 121, 1968


class Stretch:
    """Elements that are written with one request, ready for it and for the read-back."""

    def __init__(self, tags: Sequence[Tag], settings: ModbusSettings) -> None:
        """``tags`` lie side by side, and all may be written."""
        self.tags = tuple(tags)
        table, first, _ = _span(tags[0])
        count = sum(tag.registers for tag in tags)
        self.block = Block(table, READ_FUNCTION[table], first, count, range(len(tags)))
        own = [replace(tag, index=number) for number, tag in enumerate(tags)]
        self.decoder = decoder_for(own, first)
        self.read = read_exchange(settings.unit, self.block)
        self.reads_back = all(tag.write is None or tag.write.read_back for tag in tags)
        if table.is_bits:
            self.form = coils_form(settings.unit, self.block)
        else:
            combined = settings.write_by is WriteBy.COMBINED and self.reads_back
            by = WriteBy.COMBINED if combined else WriteBy.MULTIPLE
            self.form = write_form(settings.unit, self.block, by)

    def join(self, raws: Sequence[bytes]) -> bytes:
        """What ``encode`` made of each element, as one request carries it: coils as single bits."""
        if not self.block.table.is_bits:
            return b"".join(raws)
        bits = np.array([any(raw) for raw in raws], bool)
        return np.packbits(bits, bitorder="little").tobytes()

    def exchange(self, raw: bytes) -> Exchange:
        """The request that writes what ``join`` made."""
        return self.form.exchange(raw)


class StretchWriting(NamedTuple):
    """Elements on their way. ``answer`` is called exactly once for each, in their order."""

    requests: tuple[WriteRequest, ...]
    target: Stretch
    now: Callable[[], Instant]
    answer: Callable[[WriteResult], None]

    @property
    def request(self) -> WriteRequest:
        """The first: all expire together."""
        return self.requests[0]

    def end(self, outcome: WriteOutcome, detail: str = "", read_back: float = math.nan) -> None:
        """Answer for all."""
        for request in self.requests:
            self.answer(result_of(request, outcome, detail, read_back))

    def compare(self, frame: bytes) -> None:
        """Compare each element that the device holds with what it was told."""
        values, _, quality = self.target.decoder.decode(frame, DATA_AT)
        good = np.broadcast_to(np.asarray(quality) == 0, len(values)).tolist()
        rows = zip(self.requests, self.target.tags, values, good, strict=True)
        for request, tag, held, is_good in rows:
            outcome, detail = compared(tag, request.value, float(held), is_good=is_good)
            self.answer(result_of(request, outcome, detail, float(held)))


def stretches(tags: TagTable, device: int, settings: ModbusSettings) -> dict[str, list[Stretch]]:
    """How each writable array of a device is written."""
    found: dict[str, list[Tag]] = {}
    for tag in tags:
        if tag.array and tag.device == device and tag.write is not None:
            found.setdefault(tag.array, []).append(tag)
    return {
        name: [Stretch(part, settings) for part in _parts(elements, settings)]
        for name, elements in found.items()
    }


def _parts(elements: Sequence[Tag], settings: ModbusSettings) -> Iterator[list[Tag]]:
    """Neighbours, as many as one request may hold."""
    if _span(elements[0])[0].is_bits:
        most = min(settings.max_bits, _MOST_COILS)
    else:
        combined = settings.write_by is WriteBy.COMBINED
        most = min(settings.max_registers, _MOST_COMBINED if combined else _MOST_REGISTERS)
    part: list[Tag] = []
    for tag in elements:
        if part and not _fits(part, tag, most):
            yield part
            part = []
        part.append(tag)
    yield part


def _fits(part: Sequence[Tag], tag: Tag, most: int) -> bool:
    _, first, _ = _span(part[0])
    _, start, end = _span(tag)
    return start == _span(part[-1])[2] and end - first <= most


def _span(tag: Tag) -> tuple[Table, int, int]:
    """Its table, its first item, and the one behind its last."""
    address = tag.address
    if not isinstance(address, ModbusAddress):
        raise TypeError(f"{tag.name} has no Modbus address")
    return address.table, address.offset, address.offset + tag.registers
