"""Everything that is sent upstream, as JSON bytes: the contract told in docs/upstream.md.

Names, units and types travel once, in the retained birth; after that a tag is its place in the
birth's list. A record is stored as a body and gets its envelope (version, stream, sequence, boot)
when it is sent:

    {"v":1,"stream":"event@5f3a9c","seq":12,"boot":3,  +  "at":1732278000123,"kind":"anomaly", …}

Times are whole milliseconds since 1970 (UTC). Numbers carry ten significant digits, so that 32-bit
integers stay exact; what is no finite number is null. received.py is the way back.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.capture import Part
from edgetwin.core.door import Point
from edgetwin.core.event import Event
from edgetwin.core.jsontext import (
    DIGITS,
    ROUGHLY,
    all_numbers,
    array,
    document,
    exactly,
    integers,
    scalar,
    text,
)
from edgetwin.core.quality import Quality
from edgetwin.core.reading import ReadingBatch, Scalar
from edgetwin.core.report import Told
from edgetwin.core.slices import SLICE
from edgetwin.core.summary import Summary
from edgetwin.core.tags import Tag, TagTable, TypedAsset

VERSION = 1
_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Birth:
    """What explains all later messages.

    ``id`` changes exactly when the meaning of an index does.
    """

    id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that will never come.

    ``stream`` is ``*`` when all streams may be hit, ``frames`` when not even a record was made.
    ``first``/``final`` are None for what never got a sequence number, ``count`` where nobody knows.
    """

    stream: str
    first: int | None
    final: int | None
    count: int | None
    reason: str


def birth(
    gateway: str,
    boot: int,
    tags: TagTable,
    typed: Iterable[TypedAsset] = (),
    encodings: Sequence[str] = (),
) -> Birth:
    """All names, units, types and ranges in order of index, and the words for the quality codes.

    Machines of a type are told by their own names for their tags. ``encodings`` are the content
    types on offer, if there is a choice.
    """
    entries = [_entry(tag) for tag in tags]
    machines = [_machine(each) for each in typed]
    meaning = [gateway, entries, machines] if machines else [gateway, entries]
    digest = hashlib.sha256(document(meaning)).hexdigest()[:12]
    content = {
        "v": VERSION,
        "birth": digest,
        "gateway": gateway,
        "boot": boot,
        "qualities": {str(int(q)): q.words for q in Quality},
        "tags": entries,
        **({"assets": machines} if machines else {}),
        **({"encodings": list(encodings)} if encodings else {}),
    }
    return Birth(digest, document(content))


def _machine(asset: TypedAsset) -> dict[str, object]:
    verdict = {"verdict": asset.verdict} if asset.verdict >= 0 else {}
    return {"name": asset.name, "type": asset.type, "tags": dict(asset.tags), **verdict}


def _entry(tag: Tag) -> dict[str, object]:
    entry: dict[str, object] = {"name": tag.name, "kind": tag.kind.value, "type": tag.type.value}
    if tag.unit:
        entry["unit"] = tag.unit
    if math.isfinite(tag.low) or math.isfinite(tag.high):
        entry["range"] = [_number(tag.low), _number(tag.high)]
    if tag.summary != "":
        entry["set"] = tag.summary
    if tag.counter:
        entry["counter"] = {"wraps": _number(tag.counter.wraps)}
    if tag.states:
        entry["states"] = {str(number): text for number, text in tag.states}
    if tag.report:
        report = tag.report
        entry["report"] = {"by": report.by, "within": report.within, "every": report.every // _MS}
    return entry


def status(gateway: str, boot: int, *, online: bool, cause: str, birth_id: str = "") -> bytes:
    """Whether the gateway is there; ``cause``: ``connected``, ``stopped``, ``lost`` (last will)."""
    word = "online" if online else "offline"
    content = {"v": VERSION, "status": word, "cause": cause, "gateway": gateway, "boot": boot}
    return document({**content, "birth": birth_id} if birth_id else content)


def summary(window: Summary, birth_id: str) -> bytes:
    """The body of one window of one set of tags.

    ``good`` is the share of good readings; null where nothing was measured.
    """
    return b"".join(summary_parts(window, birth_id))


def summary_parts(window: Summary, birth_id: str) -> Iterator[bytes]:
    """The same in parts: each takes a fraction of a millisecond to write."""
    tags = window.tags
    share = np.divide(
        tags.good, tags.count, out=np.full(len(tags.count), np.nan), where=tags.count > 0
    )
    head = {
        "birth": birth_id,
        **({"set": window.set} if window.set else {}),
        "from": window.begin // _MS,
        "to": window.end // _MS,
        "frames": [window.first, window.final],
        "lost": window.lost,
    }
    yield document(head)[:-1]
    yield from _column("count", tags.count)
    yield from _column("good", share)
    yield from _column("min", tags.minimum)
    yield from _column("max", tags.maximum)
    yield from _column("mean", tags.mean)
    yield from _column("std", tags.deviation, form=ROUGHLY)
    yield from _column("first", tags.earliest)
    yield from _column("last", tags.last, tags.objects)
    yield from _column("quality", tags.quality)
    if len(tags.on):
        yield from _column("on", tags.on // _MS)
        yield from _column("off", tags.off // _MS)
    if len(tags.increase):
        yield from _column("increase", tags.increase)
    yield b"}"


def _column(
    name: str,
    column: NDArray[Any],
    objects: Sequence[tuple[int, Scalar]] = (),
    form: str = DIGITS,
) -> Iterator[bytes]:
    """A member of a document that is a list of numbers."""
    written = b',"%s":[' % name.encode()
    for begin in range(0, len(column), SLICE):
        some = column[begin : begin + SLICE]
        if some.dtype.kind == "f":
            exact = [(at - begin, value) for at, value in objects if 0 <= at - begin < SLICE]
            written += array(some, exact, form)[1:-1]
        else:
            written += integers(some)[1:-1]
        if begin + SLICE < len(column):
            yield written
            written = b","
    yield written + b"]"


def report(told: Told, birth_id: str) -> bytes:
    """The body of one report: per tag its index, times and values.

    The first time is in ms after ``from``, each other in ms after the one before: short numbers.
    """
    begin = min((point.at for point in told.points), default=told.begin // _MS)
    by_tag: dict[int, list[Point]] = {}
    for point in told.points:
        by_tag.setdefault(point.tag, []).append(point)
    rows = ",".join(_points(tag, own, begin) for tag, own in by_tag.items())
    head = document({"birth": birth_id, "from": begin, "to": told.end // _MS})
    return head[:-1] + b',"points":[%s]}' % rows.encode()


def _points(tag: int, own: list[Point], begin: int) -> str:
    before = (begin, *(point.at for point in own))
    times = ",".join(str(p.at - at) for p, at in zip(own, before, strict=False))
    return f"[{tag},[{times}],[{','.join(exactly(p.value) for p in own)}]]"


def capture(part: Part, birth_id: str) -> bytes:
    """The body of one part of a capture; rows are [ms after ``at``, first index, [values]]."""
    at = part.at // _MS
    head = {
        "birth": birth_id,
        "at": at,
        "subject": part.subject,
        "part": part.number,
        "final": part.final,
        "cut": part.cut,
    }
    rows = ",".join(
        f"[{row.at // _MS - at},{row.first},[{','.join(map(text, row.values))}]]"
        for row in part.rows
    )
    return document(head)[:-1] + b',"rows":[%s]}' % rows.encode()


def event(happened: Event, wall: int) -> bytes:
    """The body of one event; ``wall`` is UTC ns."""
    facts = {name: scalar(value) for name, value in happened.facts}
    content = {
        "at": wall // _MS,
        "kind": happened.kind.value,
        "subject": happened.subject,
        "text": happened.text,
        "facts": facts,
    }
    return document(content)


class ValuesWriter:
    """Writes raw readings: one flat object, name to value, per frame.

    Names are quoted once, here.
    """

    def __init__(self, tags: TagTable) -> None:
        self._keys = tuple(json.dumps(tag.name) for tag in tags)
        self._places = np.arange(len(tags))
        self._slices: dict[tuple[int, int], str] = {}

    def write(self, batches: Iterable[ReadingBatch], wall: int) -> bytes:
        """The body of one frame's readings; a bad or missing value is null. ``wall`` is UTC ns."""
        members = ",".join(filter(None, map(self._members, batches)))
        return b'{"at":%d,"values":{%s}}' % (wall // _MS, members.encode())

    def _members(self, batch: ReadingBatch) -> str:
        values, quality = batch.values, batch.quality
        if not isinstance(quality, int):
            values = np.where(quality < Quality.BAD, values, np.nan)
        elif quality >= Quality.BAD:
            values = np.full(len(values), np.nan)
        if isinstance(batch.tags, slice) and not batch.objects and all_numbers(values):
            return self._template(batch.tags) % tuple(values.tolist())
        exact = dict(batch.objects)
        indices = self._places[batch.tags].tolist()
        return ",".join(
            f"{self._keys[i]}:{text(exact.get(i, value))}"
            for i, value in zip(indices, values.tolist(), strict=True)
        )

    def _template(self, at: slice) -> str:
        """``"a":%.10g,"b":%.10g`` of one scan group: filled by a single call for each scan."""
        key = (at.start, at.stop)
        if key not in self._slices:
            names = (name.replace("%", "%%") for name in self._keys[at])
            self._slices[key] = ",".join(f"{name}:{DIGITS}" for name in names)
        return self._slices[key]


def gap(missing: Gap, wall: int) -> bytes:
    """The body of a gap record; ``wall`` is UTC ns."""
    content = {
        "stream": missing.stream,
        "from_seq": missing.first,
        "to_seq": missing.final,
        "count": missing.count,
        "reason": missing.reason,
    }
    return document({"at": wall // _MS, "gap": content})


def closed(streams: Mapping[str, int], wall: int) -> bytes:
    """The body that closes streams: each name with its last number; ``wall`` is UTC ns."""
    return document({"at": wall // _MS, "closed": dict(streams)})


def envelope(body: bytes, stream: str, sequence: int, boot: int) -> bytes:
    """A stored body made ready to send."""
    head = {"v": VERSION, "stream": stream, "seq": sequence, "boot": boot}
    return document(head)[:-1] + b"," + body[1:]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
