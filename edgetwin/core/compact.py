"""A summary as it waits on disk: the same numbers as its JSON, in a fifth of the bytes.

Most sensors speak in steps: tenths, the parts of a converter's range, the 24 bits of a float32.
Then all that a window has of a tag are whole numbers of steps, and of those all but one are small:
how far the others are from the first. So a tag's columns are stored as

    scale  step  first/step  (first - min)/step  (max - first)/step  (last - first)/step
    and the sum of (reading - first)/step, of which the mean is made

as planes of bytes (all lowest bytes, then all second ones …), and zlib takes out what is left.
Standard deviations have the four digits that are sent. Of a tag without steps the plain float64 are
kept; where too many have none this form is of no use, and the caller keeps the JSON.

    stored = 0x01, zlib of: u32 length, head (JSON), columns

What a step is made of is a decimal or a binary fraction; the numbers may come back changed in the
thirteenth digit, so the JSON is made of what ``squeeze`` gives back, and is the same for ever.

A thousand tags take the better part of a millisecond, and somebody may be waiting for the loop:
``squeezing`` pauses where there is something to pause for.
"""

import json
import struct
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.reading import Floats, Times
from edgetwin.core.slices import SLICE, Steps, finish
from edgetwin.core.summary import Columns, Summary

MARK = b"\x01"
"""The first byte of what ``squeeze`` gives; JSON begins with a brace."""

_SCALES: Floats = np.array([*(10.0**n for n in range(7)), 2.0**16, 2.0**32])
_PLAIN = 255  # the scale of a tag without steps
_MOST_PLAIN = 4  # one tag in so many may have none
_LARGEST = 2.0**51
_SAME = 1e-12
_TINY = 1e-300  # what is smaller has fewer than four digits
_LENGTH = struct.Struct("<I")
_FAST = 1
_MS = 1_000_000
_HEAD = ("set", "begin", "end", "first", "final", "lost")
_FLOATS = ("minimum", "maximum", "mean", "deviation", "earliest", "last")


@dataclass(frozen=True, slots=True)
class _Steps:
    """What is whole numbers: scale[n] as a code, and int64[5, n] in steps of ``unit[n]/scale``.

    The rows: first, first - min, max - first, last - first, sum of (reading - first).
    """

    code: NDArray[np.uint8]
    unit: Times
    rows: Times


def squeeze(window: Summary, birth_id: str) -> tuple[bytes, Summary] | None:
    """The stored form, and the summary exactly as ``expand`` gives it; None where it is no gain."""
    return finish(squeezing(window, birth_id))


def squeezing(window: Summary, birth_id: str) -> Steps[tuple[bytes, Summary] | None]:
    """``squeeze``, in slices of a fraction of a millisecond."""
    tags, n = window.tags, len(window.tags.good)
    found = []
    for begin in range(0, n, SLICE):
        found.append(_find_steps(tags, slice(begin, begin + SLICE)))
        yield
    steps = _joined(found)
    plain = _plain(steps.code, tags.good)
    if len(plain) * _MOST_PLAIN > n:
        return None
    deviation = _four_digits(tags.deviation)
    data = _bytes(window, birth_id, steps, deviation, plain)
    yield
    stored = MARK + zlib.compress(data, _FAST)
    yield
    floats = _from_steps(steps, tags.good)
    floats["deviation"] = _from_digits(*deviation, tags.good)
    for name in _FLOATS:
        floats[name][plain] = getattr(tags, name)[plain]
    told = Columns(
        count=tags.count,
        good=tags.good,
        on=tags.on // _MS * _MS,
        off=tags.off // _MS * _MS,
        increase=tags.increase,
        quality=tags.quality,
        objects=tags.objects,
        **floats,
    )
    return stored, replace(window, tags=told)


def _bytes(
    window: Summary,
    birth_id: str,
    steps: _Steps,
    deviation: tuple[Times, Times],
    plain: NDArray[np.intp],
) -> bytes:
    """Head and columns, one behind the other."""
    tags = window.tags
    head = {
        "birth": birth_id,
        "window": {name: getattr(window, name) for name in _HEAD},
        "objects": tags.objects,
    }
    columns = [
        _planes(tags.count),
        _planes(tags.count - tags.good),
        _planes(tags.quality.astype(np.int64)),
        _planes(steps.code.astype(np.int64)),
        _planes(steps.unit),
        *map(_planes, steps.rows),
        *map(_planes, deviation),
        *(_shuffled(getattr(tags, name)[plain]) for name in _FLOATS),
        _planes(tags.on // _MS),
        _planes(tags.off // _MS),
        _shuffled(tags.increase),
    ]
    told = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((_LENGTH.pack(len(told)), told, *columns))


def expand(stored: bytes) -> tuple[Summary, str]:
    """The way back: the summary, and the birth that explains it."""
    reader = _Reader(zlib.decompress(stored[1:]))
    head = reader.head()
    count = reader.integers()
    good = count - reader.integers()
    quality = reader.integers().astype(np.uint8)
    code, unit = reader.integers().astype(np.uint8), reader.integers()
    steps = _Steps(code, unit, np.stack([reader.integers() for _ in range(5)]))
    floats = _from_steps(steps, good)
    floats["deviation"] = _from_digits(reader.integers(), reader.integers(), good)
    plain = _plain(code, good)
    for name in _FLOATS:
        floats[name][plain] = reader.floats()
    on, off = reader.integers() * _MS, reader.integers() * _MS
    columns = Columns(
        count=count,
        good=good,
        on=on,
        off=off,
        increase=reader.floats(),
        quality=quality,
        objects=tuple((place, value) for place, value in head["objects"]),
        **floats,
    )
    return Summary(**head["window"], tags=columns), head["birth"]


# ---------------------------------------------------------------- steps


def _find_steps(tags: Columns, some: slice) -> _Steps:
    """The coarsest scale on which all four readings of a tag are whole, and the sum as well."""
    columns = (tags.earliest, tags.minimum, tags.maximum, tags.last)
    readings = np.stack([column[some] for column in columns])
    mean, good = tags.mean[some], tags.good[some]
    code, rows = np.full(len(good), _PLAIN, np.uint8), np.zeros((5, len(good)), np.int64)
    left = np.flatnonzero(good > 0)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for number, scale in enumerate(_SCALES.tolist()):
            hopeful = left[_are_whole(readings[0, left], scale)]
            hopeful = hopeful[_are_whole(readings[:, hopeful], scale).all(axis=0)]
            found, fits = _rows(readings[:, hopeful], mean[hopeful], good[hopeful], scale)
            at = hopeful[fits]
            code[at], rows[:, at] = number, found[:, fits]
            left = left[code[left] == _PLAIN]
            if not len(left):
                break
    unit = np.maximum(np.gcd.reduce(rows, axis=0), 1)
    return _Steps(code, unit, rows // unit)


def _joined(found: list[_Steps]) -> _Steps:
    """Those of all slices."""
    return _Steps(
        np.concatenate([np.empty(0, np.uint8), *(each.code for each in found)]),
        np.concatenate([np.empty(0, np.int64), *(each.unit for each in found)]),
        np.concatenate([np.empty((5, 0), np.int64), *(each.rows for each in found)], axis=1),
    )


def _are_whole(values: Floats, scale: float) -> NDArray[np.bool_]:
    whole = np.rint(values * scale)
    near = np.abs(whole / scale - values) <= _SAME * np.abs(values)
    return near & (np.abs(whole) < _LARGEST)


def _rows(
    readings: Floats, mean: Floats, good: Times, scale: float
) -> tuple[Times, NDArray[np.bool_]]:
    """The rows, and of which tags the sum is whole as well: it always is but for rounding."""
    first, low, high, last = np.rint(readings * scale)
    total = np.rint((mean - readings[0]) * good * scale)
    largest = np.maximum(np.abs(mean), np.abs(readings[0]))
    fits = np.abs((first + total / good) / scale - mean) <= _SAME * largest
    found = np.stack([first, first - low, high - first, last - first, total])
    return found.astype(np.int64), fits


def _from_steps(steps: _Steps, good: Times) -> dict[str, Floats]:
    """The five columns that steps tell; NaN where nothing was measured."""
    known = steps.code != _PLAIN
    scale = _SCALES[np.where(known, steps.code, 0)]
    first, below, above, ahead, total = steps.rows * steps.unit
    share = total / np.maximum(good, 1)
    made = {
        "earliest": first / scale,
        "minimum": (first - below) / scale,
        "maximum": (first + above) / scale,
        "last": (first + ahead) / scale,
        "mean": (first + share) / scale,
    }
    return {name: np.where(known, column, np.nan) for name, column in made.items()}


def _plain(code: NDArray[np.uint8], good: Times) -> NDArray[np.intp]:
    """The tags whose plain float64 are kept."""
    return np.flatnonzero((code == _PLAIN) & (good > 0))


def _four_digits(column: Floats) -> tuple[Times, Times]:
    """Four digits and where their point stands; zeros for what is zero or no number."""
    usable = (column > _TINY) & np.isfinite(column)
    safe = np.where(usable, column, 1.0)
    exponent = np.floor(np.log10(safe))
    mantissa = np.rint(safe / 10.0 ** (exponent - 3))
    return (
        np.where(usable, mantissa, 0).astype(np.int64),
        np.where(usable, exponent, 0).astype(np.int64),
    )


def _from_digits(mantissa: Times, exponent: Times, good: Times) -> Floats:
    shift = (exponent - 3).astype(float)
    column = np.where(shift < 0, mantissa / 10.0**-shift, mantissa * 10.0**shift)
    return np.where(good > 0, column, np.nan)


# ---------------------------------------------------------------- columns as bytes


def _planes(column: Times) -> bytes:
    """How many, how wide, then byte by byte; the sign goes to the lowest bit."""
    folded = ((column << 1) ^ (column >> 63)).astype("<u8")
    width = (int(folded.max()).bit_length() + 7) // 8 if len(folded) else 0
    planes = folded.view(np.uint8).reshape(-1, 8)[:, :width].T
    return _LENGTH.pack(len(column) << 4 | width) + planes.tobytes()


def _shuffled(column: Floats) -> bytes:
    planes = column.astype("<f8").view(np.uint8).reshape(-1, 8).T
    return _LENGTH.pack(len(column) << 4) + planes.tobytes()


class _Reader:
    """Walks over the columns."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def head(self) -> Any:  # noqa: ANN401 (JSON: whatever was put in)
        return json.loads(self._take(self._number()))

    def integers(self) -> Times:
        told = self._number()
        n, width = told >> 4, told & 15
        planes = np.frombuffer(self._take(n * width), np.uint8).reshape(width, n)
        whole = np.zeros((n, 8), np.uint8)
        whole[:, :width] = planes.T
        folded = whole.view("<u8").ravel()
        return (folded >> np.uint64(1)).astype(np.int64) ^ -(folded & np.uint64(1)).astype(np.int64)

    def floats(self) -> Floats:
        n = self._number() >> 4
        planes = np.frombuffer(self._take(8 * n), np.uint8).reshape(8, n)
        return np.ascontiguousarray(planes.T).view("<f8").ravel().astype(float)

    def _number(self) -> int:
        (number,) = _LENGTH.unpack(self._take(_LENGTH.size))
        return int(number)

    def _take(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]
