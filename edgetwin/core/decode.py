"""Register bytes to float64 columns of engineering values.

Theory of operation. All that depends on the tags is worked out once, at start. Each type has a
*lane*: the bytes of all its tags side by side in one scratch buffer, least significant first, so
that a typed numpy view of the scratch is the column of raw values. One gather fills every lane::

    block bytes   A B C D │ C D A B │ A B │ …         as the device sends them, each in its order
         └── take(permutation) ──▶ scratch   float32 float32 │ int16 │ …
                                   views        <f4            <i2   ──▶ float64 ──▶ scale, offset

Two kinds of value do not fit a float64: unscaled 64-bit integers from 2^53, which lie exactly in
``objects`` (the column holds the nearest float64), and text, which is only there (the column holds
NaN). Raw values that say something other than a number are judged by ``screening``, before scale.
The way back is ``encode``.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.address import ModbusAddress
from edgetwin.core.errors import ConfigError
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Bytes, Floats, Scalar
from edgetwin.core.screening import Screen, Sentinels
from edgetwin.core.tags import Tag, ValueType
from edgetwin.core.tuples import new

Objects: TypeAlias = tuple[tuple[int, Scalar], ...]

_VIEWS = {
    ValueType.INT64: "<i8",
    ValueType.UINT64: "<u8",
    ValueType.FLOAT64: "<f8",
    ValueType.INT32: "<i4",
    ValueType.UINT32: "<u4",
    ValueType.FLOAT32: "<f4",
    ValueType.BCD32: "<u4",
    ValueType.INT16: "<i2",
    ValueType.UINT16: "<u2",
    ValueType.BCD16: "<u2",
    ValueType.BIT: "<u2",
}
"""How each type lies in the scratch; widest first, so that every view is aligned."""

_PLAIN = {
    ValueType.FLOAT64: ">d",
    ValueType.INT32: ">i",
    ValueType.UINT32: ">I",
    ValueType.FLOAT32: ">f",
    ValueType.INT16: ">h",
    ValueType.UINT16: ">H",
}
"""Types of which one alone needs no columns."""

_FLOATS = (ValueType.FLOAT32, ValueType.FLOAT64)
_BCD = (ValueType.BCD16, ValueType.BCD32)
_EXACT = (ValueType.INT64, ValueType.UINT64)
_LETTERS = "ABCDEFGH"
_SMALL = 1e200
_WHOLE = 2.0**53  # below, every integer is a float64 (IEEE 754 binary64)


class Decoded(NamedTuple):
    """A column of engineering values, what float64 cannot hold, and the quality (0: all good)."""

    values: Floats
    objects: Objects
    quality: Bytes | int = 0


@dataclass(frozen=True, slots=True)
class _Lane:
    """The tags of one type: a view of the scratch, and where they go in the column of lanes."""

    type: ValueType
    view: NDArray[Any]
    into: slice
    shifts: NDArray[np.uint16]
    exact: tuple[int, ...]

    def fill(self, column: Floats) -> None:
        """Turn raw values to float64."""
        if self.type is ValueType.BIT:
            column[self.into] = (self.view >> self.shifts) & 1
        elif self.type in _BCD:
            column[self.into] = _from_bcd(self.view)
        else:
            column[self.into] = self.view

    def beyond_float(self) -> Iterator[tuple[int, int]]:
        """Twin index and value of each unscaled integer that float64 may have rounded."""
        far = np.abs(self.view.astype(np.float64)) >= _WHOLE
        for at in np.flatnonzero(far).tolist() if far.any() else ():
            if self.exact[at] >= 0:
                yield self.exact[at], int(self.view[at])


class RegisterDecoder:
    """Decodes the registers of one block: made at start, used at each scan, by one caller."""

    def __init__(self, tags: Sequence[Tag], first: int) -> None:
        """Compile.

        Args:
            tags: the block's tags in order of index.
            first: offset of the block's first register.

        Raises:
            ConfigError: a tag's type or byte order cannot be read from registers.
        """
        self._count = len(tags)
        self._index = tags[0].index
        self._texts = tuple(_Text.of(tag, first) for tag in tags if tag.type is ValueType.TEXT)
        places = [i for i, tag in enumerate(tags) if tag.type is not ValueType.TEXT]
        order = list(_VIEWS)
        for i in places:
            _check(tags[i])
        places.sort(key=lambda i: order.index(tags[i].type))  # stable: in a lane, by index
        gather = [byte for i in places for byte in _bytes_of(tags[i], first)]
        self._gather = np.array(gather, np.intp)
        self._scratch = np.empty(len(gather), np.uint8)
        self._bytes = max([byte + 1 for byte in gather] + [text.end for text in self._texts])
        self._lanes = tuple(self._cut(tags, places))
        self._back = _positions(places, self._count)
        self._screen = Screen.of(tags, self._sentinels(tags, places))
        self._scale = _column([tag.scale for tag in tags], 1.0)
        self._offset = _column([tag.offset for tag in tags], 0.0)
        self._single = self._lanes[0].view if self._is_single(places) else None
        # Elsewhere signalling NaN and overflow make numpy warn, where NaN and inf say it all.
        whole = all(lane.type not in _FLOATS for lane in self._lanes)
        self._is_calm = whole and self._screen is None and _is_small(self._scale, self._offset)

    def _cut(self, tags: Sequence[Tag], places: list[int]) -> list[_Lane]:
        lanes, at, start = [], 0, 0
        for kind, code in _VIEWS.items():
            mine = [tags[i] for i in places if tags[i].type is kind]
            if not mine:
                continue
            size = np.dtype(code).itemsize * len(mine)
            shifts = np.array([max(_address(t).bit, 0) for t in mine], np.uint16)
            exact = tuple(t.index if _is_exact(t) else -1 for t in mine) if kind in _EXACT else ()
            view = self._scratch[at : at + size].view(code)
            lanes.append(_Lane(kind, view, slice(start, start + len(mine)), shifts, exact))
            at, start = at + size, start + len(mine)
        return lanes

    def _sentinels(self, tags: Sequence[Tag], places: list[int]) -> Iterator[Sentinels | None]:
        for lane in self._lanes:
            mine = places[lane.into]
            bits = lane.view.view(f"<u{lane.view.itemsize}")
            yield Sentinels.of(bits, [tags[i] for i in mine], mine)

    def _is_single(self, places: list[int]) -> bool:
        plain = len(self._lanes) == 1 and self._lanes[0].type not in (ValueType.BIT, *_BCD, *_EXACT)
        return plain and len(places) == self._count

    def decode(self, data: bytes, start: int = 0) -> Decoded:
        """Decode the registers that begin at byte ``start`` of ``data``; the result is new memory.

        Raises:
            ValueError: the data ends before the block does.
        """
        block = np.frombuffer(data, np.uint8, -1, start)
        if block.size < self._bytes:
            raise ValueError(f"{block.size} bytes for a block of {self._bytes}")
        # clip: by default numpy checks each index and buffers; ours are known to be inside
        block.take(self._gather, out=self._scratch, mode="clip")
        if self._is_calm:
            values, quality = self._numbers()
        else:
            with np.errstate(all="ignore"):
                values, quality = self._numbers()
        if self._single is not None:
            return Decoded(values, (), quality)
        texts = tuple(text.read(data, start) for text in self._texts)
        objects = self._exact() + texts
        if not isinstance(quality, int):  # what is bad has no value here either
            objects = tuple(o for o in objects if quality[o[0] - self._index] < Quality.BAD)
        return Decoded(values, objects, quality)

    def _numbers(self) -> tuple[Floats, Bytes | int]:
        """The scratch as engineering values, and what the screen says of them."""
        values = self._column() if self._single is None else self._single.astype(np.float64)
        quality = 0 if self._screen is None else self._screen.judge(values)
        if self._scale is not None:
            values *= self._scale
        if self._offset is not None:
            values += self._offset
        return values, quality

    def _column(self) -> Floats:
        column = np.empty(self._count)
        column.fill(np.nan)
        for lane in self._lanes:
            lane.fill(column)
        return column if self._back is None else column.take(self._back)

    def _exact(self) -> Objects:
        return tuple(found for lane in self._lanes if lane.exact for found in lane.beyond_float())


class BitDecoder:
    """Decodes the coils or discrete inputs of one block: least significant bit first (§6.1)."""

    def __init__(self, tags: Sequence[Tag], first: int) -> None:
        """Compile. ``tags`` are the block's, ``first`` is the offset of its first bit."""
        self._places = np.array([_address(tag).offset - first for tag in tags], np.intp)
        self._scale = _column([tag.scale for tag in tags], 1.0)
        self._offset = _column([tag.offset for tag in tags], 0.0)

    def decode(self, data: bytes, start: int = 0) -> Decoded:
        """Decode the bits that begin at byte ``start`` of ``data``. The result is new memory."""
        bits = np.unpackbits(np.frombuffer(data, np.uint8, -1, start), bitorder="little")
        values = bits.take(self._places).astype(np.float64)
        if self._scale is not None:
            values *= self._scale
        if self._offset is not None:
            values += self._offset
        return Decoded(values, ())


class NumberDecoder:
    """Decodes a block of one plain number in the usual order, as a fast loop's input is.

    Without columns: what takes numpy four steps on cold caches is one of ``struct`` here.
    """

    def __init__(self, tag: Tag, first: int) -> None:
        """Compile. ``first`` is the offset of the block's first register."""
        self._unpack = struct.Struct(_PLAIN[tag.type]).unpack_from
        self._at = 2 * (_address(tag).offset - first)
        self._size = 2 * tag.registers
        self._scale, self._offset = tag.scale, tag.offset
        self._is_scaled = (tag.scale, tag.offset) != (1.0, 0.0)

    @staticmethod
    def suits(tags: Sequence[Tag]) -> bool:
        """Whether a block is that simple."""
        tag = tags[0]
        if len(tags) > 1 or tag.type not in _PLAIN or tag.no_value or tag.current is not None:
            return False
        return tag.order in {"", _LETTERS[: 2 * tag.registers]}

    def decode(self, data: bytes, start: int = 0) -> Decoded:
        """Decode the registers that begin at byte ``start`` of ``data``.

        Raises:
            ValueError: the data ends before the block does.
        """
        try:
            (value,) = self._unpack(data, start + self._at)
        except struct.error:
            given, needed = len(data) - start, self._at + self._size
            raise ValueError(f"{given} bytes for a block of {needed}") from None
        if self._is_scaled:
            value = value * self._scale + self._offset
        return new(Decoded, (np.array((value,), np.float64), (), 0))


Decoder: TypeAlias = RegisterDecoder | BitDecoder | NumberDecoder


def decoder_for(tags: Sequence[Tag], first: int) -> Decoder:
    """The decoder of one block whose first item is at offset ``first``."""
    if _address(tags[0]).table.is_bits:
        return BitDecoder(tags, first)
    if NumberDecoder.suits(tags):
        return NumberDecoder(tags[0], first)
    return RegisterDecoder(tags, first)


# ---------------------------------------------------------------- compiling


def _address(tag: Tag) -> ModbusAddress:
    if not isinstance(tag.address, ModbusAddress):
        raise ConfigError(f"{tag.place or tag.name}: {tag.name} has no Modbus address")
    return tag.address


def _check(tag: Tag) -> None:
    """Refuse what no register can hold."""
    where = f"{tag.place or tag.name}: {tag.name}"
    if tag.type not in _VIEWS:
        raise ConfigError(f"{where}: a Modbus register does not say its type: give the tag one")
    if tag.type is ValueType.BIT and _address(tag).bit < 0:
        raise ConfigError(f"{where}: say which bit of the register: {tag.address}.0 to .15")
    if tag.order and sorted(tag.order) != list(_LETTERS[: 2 * tag.registers]):
        raise ConfigError(
            f"{where}: order {tag.order!r} is no permutation of {_LETTERS[: 2 * tag.registers]}"
        )


def _bytes_of(tag: Tag, first: int) -> list[int]:
    """Where a tag's bytes lie in the block, least significant first."""
    start = 2 * (_address(tag).offset - first)
    order = tag.order or _LETTERS[: 2 * tag.registers]
    return [start + order.index(letter) for letter in sorted(order, reverse=True)]


def _is_exact(tag: Tag) -> bool:
    return tag.scale == 1.0 and tag.offset == 0.0


def _positions(places: list[int], count: int) -> NDArray[np.intp] | None:
    """Each tag's place in the column of lanes (texts: behind them); None where it is its own."""
    texts = sorted(set(range(count)) - set(places))
    back = np.empty(count, np.intp)
    back[places + texts] = np.arange(count)
    return None if np.array_equal(back, np.arange(count)) else back


def _column(numbers: list[float], neutral: float) -> Floats | None:
    return None if all(n == neutral for n in numbers) else np.array(numbers, np.float64)


def _is_small(*columns: Floats | None) -> bool:
    """Whether no integer can overflow a float64 by these scales and offsets."""
    return all(c is None or bool((np.abs(c) < _SMALL).all()) for c in columns)


_BCD_BYTE = np.array(
    [(b >> 4) * 10 + (b & 15) if (b >> 4) < 10 and (b & 15) < 10 else np.nan for b in range(256)]
)


def _from_bcd(raw: NDArray[Any]) -> Floats:
    """Packed decimals to numbers; a digit above 9 makes NaN. ``raw`` is <u2[n] or <u4[n]."""
    width = raw.dtype.itemsize
    pairs: Floats = _BCD_BYTE[raw.view(np.uint8).reshape(-1, width)]
    numbers: Floats = pairs @ (100.0 ** np.arange(width))
    return numbers


class _Text(NamedTuple):
    """One text in a block: its bytes, up to the first NUL, without trailing blanks."""

    tag: int
    begin: int
    end: int
    swapped: bool

    @classmethod
    def of(cls, tag: Tag, first: int) -> "_Text":
        """Compile."""
        if tag.length < 1 or tag.order not in {"", "AB", "BA"}:
            raise ConfigError(
                f"{tag.place or tag.name}: {tag.name} is a text: give its length in registers, "
                "and as order AB or BA"
            )
        begin = 2 * (_address(tag).offset - first)
        return cls(tag.index, begin, begin + 2 * tag.length, tag.order == "BA")

    def read(self, data: bytes, start: int) -> tuple[int, str]:
        """The text; bytes that are no UTF-8 become the replacement character."""
        raw = bytes(data[start + self.begin : start + self.end])
        if self.swapped:
            raw = bytes(byte for pair in zip(raw[1::2], raw[::2], strict=True) for byte in pair)
        return self.tag, raw.split(b"\0", 1)[0].decode("utf-8", "replace").rstrip()
