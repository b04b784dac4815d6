"""From the bytes of a reply to columns: the decoding half of the fast lane.

Theory of operation. A reply to a read of 1000 numbers is 1000 DataValues end to end (OPC 10000-6
§5.2.2.17), each a mask byte, a type byte and then fields whose widths these two bytes fix:

    mask type value       [status] [source time] [pico] [server time] [pico]
     0D   0B  8 bytes               8 bytes               8 bytes              (Double, Good)

Nodes are asked for in order of their type, so neighbours look alike. Given mask and type of the
first, ``numpy.frombuffer`` lays a record of the right widths over all that follow; the run ends
where a mask or type byte differs. Because each record's place follows from the verified ones
before it, a byte that looks right by chance can not be taken for one. What is not of fixed width
(texts, arrays, structures), and short runs, are walked one by one.

Everything here is bounded by the length of the reply: nothing is allocated by a count that the
server merely claims, and nesting ends at ``DEPTH``. A reply that does not add up raises WireError.
"""

import struct
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.slices import Steps
from edgetwin.devices.opcua.columns import (
    ARRAY,
    BOOLEAN,
    DATETIME,
    DIMENSIONS,
    INT64,
    LONGEST_TEXT,
    MOST_ELEMENTS,
    STATUS_CODE,
    UINT64,
    Array,
    Columns,
)
from edgetwin.devices.opcua.keeping import EXACT, keep
from edgetwin.devices.opcua.skip import Bytes, Room, WireError, skip_value
from edgetwin.devices.opcua.slicing import SLICE
from edgetwin.devices.opcua.texts import READERS

VALUE, STATUS, SOURCE, SERVER, SOURCE_PICO, SERVER_PICO = 1, 2, 4, 8, 16, 32

_FORMATS = {1: "u1", 2: "i1", 3: "u1", 4: "<i2", 5: "<u2", 6: "<i4", 7: "<u4", 8: "<i8", 9: "<u8"}
_FORMATS |= {10: "<f4", 11: "<f8"}
_SCALARS = {kind: struct.Struct("<" + code) for kind, code in enumerate("?bBhHiIqQfd", start=1)} | {
    DATETIME: struct.Struct("<q"),
    STATUS_CODE: struct.Struct("<I"),
}
_ONE_DIMENSION = 8
"""Bytes of a list of dimensions that has one entry."""
_I32, _U32, _I64 = struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<q")
_TAIL = (
    (STATUS, "status", "<u4"),
    (SOURCE, "ticks", "<i8"),
    (SOURCE_PICO, "source pico", "<u2"),
    (SERVER, "server", "<i8"),
    (SERVER_PICO, "server pico", "<u2"),
)
"""What may follow the value, in the order of the wire."""
_RUN, _MANY = 8, 64
"""A run costs as much as 8 single values, and one more for each 64 in it."""
_FEW = 8
"""A run shorter than this is walked: numpy's fixed cost is that of about eight single values."""


def decode_values(data: Bytes, at: int, n: int) -> Steps[tuple[Columns, int]]:
    """Read n DataValues from ``at`` on; the columns and where they end.

    Raises:
        WireError: the bytes are no n DataValues.
    """
    columns, end, _ = yield from _Decoder(data, at, n, handles=False).run()
    return columns, end


def decode_notifications(data: Bytes, at: int, n: int) -> Steps[tuple[Columns, NDArray[np.uint32]]]:
    """Read n MonitoredItemNotifications: DataValues, each behind its client handle (uint32[n]).

    Raises:
        WireError: the bytes are no n notifications.
    """
    columns, _, handles = yield from _Decoder(data, at, n, handles=True).run()
    return columns, handles


@lru_cache(maxsize=512)
def _layout(handles: bool, mask: int, kind: int) -> np.dtype[np.void] | None:  # noqa: FBT001 (a cache key)
    """The record of one DataValue of fixed width, or None where there is none."""
    value = _FORMATS.get(kind)
    if not mask & VALUE or value is None:
        return None
    fields = [("handle", "<u4")] if handles else []
    fields += [("mask", "u1"), ("kind", "u1"), ("value", value)]
    return np.dtype(fields + [(name, form) for bit, name, form in _TAIL if mask & bit])


class _Decoder:
    """One pass over the DataValues of one reply."""

    def __init__(self, data: Bytes, at: int, n: int, *, handles: bool) -> None:
        if n < 0 or n > len(data) - at:
            raise WireError(f"{n} values in {len(data) - at} bytes")
        self._data = data
        self._at = at
        self._n = n
        self._columns = Columns.empty(n)
        self._room = Room()
        self._effort = 0
        self._with_handles = handles
        self._handles = np.zeros(n if handles else 0, np.uint32)

    def run(self) -> Steps[tuple[Columns, int, NDArray[np.uint32]]]:
        """Decode all of them."""
        place = 0
        try:
            while place < self._n:
                place = self._slice(place)
                if place < self._n:
                    yield
        except (IndexError, struct.error) as error:
            raise WireError(f"the reply ends within value {place} of {self._n}") from error
        if self._at > len(self._data):
            raise WireError("the reply ends within its last value")
        return self._columns, self._at, self._handles

    def _slice(self, place: int) -> int:
        """Take from this place on as much as one turn of the loop allows; the next place."""
        start = self._room.walked + len(self._columns.objects)
        self._effort = 0
        while place < self._n and self._effort < SLICE:
            taken = self._take_run(place)
            self._effort += _RUN + taken // _MANY if taken else 1
            place += taken or self._take_one(place)
            exact = self._room.walked + len(self._columns.objects)
            self._effort, start = self._effort + exact - start, exact
        return place

    def _take_run(self, place: int) -> int:
        """Take a run of records that look like the next one; how many (0: not worth it)."""
        data, head = self._data, self._at + 4 * self._with_handles
        mask, kind = data[head], data[head + 1]
        layout = _layout(self._with_handles, mask, kind)
        if layout is None:
            return 0
        probe = head + (_FEW - 1) * layout.itemsize
        if data[probe : probe + 2] != data[head : head + 2]:
            return 0
        most = min(self._n - place, (len(data) - self._at) // layout.itemsize)
        if kind in (INT64, UINT64):
            most = min(most, SLICE)  # each of them may be too large for a float, and is kept apart
        # Growing windows: a reply of many short runs is not compared to its end for each of them.
        done, window = 0, 64
        while done < most:
            rows = np.frombuffer(data, layout, min(window, most - done), self._at)
            same = (rows["mask"] == mask) & (rows["kind"] == kind)
            fit = len(rows) if same.all() else int(np.argmin(same))
            self._store(rows[:fit], place + done, kind)
            self._at += fit * layout.itemsize
            done += fit
            if fit < len(rows):
                break
            window *= 8
        return done

    def _store(self, rows: NDArray[np.void], place: int, kind: int) -> None:
        columns, names = self._columns, rows.dtype.names or ()
        span = slice(place, place + len(rows))
        columns.types[span] = kind
        values = rows["value"]
        columns.values[span] = values != 0 if kind == BOOLEAN else values
        if "status" in names:
            columns.status[span] = rows["status"]
        if "ticks" in names:
            columns.ticks[span] = rows["ticks"]
        if self._with_handles:
            self._handles[span] = rows["handle"]
        if kind in (INT64, UINT64):
            large = (values > EXACT) | (values < -EXACT) if kind == INT64 else values > EXACT
            for i in np.flatnonzero(large):
                columns.objects.append((place + int(i), int(values[i])))

    def _take_one(self, place: int) -> int:
        """Take one DataValue of any kind."""
        data, columns = self._data, self._columns
        if self._with_handles:
            (self._handles[place],) = _U32.unpack_from(data, self._at)
            self._at += 4
        mask = data[self._at]
        self._at += 1
        if mask & VALUE:
            self._take_variant(place)
        if mask & STATUS:
            (columns.status[place],) = _U32.unpack_from(data, self._at)
            self._at += 4
        if mask & SOURCE:
            (columns.ticks[place],) = _I64.unpack_from(data, self._at)
            self._at += 8
        self._at += (
            2 * bool(mask & SOURCE_PICO) + 8 * bool(mask & SERVER) + 2 * bool(mask & SERVER_PICO)
        )
        return 1

    def _take_variant(self, place: int) -> None:
        data, at, columns = self._data, self._at, self._columns
        encoding = data[at]
        columns.types[place] = encoding
        kind = encoding & 0x3F
        known = kind in _SCALARS or kind in READERS
        if encoding & (ARRAY | DIMENSIONS):
            self._at = skip_value(data, at, self._room)
            if known and encoding & ARRAY:
                self._take_array(place, at)
        elif known:
            self._at = self._take_scalar(place, kind, at + 1)
        else:
            self._at = skip_value(data, at, self._room)

    def _take_array(self, place: int, at: int) -> None:
        """Keep the first elements of an array; nothing of a matrix but a value all alone."""
        encoding = self._data[at]
        kind, (n,) = encoding & 0x3F, _I32.unpack_from(self._data, at + 1)
        if n < 1:
            return
        if n == 1:  # it may be the element that was asked for
            self._take_scalar(place, kind, at + 5)
        values, end = self._elements(kind, n, at + 5)
        if not encoding & DIMENSIONS or self._at - end == _ONE_DIMENSION:
            self._columns.objects.append((place, Array(kind, n, values)))

    def _elements(self, kind: int, n: int, at: int) -> tuple[tuple[Any, ...], int]:
        """The first elements, and where the last one ends (-1: it was not looked for)."""
        most = min(n, MOST_ELEMENTS)
        if form := _SCALARS.get(kind):
            self._effort += most // _MANY
            values = struct.unpack_from(f"<{most}{form.format[1:]}", self._data, at)
            return values, at + n * form.size
        self._effort += most
        texts: list[str | None] = []
        for _ in range(most):
            text, at = READERS[kind](self._data, at)
            texts.append(None if text is None or len(text) > LONGEST_TEXT else text)
        return tuple(texts), at if most == n else -1

    def _take_scalar(self, place: int, kind: int, at: int) -> int:
        """Keep one value of a known type; where it ends."""
        if form := _SCALARS.get(kind):
            (value,) = form.unpack_from(self._data, at)
            keep(self._columns, place, kind, value)
            return at + form.size
        text, end = READERS[kind](self._data, at)
        if text is not None and len(text) <= LONGEST_TEXT:
            self._columns.objects.append((place, text))
        return end
