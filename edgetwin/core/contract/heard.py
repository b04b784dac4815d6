"""What the gateway listens to, each only where the configuration says so, and its replies.

Requests and ranges are signed: they travel as JWS in its compact form (RFC 7515, Ed25519), and what
is declared here is what was signed.
"""

from edgetwin.core.contract.message import Direction, Field, Message
from edgetwin.core.contract.retained import GATEWAY, V
from edgetwin.core.contract.shape import (
    ANY_TEXT,
    NAMED,
    SCALAR,
    array,
    constant,
    names_to,
    number,
    one_of,
    pattern,
    record,
    row,
    told,
    whole,
)
from edgetwin.core.encoding import GZIP
from edgetwin.core.payload import VERSION
from edgetwin.core.plan import Mode
from edgetwin.core.ranges import KIND
from edgetwin.core.remote import State
from edgetwin.core.request import MOST_VALUES

ACCEPT = Message(
    suffix="accept",
    title="Accept",
    when="whenever readers have agreed on it; the gateway listens with `compression: gzip`",
    text="What all readers of this topic can read besides plain JSON. Publish it retained; take it "
    "back (an empty retained message) and everything is plain again. Only MQTT 5 tells the content "
    "type of a message, so only there records of 1,000 bytes and more are compressed. Whatever "
    "else comes here is ignored.",
    retained=True,
    stored=False,
    direction=Direction.HEARD,
    fields=(
        V,
        Field(
            "accept",
            {**array({"type": "string", "maxLength": 100}), "maxItems": 16},
            "Content types; those the gateway does not know mean nothing.",
        ),
    ),
    example={"v": VERSION, "accept": [GZIP]},
)

# ---------------------------------------------------------------- requests

_SENDER = (
    Field("sequence", whole(1), "Higher than any before under this key; a clock in ms will do."),
    Field(
        "nonce", pattern("^[A-Za-z0-9_-]{16,64}$"), "Never used before: 12 random bytes or more."
    ),
    Field("issued", whole(1), "When it was signed; 5 s of difference are borne.", "ms since 1970"),
    Field("expires", whole(1), "At most 30 s later, or as `expiry:` says.", "ms since 1970"),
    Field("by", pattern("^[ -~]{1,64}$"), "Who asks, for the journal."),
)
_WRITE = record(
    Field("tag", pattern("^[ -~]{1,200}$"), "A tag, or an array, that `requests:` lists."),
    Field(
        "value",
        {"anyOf": [number(), ANY_TEXT, {**array(number(), 1), "maxItems": MOST_VALUES}]},
        "The value it shall have, within its write limits; of an array all its values, of a text "
        "one of its `texts`.",
        "the tag's",
    ),
)
_LOOP = record(
    Field("loop", pattern("^[ -~]{1,64}$"), "A loop that `requests:` lists."),
    Field("mode", one_of(str(mode) for mode in Mode), "The mode it shall have."),
)

REQUEST = Message(
    suffix="request",
    title="Request",
    when="whenever somebody asks; the gateway listens with `requests:`",
    text="Somebody with a key asks for a write or for a loop's mode, one of the two, never "
    "retained. It passes the guard like any other write, and is answered on `reply`.",
    stored=False,
    signed=True,
    direction=Direction.HEARD,
    one_of=("write", "loop"),
    fields=(
        Field("gateway", pattern("^[ -~]{1,64}$"), "The gateway it is meant for, and no other."),
        *_SENDER,
        Field("write", _WRITE, "A tag shall have a value.", optional=True),
        Field("loop", _LOOP, "A loop shall have a mode.", optional=True),
    ),
    example={
        "gateway": "pump-7",
        "sequence": 1732278000123,
        "nonce": "q3Zx1vW0r8bK2mNd",
        "issued": 1732278000123,
        "expires": 1732278020123,
        "by": "Anna, control room",
        "write": {"tag": "skid/speed", "value": 1200},
    },
)

_STATES = {
    State.UPDATING: "accepted, and under way: another reply follows",
    State.APPLIED: "done, and read back from the device",
    State.OVERRIDDEN: "not done: a loop or a person holds the tag",
    State.INVALID: "not done: it may not be, as it stands",
    State.FAILED: "not done, or nobody knows: the reason says which",
}

REPLY = Message(
    suffix="reply",
    title="Reply",
    when="within a second of a signed request, and again when it is done",
    text="How a request stands. `key`, `sequence` and `nonce` say which; the states are those of "
    "UDMI. Not kept on disk: the event that tells the same is.",
    stored=False,
    fields=(
        V,
        Field("at", whole(), "When, on the gateway's wall clock.", "ms since 1970, UTC"),
        GATEWAY,
        Field("key", ANY_TEXT, "The name of the key that signed it."),
        Field("sequence", whole(), "As asked."),
        Field("nonce", ANY_TEXT, "As asked."),
        Field("state", told({str(k): v for k, v in _STATES.items()}), "How it stands."),
        Field("reason", ANY_TEXT, "Why, in a sentence."),
        Field("by", ANY_TEXT, "Who asked.", optional=True),
        Field("tag", NAMED, "What was to be written.", optional=True),
        Field("value", SCALAR, "To what.", "the tag's", optional=True),
        Field("values", ANY_TEXT, "To what, of an array: `0, 1.5, 3`.", optional=True),
        Field("read_back", SCALAR, "What the device shows.", "the tag's", optional=True),
        Field("loop", NAMED, "Whose mode was to be set.", optional=True),
        Field("mode", NAMED, "To what.", optional=True),
    ),
    example={
        "v": VERSION,
        "at": 1732278000250,
        "gateway": "pump-7",
        "key": "control-room",
        "sequence": 1732278000123,
        "nonce": "q3Zx1vW0r8bK2mNd",
        "state": "applied",
        "reason": "read back",
        "by": "Anna, control room",
        "tag": "skid/speed",
        "value": 1200,
        "read_back": 1200,
    },
)

# ---------------------------------------------------------------- ranges

_EDGES = row(number(), number(), number(), number())

RANGES = Message(
    suffix="ranges",
    title="Ranges",
    levels="/{type}",
    when="whenever the fleet has learned; the gateway listens with `challenger:`",
    text="What is normal for a type of machine over a whole fleet: a second opinion in shadow, "
    "which never alarms and never writes. Retained, one topic for each type of asset.",
    retained=True,
    stored=False,
    signed=True,
    direction=Direction.HEARD,
    fields=(
        V,
        Field("kind", constant(KIND), "So that no other signed thing is taken for it."),
        Field("type", NAMED, "The type of machine."),
        Field("made", whole(1), "When.", "ms since 1970, UTC"),
        Field("window", whole(1), "The length of the windows it was made from.", "ms"),
        Field("assets", whole(1), "How many machines speak in it."),
        Field(
            "tags",
            names_to(_EDGES),
            "By the assets' own name of a tag: [least minimum, least mean, greatest mean, "
            "greatest maximum] of a window.",
        ),
    ),
    example={
        "v": VERSION,
        "kind": KIND,
        "type": "pump-40",
        "made": 1732278000123,
        "window": 10000,
        "assets": 200,
        "tags": {"p": [3.1, 3.9, 4.6, 5.2]},
    },
)
