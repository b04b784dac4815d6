"""What every export tells of: the tags by their owner, their bounds, and names that standards take.

An owner is the first part of a tag's name: a device, an asset (for what is computed) or ``loop``.
"""

import hashlib
import math
import re
from collections.abc import Iterable

from edgetwin.core.plan import GatewayPlan
from edgetwin.core.tags import Tag, TagKind, ValueType

_UNFIT = re.compile(r"[^A-Za-z0-9]+")
_WHOLE = {
    ValueType.INT16,
    ValueType.UINT16,
    ValueType.INT32,
    ValueType.UINT32,
    ValueType.INT64,
    ValueType.UINT64,
    ValueType.BCD16,
    ValueType.BCD32,
}
_KINDS = {
    TagKind.MEASURED: "read from a device",
    TagKind.DERIVED: "computed by the gateway",
    TagKind.LOOP: "of a control loop",
    TagKind.DETECTOR: "of the anomaly detector",
}


def owners(plan: GatewayPlan) -> dict[str, list[Tag]]:
    """The tags of each owner, in order of index."""
    found: dict[str, list[Tag]] = {}
    for tag in plan.tags:
        found.setdefault(tag.name.partition("/")[0], []).append(tag)
    return found


def own_name(tag: Tag) -> str:
    """Its name below its owner."""
    return tag.name.partition("/")[2]


def second_names(plan: GatewayPlan, tag: Tag) -> list[str]:
    """What assets call it."""
    return [name for name, index in plan.tags.aliases.items() if index == tag.index]


def about(plan: GatewayPlan, tag: Tag) -> str:
    """One sentence for people."""
    text = f"{tag.name}, {_KINDS[tag.kind]}"
    if others := second_names(plan, tag):
        text += f"; also {', '.join(others)}"
    if tag.write and tag.write.texts:
        text += f"; writable: {', '.join(tag.write.texts)}"
    elif tag.write:
        text += f"; writable from {tag.write.low:.6g} to {tag.write.high:.6g} {tag.unit}".rstrip()
    return text


def is_whole(tag: Tag) -> bool:
    """Whether its values are whole numbers: an integer in the device that nothing scales."""
    return tag.type in _WHOLE and tag.scale == 1.0 and tag.offset == 0.0


def bounds(tag: Tag) -> dict[str, float]:
    """``minimum`` and ``maximum`` of its range, as far as they are told."""
    ends = {"minimum": tag.low, "maximum": tag.high}
    return {name: value for name, value in ends.items() if math.isfinite(value)}


def write_bounds(tag: Tag) -> dict[str, float]:
    """What may be written to it: ``minimum``, ``maximum``, ``ratePerSecond``; {} for read-only."""
    if tag.write is None or tag.write.texts:
        return {}
    limits = {"minimum": tag.write.low, "maximum": tag.write.high, "ratePerSecond": tag.write.rate}
    return {name: value for name, value in limits.items() if math.isfinite(value)}


def identifiers(names: Iterable[str], most: int = 64) -> dict[str, str]:
    """Names that a programming language takes, each one different from the others.

    Letters, digits and single ``_``, a letter first, no ``_`` last: what DTDL and AAS both allow.
    """
    given: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        word = _UNFIT.sub("_", name).strip("_")
        word = word if word[:1].isalpha() else f"x{word}"
        if len(word) > most or word.lower() in taken:
            mark = hashlib.sha256(name.encode()).hexdigest()[:8]
            word = f"{word[: most - 9].rstrip('_')}_{mark}"
        taken.add(word.lower())
        given[name] = word
    return given


def identifier(name: str, most: int = 64) -> str:
    """One such name."""
    return identifiers([name], most)[name]
