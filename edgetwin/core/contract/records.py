"""The records: what is kept on disk until the broker has it, counted so that none can be missing.

Each begins with the same four fields; what a subscriber keeps of them proves that it has all.
"""

from edgetwin.core.contract.happened import MEANINGS
from edgetwin.core.contract.message import Field, Message, Shape
from edgetwin.core.contract.retained import BOOT, V
from edgetwin.core.contract.shape import (
    ANY_TEXT,
    BIRTH,
    FLAG,
    NAMED,
    SCALAR,
    array,
    column,
    names_to,
    number,
    pattern,
    record,
    row,
    titled,
    told,
    whole,
)
from edgetwin.core.payload import VERSION
from edgetwin.core.quality import Quality

_LOG = "@[0-9a-f]{6}(\\.[0-9]+)?$"
_HEAD = {"v": VERSION, "boot": 3}
_NUMBER = number(nullable=True)
_SEQ = Field(
    "seq",
    whole(1),
    "1, 2, 3 … within the stream, over all restarts. One that comes twice is the same record "
    "again; one that never comes is in a gap record.",
)
_EXPLAINED = Field("birth", BIRTH, "The birth that explains it.")
_AT = Field("at", whole(), "When, on the gateway's wall clock.", "ms since 1970, UTC")
_FROM = Field("from", whole(), "When the span begins.", "ms since 1970, UTC")
_TO = Field("to", whole(), "When it ends.", "ms since 1970, UTC")


def _envelope(name: str) -> tuple[Field, ...]:
    """What each record begins with; ``name`` is the form of its streams' names before the @."""
    stream = (
        "What is counted: its name, @, the log on the gateway's disk (a new log starts new "
        "streams), and .2, .3 … for later sections of the same log."
    )
    return (V, Field("stream", pattern(f"^{name}{_LOG}"), stream), _SEQ, BOOT)


# ---------------------------------------------------------------- summary

_THINNED = record(
    Field("from_seq", whole(1), "The first number it stands for."),
    Field("to_seq", whole(1), "The last, which is its own."),
    Field("count", whole(1), "How many these are."),
)

_COLUMNS = (
    Field("count", column(whole()), "How many readings came in."),
    Field(
        "good",
        column(number(nullable=True, minimum=0, maximum=1)),
        "The share of good ones; null where nothing was measured.",
    ),
    Field("min", column(_NUMBER), "The least good reading.", "the tag's"),
    Field("max", column(_NUMBER), "The greatest.", "the tag's"),
    Field("mean", column(_NUMBER), "Their mean.", "the tag's"),
    Field("std", column(_NUMBER), "Their standard deviation, to four digits.", "the tag's"),
    Field("first", column(_NUMBER), "The first good reading.", "the tag's"),
    Field("last", column(SCALAR), "The last; texts and 64-bit integers are exact.", "the tag's"),
    Field(
        "quality",
        column(whole()),
        "The tag's quality when the window ended; the birth has the words.",
    ),
    Field("on", column(whole()), "Bits, in their order: known to be on.", "ms", optional=True),
    Field("off", column(whole()), "Bits: known to be off.", "ms", optional=True),
    Field(
        "increase",
        column(_NUMBER),
        "Counters, in their order: the sum of the steps, across resets and wraps.",
        "the tag's",
        optional=True,
    ),
)

SUMMARY = Message(
    suffix="summary",
    title="Summary",
    when="at the end of each window",
    text="What each tag did in one window of time. Arrays hold one value for each tag that the "
    "summary tells of, in the birth's order. Nothing measured is `count` 0 and null, which is not "
    "the same value again.",
    fields=(
        *_envelope("summary-([A-Za-z0-9_-]+-)?[0-9.]+s"),
        Field(
            "thinned",
            _THINNED,
            "It stands for several that a full disk had no room for.",
            optional=True,
        ),
        _EXPLAINED,
        Field("set", NAMED, "The class of tags that it tells of, if any.", optional=True),
        _FROM,
        _TO,
        Field("frames", row(whole(), whole()), "The gateway's first and last turn in it."),
        Field("lost", whole(), "How many of these turns never reached the summary."),
        *_COLUMNS,
    ),
    example={
        **_HEAD,
        "stream": "summary-10s@5f3a9c",
        "seq": 42,
        "birth": "0c2f5a9be113",
        "from": 1732278000000,
        "to": 1732278010000,
        "frames": [4711, 4830],
        "lost": 0,
        "count": [100, 0],
        "good": [0.97, None],
        "min": [3.9, None],
        "max": [4.4, None],
        "mean": [4.2, None],
        "std": [0.11, None],
        "first": [4.1, None],
        "last": [4.21, None],
        "quality": [int(Quality.GOOD), int(Quality.STALE)],
        "on": [0],
        "off": [0],
    },
)

# ---------------------------------------------------------------- report, capture, values

_TIMES = array(whole(None), 1)
_POINTS: Shape = row(
    titled(whole(), "The tag's place in the birth."),
    titled(_TIMES, "ms: the first after `from`, each other after the one before."),
    titled(array(SCALAR, 1), "The values; null: nothing was measured from there on."),
)

REPORT = Message(
    suffix="report",
    title="Report",
    when="when a window ends in which there are points to tell",
    text="Tags told by exception: only the points that are needed to draw every good reading "
    "within the bound that the birth promises.",
    fields=(
        *_envelope("report"),
        _EXPLAINED,
        _FROM,
        _TO,
        Field("points", array(_POINTS), "For each tag [place, times, values]."),
    ),
    example={
        **_HEAD,
        "stream": "report@5f3a9c",
        "seq": 12,
        "birth": "0c2f5a9be113",
        "from": 1732278000000,
        "to": 1732278010000,
        "points": [[0, [0, 4200, 3100], [4.21, 4.83, None]], [1, [1200], [1]]],
    },
)

_ROW: Shape = row(
    titled(whole(None), "ms after `at`; negative before."),
    titled(whole(), "The place in the birth of the first tag."),
    titled(array(SCALAR), "Its value and those of the tags behind it; null is bad."),
)

CAPTURE = Message(
    suffix="capture",
    title="Capture",
    when="around an anomaly, in parts of at most 60,000 bytes",
    text="The raw readings of an asset just before and after an anomaly.",
    fields=(
        *_envelope("capture"),
        _EXPLAINED,
        _AT,
        Field("subject", NAMED, "The asset, as in the anomaly's event."),
        Field("part", whole(1), "1, 2, 3 …"),
        Field("final", FLAG, "This is the last part."),
        Field("cut", FLAG, "It ends here because it is as large as it may be."),
        Field("rows", array(_ROW), "[ms, place, values], in order of time."),
    ),
    example={
        **_HEAD,
        "stream": "capture@5f3a9c",
        "seq": 3,
        "birth": "0c2f5a9be113",
        "at": 1732278004123,
        "subject": "pump",
        "part": 1,
        "final": False,
        "cut": False,
        "rows": [[-30000, 0, [4.21, 1]], [-29900, 0, [4.22, None]]],
    },
)

VALUES = Message(
    suffix="values",
    title="Values",
    when="with `values: true`, for each turn in which readings came in",
    text="All readings of one turn by name, as they came.",
    fields=(
        *_envelope("values"),
        _AT,
        Field("values", names_to(SCALAR), "By name; null where it is bad."),
    ),
    example={
        **_HEAD,
        "stream": "values@5f3a9c",
        "seq": 901,
        "at": 1732278004200,
        "values": {"skid/pressure": 4.21, "skid/running": None},
    },
)

# ---------------------------------------------------------------- event, gap, closed

EVENT = Message(
    suffix="event",
    title="Event",
    when="at once",
    text="Something happened, in one sentence for people and with facts for programs.",
    fields=(
        *_envelope("event"),
        _AT,
        Field("kind", told({str(k): v for k, v in MEANINGS.items()}), "What happened."),
        Field("subject", ANY_TEXT, "To whom: a device, tag, alarm, loop or asset."),
        Field("text", ANY_TEXT, "The sentence."),
        Field("facts", names_to(SCALAR), "What `kind` names, and perhaps more."),
    ),
    example={
        **_HEAD,
        "stream": "event@5f3a9c",
        "seq": 7,
        "at": 1732278004123,
        "kind": "anomaly",
        "subject": "pump",
        "text": "pump: 1.8 times as far from normal as is usual: flow 71 %, pressure 22 %",
        "facts": {"score": 1.8, "limit": 1.5, "meter/flow": 0.71, "skid/pressure": 0.22},
    },
)

_MISSING = record(
    Field(
        "stream",
        NAMED,
        "Whose; `frames`: turns that were dropped before they were read; `*`: perhaps any, since "
        "the log itself was damaged.",
    ),
    Field("from_seq", whole(1, nullable=True), "The first number; null: they never got one."),
    Field("to_seq", whole(1, nullable=True), "The last."),
    Field("count", whole(nullable=True), "How many; null where nobody knows."),
    Field("reason", ANY_TEXT, "Why, in one sentence."),
)

GAP = Message(
    suffix="gap",
    title="Gap",
    when="when something will never come",
    text="Records that will never come, and why: what is in no gap record is still under way.",
    fields=(*_envelope("gap"), _AT, Field("gap", _MISSING, "What is missing.")),
    example={
        **_HEAD,
        "stream": "gap@5f3a9c",
        "seq": 1,
        "at": 1732278004500,
        "gap": {
            "stream": "summary-10s@5f3a9c",
            "from_seq": 3,
            "to_seq": 57,
            "count": 55,
            "reason": "the outbox is full",
        },
    },
)

CLOSED = Message(
    suffix="closed",
    title="Closed",
    when="when a gateway comes back to many waiting records",
    text="The last numbers of all streams so far: new ones go on from here and come first, the "
    "closed ones follow between them, each in its order.",
    fields=(
        *_envelope("closed"),
        _AT,
        Field("closed", names_to(whole(), "@"), "Each closed stream with its last number."),
    ),
    example={
        **_HEAD,
        "stream": "closed@5f3a9c.2",
        "seq": 1,
        "at": 1732278004500,
        "closed": {"event@5f3a9c": 812, "summary-10s@5f3a9c": 25920},
    },
)
