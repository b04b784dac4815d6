"""Ranges: what is normal for a type of machine over a whole fleet, as it travels to gateways.

Read strictly: who signs them may err, and what is not exactly of this form is refused.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KIND = "edgetwin fleet ranges"
VERSION = 1
MOST_TAGS = 1000
_MEMBERS = {"v", "kind", "type", "made", "window", "assets", "tags"}
_EDGES = 4


class NoRanges(ValueError):
    """What was sent are no ranges; the message says why."""


@dataclass(frozen=True, slots=True)
class ChallengerSettings:
    """Whose ranges are taken, and how often the challenger is reported on (ns)."""

    keys: tuple[Path, ...]
    every: int


@dataclass(frozen=True, slots=True)
class Edges:
    """What is normal for a tag in one window: minimum >= low, mean within, maximum <= high."""

    low: float
    mean_low: float
    mean_high: float
    high: float

    def hold(self, minimum: float, mean: float, maximum: float) -> bool:
        """Whether a window is normal. One without a good reading says nothing: it is."""
        if math.isnan(mean):
            return True
        inside = self.low <= minimum and maximum <= self.high
        return inside and self.mean_low <= mean <= self.mean_high


@dataclass(frozen=True, slots=True)
class Ranges:
    """What is normal for a type of asset, by the assets' own names of their tags.

    ``made`` UTC ms; ``window`` ms, the length of the windows it was made from and is good for;
    ``assets`` how many machines speak in it.
    """

    type: str
    made: int
    window: int
    assets: int
    tags: Mapping[str, Edges]


def write(ranges: Ranges) -> bytes:
    """Ranges as JSON, to be signed."""
    edges = {
        name: [float(f"{edge:.10g}") for edge in (e.low, e.mean_low, e.mean_high, e.high)]
        for name, e in ranges.tags.items()
    }
    content = {
        "v": VERSION,
        "kind": KIND,
        "type": ranges.type,
        "made": ranges.made,
        "window": ranges.window,
        "assets": ranges.assets,
        "tags": edges,
    }
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def read(content: bytes) -> Ranges:
    """Ranges as they were signed. Strict: what is not exactly of this form is refused.

    Raises:
        NoRanges: with what is wrong.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NoRanges("it is no JSON") from error
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise NoRanges(f"its kind is not '{KIND}'")
    if found.keys() != _MEMBERS or found["v"] != VERSION:
        raise NoRanges(f"it is not of version {VERSION}")
    tags = found["tags"]
    if not isinstance(found["type"], str) or not isinstance(tags, dict) or len(tags) > MOST_TAGS:
        raise NoRanges(f"type is a text, and tags a map of at most {MOST_TAGS}")
    made, window, assets = (_whole(found, key) for key in ("made", "window", "assets"))
    return Ranges(
        found["type"], made, window, assets, {n: _edges(n, row) for n, row in tags.items()}
    )


def _whole(found: Mapping[str, Any], key: str) -> int:
    value = found[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 53:
        raise NoRanges(f"{key} is a whole number above 0, not {value!r:.40}")
    return value


def _edges(name: str, row: object) -> Edges:
    if not isinstance(row, list) or len(row) != _EDGES or not all(map(_is_number, row)):
        raise NoRanges(f"'{name:.40}' takes four numbers: low, mean low, mean high, high")
    low, mean_low, mean_high, high = map(float, row)
    if not low <= mean_low <= mean_high <= high:
        raise NoRanges(f"the edges of '{name:.40}' are not in order")
    return Edges(low, mean_low, mean_high, high)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300  # also no NaN, no infinity, and an int that a float can hold
