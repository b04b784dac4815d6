"""Everything that is sent upstream, as JSON bytes: the contract told in docs/upstream.md.

Names, units and types travel once, in the retained birth; after that a tag is its place in the
birth's list. A record is stored as a body and gets its envelope (version, stream, sequence, boot)
when it is sent:

    {"v":1,"stream":"event@5f3a9c","seq":12,"boot":3,  +  "at":1732278000123,"kind":"anomaly", …}

Times are whole milliseconds since 1970 (UTC). Numbers carry ten significant digits, so that 32-bit
integers stay exact; what is no finite number is null. ``read`` and ``tabulate`` are the way back,
for subscribers and tests.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgetwin.core.event import Event
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Floats, ReadingBatch, Scalar
from edgetwin.core.summary import Summary
from edgetwin.core.tags import Tag, TagTable

VERSION = 1
_MS = 1_000_000
_DIGITS = "%.10g"
_LARGEST = 1.797693134e308  # what lies above rounds to a number that no parser can hold


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


# ---------------------------------------------------------------- writing


def birth(gateway: str, boot: int, tags: TagTable) -> Birth:
    """All names, units, types and ranges in order of index, and the words for the quality codes."""
    entries = [_entry(tag) for tag in tags]
    digest = hashlib.sha256(_json([gateway, entries])).hexdigest()[:12]
    content = {
        "v": VERSION,
        "birth": digest,
        "gateway": gateway,
        "boot": boot,
        "qualities": {str(int(q)): q.words for q in Quality},
        "tags": entries,
    }
    return Birth(digest, _json(content))


def _entry(tag: Tag) -> dict[str, object]:
    entry: dict[str, object] = {"name": tag.name, "kind": tag.kind.value, "type": tag.type.value}
    if tag.unit:
        entry["unit"] = tag.unit
    if math.isfinite(tag.low) or math.isfinite(tag.high):
        entry["range"] = [_number(tag.low), _number(tag.high)]
    return entry


def status(gateway: str, boot: int, *, online: bool, cause: str, birth_id: str = "") -> bytes:
    """Whether the gateway is there; ``cause``: ``connected``, ``stopped``, ``lost`` (last will)."""
    word = "online" if online else "offline"
    content = {"v": VERSION, "status": word, "cause": cause, "gateway": gateway, "boot": boot}
    return _json({**content, "birth": birth_id} if birth_id else content)


def summary(window: Summary, birth_id: str) -> bytes:
    """The body of one window.

    ``good`` is the share of good readings; null where nothing was measured.
    """
    share = np.divide(
        window.good, window.count, out=np.full(len(window.count), np.nan), where=window.count > 0
    )
    head = {
        "birth": birth_id,
        "from": window.begin // _MS,
        "to": window.end // _MS,
        "frames": [window.first, window.final],
        "lost": window.lost,
    }
    columns = (
        ("count", _integers(window.count)),
        ("good", _array(share)),
        ("min", _array(window.minimum)),
        ("max", _array(window.maximum)),
        ("mean", _array(window.mean)),
        ("last", _array(window.last, window.objects)),
        ("quality", _integers(window.quality)),
    )
    text = b"".join(b',"%s":%s' % (name.encode(), column) for name, column in columns)
    return _json(head)[:-1] + text + b"}"


def event(happened: Event, wall: int) -> bytes:
    """The body of one event; ``wall`` is UTC ns."""
    facts = {name: _scalar(value) for name, value in happened.facts}
    content = {
        "at": wall // _MS,
        "kind": happened.kind.value,
        "subject": happened.subject,
        "text": happened.text,
        "facts": facts,
    }
    return _json(content)


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
        if isinstance(batch.tags, slice) and not batch.objects and _all_numbers(values):
            return self._template(batch.tags) % tuple(values.tolist())
        exact = dict(batch.objects)
        indices = self._places[batch.tags].tolist()
        return ",".join(
            f"{self._keys[i]}:{_text(exact.get(i, value))}"
            for i, value in zip(indices, values.tolist(), strict=True)
        )

    def _template(self, at: slice) -> str:
        """``"a":%.10g,"b":%.10g`` of one scan group: filled by a single call for each scan."""
        key = (at.start, at.stop)
        if key not in self._slices:
            names = (name.replace("%", "%%") for name in self._keys[at])
            self._slices[key] = ",".join(f"{name}:{_DIGITS}" for name in names)
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
    return _json({"at": wall // _MS, "gap": content})


def envelope(body: bytes, stream: str, sequence: int, boot: int) -> bytes:
    """A stored body made ready to send."""
    head = {"v": VERSION, "stream": stream, "seq": sequence, "boot": boot}
    return _json(head)[:-1] + b"," + body[1:]


# ---------------------------------------------------------------- reading


def read(payload: bytes) -> dict[str, Any]:
    """One message as a dictionary.

    Raises:
        ValueError: no JSON object, or of a version that this one does not know.
    """
    content = json.loads(payload, parse_constant=_refuse)
    if not isinstance(content, dict) or content.get("v") != VERSION:
        raise ValueError(f"no edgetwin message of version {VERSION}: {payload[:40]!r}")
    return content


def tabulate(
    message: Mapping[str, Any], explained_by: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """A summary by tag name: ``{"skid/flow": {"min": 1.5, …, "quality": "good"}, …}``.

    Raises:
        ValueError: the birth is not the one that the summary was written under.
    """
    if message["birth"] != explained_by["birth"]:
        raise ValueError(
            f"birth {explained_by['birth']} does not explain a summary of {message['birth']}"
        )
    columns = ("count", "good", "min", "max", "mean", "last")
    words = explained_by["qualities"]
    table = {}
    for index, tag in enumerate(explained_by["tags"]):
        row = {column: message[column][index] for column in columns}
        table[tag["name"]] = {**row, "quality": words[str(message["quality"][index])]}
    return table


# ---------------------------------------------------------------- JSON


def _json(content: object) -> bytes:
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace")  # half a surrogate pair becomes its JSON escape


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _scalar(value: Scalar) -> Scalar | None:
    if isinstance(value, float):
        return float(_DIGITS % value) if abs(value) <= _LARGEST else None
    return value


def _text(value: Scalar) -> str:
    """One value as JSON; integers and text are exact."""
    if isinstance(value, float):
        return _DIGITS % value if abs(value) <= _LARGEST else "null"
    return json.dumps(value)


def _all_numbers(column: Floats) -> bool:
    return bool((np.abs(column) <= _LARGEST).all())


def _integers(column: "np.ndarray[Any, Any]") -> bytes:
    return b"[%s]" % ",".join(map(str, column.tolist())).encode()


def _array(column: Floats, objects: Sequence[tuple[int, Scalar]] = ()) -> bytes:
    """One call formats a whole column; members are taken singly only where one is no number."""
    if not objects and _all_numbers(column):
        text = ",".join((_DIGITS,) * len(column)) % tuple(column.tolist())
    else:
        exact = dict(objects)
        text = ",".join(_text(exact.get(i, v)) for i, v in enumerate(column.tolist()))
    return b"[%s]" % text.encode()
