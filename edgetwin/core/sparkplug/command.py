"""Commands from hosts: which are obeyed, and why the others are not.

A rebirth is obeyed: it writes nothing. Every other metric of an NCMD or DCMD is a wish to write.
Sparkplug has no signature, so wishes are refused unless the configuration allows unsigned requests
by that name; then they go the way of all requests, to the guard.
"""

import math
from dataclasses import dataclass

from edgetwin.core.reading import Scalar
from edgetwin.core.sparkplug.catalogue import Catalogue, usual_type
from edgetwin.core.sparkplug.metric import BOUNDS, REBIRTH, DataType, Metric, Payload, Verb


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tag shall have a value. ``stamp`` is the message's time, ms since 1970."""

    tag: str
    value: float
    stamp: int


@dataclass(frozen=True, slots=True)
class Command:
    """What a message asks for: a rebirth perhaps, writes, and what is refused, a reason each."""

    rebirth: bool
    refused: tuple[str, ...]
    wanted: tuple[Wanted, ...] = ()


def judge(
    verb: Verb,
    device: str,
    payload: Payload | None,
    *,
    retained: bool,
    catalogue: Catalogue | None = None,
) -> Command:
    """What is to be done about a command; ``payload`` None: it could not be read.

    ``catalogue``: of the metrics that may be written. None: none may.
    """
    named = device if device.isprintable() else repr(device)  # a broker may send any topic
    who = f"{verb.value} to {named[:200] or 'the node'}"
    if payload is None:
        return Command(rebirth=False, refused=(f"{who} is no Sparkplug payload",))
    if retained:
        return Command(
            rebirth=False, refused=(f"{who} was retained: nobody says when it was meant",)
        )
    rebirth, refused, wanted = False, [], []
    for metric in payload.metrics:
        if verb is Verb.NCMD and metric.name == REBIRTH and metric.value is True:
            rebirth = True
            continue
        found = _wish(metric, device, payload.timestamp, catalogue)
        if isinstance(found, Wanted):
            wanted.append(found)
        else:
            what = metric.name[:64] or f"alias {metric.alias}"
            refused.append(f"{who}: {what!r}: {found}")
    if not payload.metrics:
        refused.append(f"{who} asks for nothing")
    return Command(rebirth, tuple(refused), tuple(wanted))


def _wish(metric: Metric, device: str, stamp: int, catalogue: Catalogue | None) -> Wanted | str:
    """What a metric asks for, or why it is refused."""
    if catalogue is None:
        return "writing from upstream is not enabled"
    entry = catalogue.find(device, metric.name, metric.alias)
    if entry is None:
        return "there is no such metric"
    tag = catalogue.tags[entry.tag]
    value = _number(metric.value, usual_type(tag))
    if value is None:
        return f"{metric.value!r:.64} is no number"
    return Wanted(tag.name, value, stamp)


def _number(value: Scalar | None, kind: DataType) -> float | None:
    """A value as it lies in its field, as the number that is meant (6.4.16: two's complement)."""
    if not isinstance(value, int | float):
        return None
    if isinstance(value, int) and BOUNDS.get(kind, (0, 0))[0] < 0:
        for bits in (32, 64):
            if 1 << (bits - 1) <= value < 1 << bits:
                value -= 1 << bits
                break
    return float(value) if math.isfinite(value) else None
