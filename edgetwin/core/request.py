"""A request from the cloud: read strictly, judged by clock and gateway, answered by a state.

What comes here has been signed; it is read all the same as if a stranger had sent it, for keys are
stolen. Nothing is guessed, corrected or skipped: one object, exactly these members, each of exactly
its type, none of them twice.

    {"gateway": "pump-7", "sequence": 1732278000123, "nonce": "q3Zx1vW0r8bK2mNd",
     "issued": 1732278000123, "expires": 1732278020123, "by": "Anna, control room",
     "write": {"tag": "skid/speed", "value": 1200}}

For an array ``tag`` is its name and ``value`` a list, for a text it is one. In place of ``write``
there may be ``loop``: ``{"loop": "pressure", "mode": "auto"}``. Times are ms since 1970, UTC.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn, TypeAlias

from edgetwin.core.errors import EdgetwinError
from edgetwin.core.jsontext import document
from edgetwin.core.plan import Mode
from edgetwin.core.reading import Instant, Scalar
from edgetwin.core.remote import State

VERSION = 1
LARGEST = 3072
"""Bytes of a payload; that of a token of 4,096 cannot be longer."""

AHEAD_MS = 5_000
"""So far may the sender's clock go before ours."""

MOST_VALUES = 100
"""Of one array, in one request."""

_TEXT = 250
_DEPTH = 3
_EXACT = 2**53
_DIGITS = 24  # of a number's text
_MS = 1_000_000


class Flaw(StrEnum):
    """Why a request, though signed, is not even considered."""

    UNREADABLE = "unreadable"
    OTHER_GATEWAY = "for another gateway"
    TOO_LONG_VALID = "valid for too long"
    EXPIRED = "expired"
    FUTURE = "issued in the future"
    RETAINED = "retained"
    REPLAY = "replay"
    OVERFLOW = "too many waiting"
    DISK = "the disk refuses"


class BadRequest(EdgetwinError):
    """The request is refused; ``flaw`` is what is counted, the text what is answered."""

    def __init__(self, flaw: Flaw, text: str) -> None:
        super().__init__(text)
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class WriteWanted:
    """A tag shall have a value (or text), an array its values, in engineering units."""

    tag: str
    value: float | str | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ModeWanted:
    """A loop shall have a mode."""

    loop: str
    mode: Mode


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for, and how long it is meant. Times are ms since 1970."""

    gateway: str
    sequence: int
    nonce: str
    issued: int
    expires: int
    by: str
    wanted: WriteWanted | ModeWanted


# ---------------------------------------------------------------- reading


def read(payload: bytes) -> Request:
    """The request that a payload holds.

    Raises:
        BadRequest: it is not exactly one.
    """
    members = _members(_parse(payload), _ENVELOPE, ("write", "loop"))
    wanted = _read_write(members["write"]) if "write" in members else _read_loop(members["loop"])
    return Request(**{name: members[name] for name in _ENVELOPE}, wanted=wanted)


def _parse(payload: bytes) -> object:
    if len(payload) > LARGEST:
        _refuse(f"{len(payload)} bytes are more than {LARGEST}")
    if not payload.isascii():
        _refuse("there is something beside ASCII in it")
    text = payload.decode("ascii")
    if _is_deep(text):
        _refuse(f"it is nested deeper than {_DEPTH}")
    try:
        return json.loads(
            text,
            object_pairs_hook=_pairs,
            parse_int=_whole,
            parse_float=_number,
            parse_constant=lambda word: _refuse(f"{word} is no number"),
        )
    except ValueError as error:
        raise BadRequest(Flaw.UNREADABLE, f"it is no JSON ({error})") from error


def _is_deep(text: str) -> bool:
    """Whether brackets are nested too deep. Those in texts count as well: no name here has any."""
    depth = 0
    for mark in re.findall(r"[\[\]{}]", text):
        depth += 1 if mark in "[{" else -1
        if depth > _DEPTH:
            return True
    return False


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse("a member stands there twice")
    return found


def _whole(text: str) -> int:
    if len(text) > _DIGITS or not -_EXACT <= int(text) <= _EXACT:
        _refuse("a whole number is larger than 2 to the 53rd")
    return int(text)


def _number(text: str) -> float:
    value = float(text) if len(text) <= 2 * _DIGITS else math.inf
    if not math.isfinite(value):
        _refuse("a number is larger than any that can be kept")
    return value


def _refuse(text: str) -> NoReturn:
    raise BadRequest(Flaw.UNREADABLE, text)


_Check: TypeAlias = Callable[[object], bool]


def _text(form: str) -> _Check:
    pattern = re.compile(form)
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0  # a bool is an int too, but not here


def _is_number(value: object) -> bool:
    return type(value) in {int, float}


def _is_wanted(value: object) -> bool:
    """One number, as many as an array may have, or a text."""
    if isinstance(value, str):
        return 0 < len(value) <= _TEXT and value.isprintable()
    if not isinstance(value, list):
        return _is_number(value)
    return 0 < len(value) <= MOST_VALUES and all(map(_is_number, value))


_PRINTABLE = r"[ -~]{1,%d}"
_ENVELOPE: dict[str, _Check] = {
    "gateway": _text(_PRINTABLE % 64),
    "sequence": _is_count,
    "nonce": _text(r"[A-Za-z0-9_-]{16,64}"),
    "issued": _is_count,
    "expires": _is_count,
    "by": _text(_PRINTABLE % 64),
}
_WRITE: dict[str, _Check] = {"tag": _text(_PRINTABLE % 200), "value": _is_wanted}
_LOOP: dict[str, _Check] = {
    "loop": _text(_PRINTABLE % 64),
    "mode": lambda value: isinstance(value, str) and value in set(Mode),
}


def _members(found: object, checks: dict[str, _Check], one_of: tuple[str, ...]) -> dict[str, Any]:
    """An object's members, if they are all of ``checks`` and exactly one of ``one_of``."""
    if not isinstance(found, dict):
        _refuse("an object is expected, and there is none")
    if missing := checks.keys() - found.keys():
        _refuse(f"{min(missing)} is missing")
    chosen = found.keys() & set(one_of)
    if unknown := found.keys() - checks.keys() - chosen:
        _refuse(f"a member is unknown: {min(unknown)[:64]!r}")
    if len(chosen) != min(len(one_of), 1):
        _refuse(f"exactly one of {' and '.join(one_of)} is expected")
    for name, fits in checks.items():
        if not fits(found[name]):
            _refuse(f"{name} is not what it may be")
    return found


def _read_write(found: object) -> WriteWanted:
    members = _members(found, _WRITE, ())
    value = members["value"]
    if isinstance(value, str):
        return WriteWanted(members["tag"], value)
    wanted = tuple(map(float, value)) if isinstance(value, list) else float(value)
    return WriteWanted(members["tag"], wanted)


def _read_loop(found: object) -> ModeWanted:
    members = _members(found, _LOOP, ())
    return ModeWanted(members["loop"], Mode(members["mode"]))


# ---------------------------------------------------------------- judging


def judge(request: Request, gateway: str, longest: int, now: Instant) -> None:
    """Whether it is meant for this gateway, and now. ``longest`` ns is how long it may be valid.

    Raises:
        BadRequest: it is not.
    """
    if request.gateway != gateway:
        raise BadRequest(Flaw.OTHER_GATEWAY, f"this is {gateway}, not {request.gateway}")
    clock, valid = now.wall // _MS, request.expires - request.issued
    if not 0 < valid <= longest // _MS:
        text = f"it is valid for {valid} ms; more than 0 and at most {longest // _MS} are allowed"
        raise BadRequest(Flaw.TOO_LONG_VALID, text)
    ahead = request.issued - clock
    if ahead > AHEAD_MS:
        text = f"it was issued {ahead} ms from now by the gateway's clock. Compare the clocks"
        raise BadRequest(Flaw.FUTURE, text)
    if clock >= request.expires:
        text = (
            f"it expired {clock - request.expires} ms ago and was issued {-ahead} ms ago, "
            "by the gateway's clock. Send it anew, or compare the clocks"
        )
        raise BadRequest(Flaw.EXPIRED, text)


# ---------------------------------------------------------------- answering


@dataclass(frozen=True, slots=True)
class Reply:
    """The state of one request; ``facts`` are what is known beside (tag, value, read_back …)."""

    key: str
    sequence: int
    nonce: str
    state: State
    reason: str
    facts: tuple[tuple[str, Scalar], ...] = ()


def write_reply(reply: Reply, gateway: str, wall: int) -> bytes:
    """A reply as it travels; ``wall`` is UTC ns."""
    return document(
        {
            "v": VERSION,
            "at": wall // _MS,
            "gateway": gateway,
            "key": reply.key,
            "sequence": reply.sequence,
            "nonce": reply.nonce,
            "state": str(reply.state),
            "reason": reply.reason,
            **dict(reply.facts),
        }
    )
