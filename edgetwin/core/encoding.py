"""How a payload travels: as plain JSON, or as gzip where its readers have asked for that.

The gateway offers (in its birth), readers accept (by a retained message on ``TOPIC/accept``), and
each message says what it is (the content type of MQTT 5). Why so: docs/decisions/0011.

    {"v":1,"accept":["application/json+gzip"]}

Whatever else comes on that topic changes nothing.
"""

import gzip
import json
import zlib

from edgetwin.core.payload import VERSION

PLAIN = "application/json"
GZIP = "application/json+gzip"
"""``+gzip`` is the registered suffix for what is compressed by gzip (RFC 8460 §6.2)."""

LEAST_BYTES = 1000
"""Below it there is little to save: most events are 200 to 400 bytes long."""

_LEVEL = 4
_MOST_BYTES, _MOST_TYPES, _LONGEST_TYPE = 1000, 16, 100


def read_accept(payload: bytes) -> frozenset[str] | None:
    """The content types that readers accept besides plain JSON; None: this is no such message.

    Nothing at all (a retained message taken back) accepts plain JSON only.
    """
    if not payload:
        return frozenset()
    try:
        told = json.loads(payload) if len(payload) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or told.keys() != {"v", "accept"}:
        return None
    types = told["accept"]
    known = type(told["v"]) is int and told["v"] == VERSION  # true is 1 in Python, not in JSON
    return frozenset(types) if known and _are_types(types) else None


def _are_types(types: object) -> bool:
    return (
        isinstance(types, list)
        and len(types) <= _MOST_TYPES
        and all(isinstance(each, str) and len(each) <= _LONGEST_TYPE for each in types)
    )


def compress(payload: bytes) -> bytes:
    """As gzip; the same bytes give the same result."""
    return gzip.compress(payload, _LEVEL, mtime=0)


def expand(payload: bytes) -> bytes:
    """What a message says, however it came: gzip begins with 1f 8b, JSON never does.

    Raises:
        ValueError: it begins like gzip, and is none.
    """
    if payload[:2] != b"\x1f\x8b":
        return payload
    try:
        return gzip.decompress(payload)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"broken gzip: {error}") from error
