"""What the broker keeps for those who come later: the birth, which explains, and the status."""

from edgetwin.core.contract.message import Field, Message
from edgetwin.core.contract.shape import (
    BIRTH,
    NAMED,
    array,
    constant,
    names_to,
    number,
    one_of,
    record,
    row,
    titled,
    told,
    whole,
)
from edgetwin.core.payload import VERSION
from edgetwin.core.quality import Quality
from edgetwin.core.tags import ReportBy, TagKind, ValueType

V = Field("v", constant(VERSION), "Version of this contract. Refuse what you do not know.")
BOOT = Field("boot", whole(1), "How often the gateway has started with the log on its disk.")
GATEWAY = Field("gateway", NAMED, "The name of the gateway, as its configuration gives it.")

_KINDS = {
    TagKind.MEASURED: "a device holds it",
    TagKind.DERIVED: "computed from other tags",
    TagKind.LOOP: "of a control loop: its setpoint, what it wants, its mode",
    TagKind.DETECTOR: "of a detector: its score, its verdict",
}
_WAYS = {
    ReportBy.STEP: "a point holds until the next one",
    ReportBy.LINE: "straight from point to point; behind the last nothing is known yet",
}

_REPORT = record(
    Field("by", told({str(k): v for k, v in _WAYS.items()}), "How to read between two points."),
    Field(
        "within",
        number(minimum=0),
        "At the time of every good reading, what you draw lies this close to it, in the tag's "
        "unit.",
    ),
    Field("every", whole(), "There is another point after so long, while it is measured.", "ms"),
)
_COUNTER = record(
    Field(
        "wraps",
        number(nullable=True),
        "Where it begins again at 0; null if it only ever does so when it is reset.",
    )
)
_TAG = record(
    Field("name", NAMED, "device/tag, asset/tag or loop/name/tag."),
    Field("kind", told({str(k): v for k, v in _KINDS.items()}), "Where its value comes from."),
    Field(
        "type",
        one_of(str(each) for each in ValueType),
        "How it lies in the device; auto: the device says so itself, a number unless told as text.",
    ),
    Field("unit", NAMED, "The unit, as its configuration writes it.", optional=True),
    Field(
        "range",
        row(number(nullable=True), number(nullable=True)),
        "From and to, null for no end: a value outside is of uncertain quality.",
        optional=True,
    ),
    Field(
        "set",
        {"type": ["string", "null"], "minLength": 1},
        "Which summaries tell of it: those with this set; null: none; missing: those without.",
        optional=True,
    ),
    Field("counter", _COUNTER, "It only goes up: summaries tell its increase.", optional=True),
    Field("states", names_to(NAMED), "What its whole values mean, by value.", optional=True),
    Field("report", _REPORT, "It is told by exception, in reports.", optional=True),
)

_PLACE = titled(whole(), "The tag's place in `tags`.")
_ASSET = record(
    Field("name", NAMED, "Its name on this gateway."),
    Field("type", NAMED, "What kind of machine it is, in words of the fleet's own."),
    Field("tags", names_to(_PLACE), "Its own names for its tags, and their places."),
    Field("verdict", _PLACE, "Where its detector says 0 normal, 1 not.", optional=True),
)

BIRTH_MESSAGE = Message(
    suffix="birth",
    title="Birth",
    when="on each connection",
    text="Explains everything else: names, units and types travel once, here; afterwards a tag is "
    "its place in `tags`, counted from 0. Keep each birth you have seen under its id.",
    retained=True,
    stored=False,
    fields=(
        V,
        Field("birth", BIRTH, "Its id, which changes when, and only when, the tags do."),
        GATEWAY,
        BOOT,
        Field(
            "qualities",
            names_to(NAMED, "^[0-9]+$"),
            "The words for the codes of quality: below 64 good, from 128 on bad, else uncertain.",
        ),
        Field("tags", array(_TAG), "All tags, in the order that later messages count in."),
        Field(
            "encodings",
            array(NAMED),
            "The content types on offer, where there is a choice: see accept.",
            optional=True,
        ),
        Field("assets", array(_ASSET), "The machines of a type, if there are any.", optional=True),
    ),
    example={
        "v": VERSION,
        "birth": "0c2f5a9be113",
        "gateway": "pump-7",
        "boot": 3,
        "qualities": {str(int(q)): q.words for q in (Quality.GOOD, Quality.STALE)},
        "tags": [
            {
                "name": "skid/pressure",
                "kind": "measured",
                "type": "float32",
                "unit": "bar",
                "range": [0, 16],
                "report": {"by": "line", "within": 0.05, "every": 60000},
            },
            {"name": "skid/running", "kind": "measured", "type": "bit"},
        ],
        "assets": [{"name": "pump", "type": "pump-40", "tags": {"p": 0}}],
    },
)

_CAUSES = {
    "connected": "online: it has just connected",
    "stopped": "offline: it was stopped, and said good-bye",
    "lost": "offline: nobody said good-bye; this is its last will",
}

STATUS = Message(
    suffix="status",
    title="Status",
    when="online on each connection; offline at a clean stop, and as last will",
    text="Whether the gateway is there. While it is offline its records wait on its disk.",
    retained=True,
    stored=False,
    fields=(
        V,
        Field("status", one_of(("online", "offline")), "Whether it is connected."),
        Field("cause", told(_CAUSES), "Why."),
        GATEWAY,
        BOOT,
        Field("birth", BIRTH, "The birth that goes with it; only while online.", optional=True),
    ),
    example={
        "v": VERSION,
        "status": "online",
        "cause": "connected",
        "gateway": "pump-7",
        "boot": 3,
        "birth": "0c2f5a9be113",
    },
)
