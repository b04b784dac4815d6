"""Frames to bytes and back: the recording's format, version 1.

    frame   = head, input, flags, [u8 how many, each a batch], [rows], [lessons]
    head    = u8 kind of input, u64 number, i64 mono, i64 wall
    input   = a batch, or rows
    batch   = u8 flags, u32 start, u32 n, [i64 x n indices], f64 x n values,
              u8 or u8 x n quality, i64 or i64 x n source time, [rows of objects]
    rows    = u32 length, JSON
    lessons = u8 how many, each: u32 detector, u32 rows, u32 columns, f64 x rows x columns

All little endian. Columns are raw bytes: writing 100 values costs about as much as writing one. The
encoding is canonical: two frames are the same exactly when their bytes are.
"""

import base64
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgetwin.core.errors import RecordingError
from edgetwin.core.event import Event, EventKind
from edgetwin.core.frame import (
    AlarmRequest,
    CloudMode,
    CloudWrite,
    Confirmed,
    Frame,
    Input,
    Lesson,
    Link,
    ModelInstalled,
    ModelUnavailable,
    ModeRequest,
    Overrun,
    Reflect,
    Stop,
    Tick,
)
from edgetwin.core.plan import AlarmAction, Mode
from edgetwin.core.reading import (
    Authority,
    Instant,
    ReadingBatch,
    WriteOutcome,
    WriteRequest,
    WriteResult,
)

VERSION = 1

_HEAD = struct.Struct("<BQqq")
_BATCH = struct.Struct("<BII")
_LENGTH = struct.Struct("<I")
_LESSON = struct.Struct("<III")
_INDEXED, _QUALITIES, _TIMES, _OBJECTS = 1, 2, 4, 8
_INNER, _ROWS, _LESSONS = 1, 2, 4


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind of small input becomes a JSON row, and comes back."""

    number: int
    row: Callable[[Any], list[Any]]
    made: Callable[[list[Any]], Input]


_READINGS = 0
_KINDS: dict[type, _Kind] = {
    Confirmed: _Kind(
        1, lambda c: [c.tags.start, c.tags.stop], lambda r: Confirmed(range(r[0], r[1]))
    ),
    Link: _Kind(2, lambda c: [c.device, c.up, c.reason], lambda r: Link(*r)),
    WriteResult: _Kind(
        3,
        lambda c: [c.number, c.tag, c.outcome, c.read_back, c.detail],
        lambda r: WriteResult(r[0], r[1], WriteOutcome(r[2]), float(r[3]), r[4]),
    ),
    Tick: _Kind(4, lambda _: [], lambda _: Tick()),
    Reflect: _Kind(5, lambda _: [], lambda _: Reflect()),
    ModeRequest: _Kind(
        6, lambda c: [c.loop, c.mode, c.by], lambda r: ModeRequest(r[0], Mode(r[1]), r[2])
    ),
    ModelInstalled: _Kind(
        7,
        lambda c: [c.detector, base64.b64encode(c.onnx).decode(), c.sha256],
        lambda r: ModelInstalled(r[0], base64.b64decode(r[1]), r[2]),
    ),
    ModelUnavailable: _Kind(8, lambda c: [c.detector, c.reason], lambda r: ModelUnavailable(*r)),
    Stop: _Kind(9, lambda _: [], lambda _: Stop()),
    AlarmRequest: _Kind(
        10,
        lambda c: [c.alarm, c.action, c.span, c.by],
        lambda r: AlarmRequest(r[0], AlarmAction(r[1]), r[2], r[3]),
    ),
    CloudWrite: _Kind(
        11,
        lambda c: [c.id, c.upstream, c.by, c.tag, c.value],
        lambda r: CloudWrite(r[0], r[1], r[2], r[3], _wanted(r[4])),
    ),
    CloudMode: _Kind(
        12,
        lambda c: [c.id, c.upstream, c.by, c.loop, c.mode],
        lambda r: CloudMode(r[0], r[1], r[2], r[3], Mode(r[4])),
    ),
    Overrun: _Kind(
        13,
        lambda c: [c.device, c.group, c.over, c.due, c.skipped, c.thinned],
        lambda r: Overrun(*r),
    ),
}


def _wanted(value: float | str | list[float]) -> float | str | tuple[float, ...]:
    if isinstance(value, str):
        return value
    return tuple(map(float, value)) if isinstance(value, list) else float(value)


_BY_NUMBER = {kind.number: kind for kind in _KINDS.values()}


# ---------------------------------------------------------------- to bytes


def encode(frame: Frame) -> bytes:
    """One frame as bytes. The same frame always gives the same bytes."""
    cause = frame.input
    number = _READINGS if isinstance(cause, ReadingBatch) else _KINDS[type(cause)].number
    out = [_HEAD.pack(number, frame.number, frame.at.mono, frame.at.wall)]
    if isinstance(cause, ReadingBatch):
        _put_batch(out, cause)
    else:
        _put_rows(out, _KINDS[type(cause)].row(cause))
    _put_outputs(out, frame)
    return b"".join(out)


def _put_outputs(out: list[bytes], frame: Frame) -> None:
    told = bool(frame.writes or frame.events)
    flags = _INNER * bool(frame.inner) | _ROWS * told | _LESSONS * bool(frame.lessons)
    out.append(bytes([flags]))
    if frame.inner:
        out.append(bytes([len(frame.inner)]))
        for batch in frame.inner:
            _put_batch(out, batch)
    if told:
        _put_rows(
            out, [[_write_row(w) for w in frame.writes], [_event_row(e) for e in frame.events]]
        )
    if frame.lessons:
        out.append(bytes([len(frame.lessons)]))
        for lesson in frame.lessons:
            out += [_LESSON.pack(lesson.detector, *lesson.rows.shape), lesson.rows.tobytes()]


def _put_rows(out: list[bytes], rows: list[Any]) -> None:
    text = json.dumps(rows, separators=(",", ":")).encode()
    out += [_LENGTH.pack(len(text)), text]


def _put_batch(out: list[bytes], batch: ReadingBatch) -> None:
    indexed = not isinstance(batch.tags, slice)
    qualities, times = not isinstance(batch.quality, int), not isinstance(batch.source_time, int)
    flags = _INDEXED * indexed | _QUALITIES * qualities | _TIMES * times
    start = 0 if indexed else batch.tags.start  # type: ignore[union-attr]  # a slice, by the line before
    out.append(_BATCH.pack(flags | _OBJECTS * bool(batch.objects), start, len(batch.values)))
    if indexed:
        out.append(np.asarray(batch.tags, np.int64).tobytes())
    out.append(np.ascontiguousarray(batch.values, np.float64).tobytes())
    out.append(np.asarray(batch.quality, np.uint8).tobytes())
    out.append(np.asarray(batch.source_time, np.int64).tobytes())
    if batch.objects:
        _put_rows(out, [list(pair) for pair in batch.objects])


def _write_row(w: WriteRequest) -> list[Any]:
    return [w.number, w.tag, w.value, w.authority, w.by, w.reason, w.expires]


def _event_row(e: Event) -> list[Any]:
    return [e.kind, e.subject, e.text, [list(fact) for fact in e.facts]]


# ---------------------------------------------------------------- from bytes


def decode(data: bytes) -> Frame:
    """The frame these bytes were made from.

    Raises:
        RecordingError: they were not made by ``encode``.
    """
    try:
        return _Reader(data).frame()
    except (struct.error, ValueError, KeyError, IndexError, TypeError) as error:
        raise RecordingError(f"a frame of the recording is damaged ({error})") from error


class _Reader:
    """Walks over the bytes of one frame."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def frame(self) -> Frame:
        kind, number, mono, wall = self._unpack(_HEAD)
        cause = self._batch() if kind == _READINGS else _BY_NUMBER[kind].made(self._rows())
        flags = self._byte()
        inner = tuple(self._batch() for _ in range(self._byte())) if flags & _INNER else ()
        writes, events = self._rows() if flags & _ROWS else ([], [])
        lessons = tuple(self._lesson() for _ in range(self._byte())) if flags & _LESSONS else ()
        if self._at != len(self._data):
            raise ValueError("bytes left over")
        return Frame(
            number,
            Instant(mono, wall),
            cause,
            inner,
            tuple(_write(row) for row in writes),
            tuple(_event(row) for row in events),
            lessons,
        )

    def _unpack(self, form: struct.Struct) -> tuple[Any, ...]:
        values = form.unpack_from(self._data, self._at)
        self._at += form.size
        return values

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _column(self, kind: type[np.generic], n: int) -> Any:  # noqa: ANN401 (of the kind asked for)
        column = np.frombuffer(self._data, kind, n, self._at)
        self._at += column.nbytes
        return column

    def _rows(self) -> Any:  # noqa: ANN401 (JSON: whatever was put in)
        (length,) = self._unpack(_LENGTH)
        self._at += length
        return json.loads(self._data[self._at - length : self._at])

    def _batch(self) -> ReadingBatch:
        flags, start, n = self._unpack(_BATCH)
        tags = self._column(np.int64, n) if flags & _INDEXED else slice(start, start + n)
        values = self._column(np.float64, n)
        quality = self._column(np.uint8, n if flags & _QUALITIES else 1)
        times = self._column(np.int64, n if flags & _TIMES else 1)
        objects = tuple((i, v) for i, v in self._rows()) if flags & _OBJECTS else ()
        return ReadingBatch(
            tags,
            values,
            quality if flags & _QUALITIES else int(quality[0]),
            times if flags & _TIMES else int(times[0]),
            objects,
        )

    def _lesson(self) -> Lesson:
        detector, rows, columns = self._unpack(_LESSON)
        return Lesson(detector, self._column(np.float64, rows * columns).reshape(rows, columns))


def _write(row: list[Any]) -> WriteRequest:
    return WriteRequest(row[0], row[1], float(row[2]), Authority(row[3]), *row[4:])


def _event(row: list[Any]) -> Event:
    return Event(EventKind(row[0]), row[1], row[2], tuple((k, v) for k, v in row[3]))
