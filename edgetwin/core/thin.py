"""Several summaries of one stream made one: what is left of the past when a disk is full.

What adds up is added up, what is an extreme stays one, means and deviations are those of all the
readings together. The result is a summary like any other; ``thinned``, its first member, says which
numbers it stands for.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgetwin.core.reading import Floats

Column = list[Any]

_MARK = re.compile(rb'\{"thinned":\{"from_seq":(\d+),"to_seq":(\d+)')
_BIRTH = re.compile(rb'"birth":"(\w+)","(?:set|from)"')
_HEAD = 300
_DIGITS = "%.10g"


def numbers(body: bytes, sequence: int) -> range:
    """The numbers that a record with this body and number stands for: one, unless thinned."""
    mark = _MARK.match(body)
    return range(int(mark[1]), int(mark[2]) + 1) if mark else range(sequence, sequence + 1)


def birth(body: bytes) -> bytes:
    """Which birth explains a summary: only those of one can be merged; empty for no summary."""
    found = _BIRTH.search(body, 0, _HEAD)
    return found[1] if found else b""


def merge(bodies: Sequence[bytes], first: int, final: int) -> bytes:
    """One summary of them all, oldest first; it stands for the numbers ``first`` to ``final``."""
    parts = [json.loads(body) for body in bodies]
    whole: dict[str, Any] = {"thinned": None, **parts[-1]}  # first: see _MARK
    whole |= {
        "thinned": {"from_seq": first, "to_seq": final, "count": final - first + 1},
        "from": parts[0]["from"],
        "frames": [parts[0]["frames"][0], parts[-1]["frames"][1]],
        "lost": sum(part["lost"] for part in parts),
    }
    with np.errstate(over="ignore", invalid="ignore"):  # what grows past all numbers becomes null
        for name, column in parts[-1].items():
            if name in _RULES and isinstance(column, list):
                whole[name] = _RULES[name](name, parts)
    text = json.dumps(whole, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace")


# ---------------------------------------------------------------- one rule per column


def _table(name: str, parts: Sequence[dict[str, Any]]) -> Floats:
    """[part, tag]; NaN for null."""
    return np.array([[np.nan if v is None else v for v in p[name]] for p in parts], float)


def _good(parts: Sequence[dict[str, Any]]) -> Floats:
    """How many good readings there were, [part, tag]."""
    good: Floats = np.nan_to_num(np.round(_table("count", parts) * _table("good", parts)))
    return good


def _list(values: Floats) -> Column:
    rounded = (float(_DIGITS % v) for v in values.tolist())
    return [v if math.isfinite(v) else None for v in rounded]


def _counted(name: str, parts: Sequence[dict[str, Any]]) -> Column:
    return [sum(column) for column in zip(*(part[name] for part in parts), strict=True)]


def _added(name: str, parts: Sequence[dict[str, Any]]) -> Column:
    table = _table(name, parts)
    nothing = np.isnan(table).all(axis=0)
    return _list(np.where(nothing, np.nan, np.nansum(table, axis=0)))


def _share(_name: str, parts: Sequence[dict[str, Any]]) -> Column:
    count = _table("count", parts).sum(axis=0)
    return _list(np.divide(_good(parts).sum(axis=0), count, out=_nans(count), where=count > 0))


def _least(name: str, parts: Sequence[dict[str, Any]]) -> Column:
    return _list(np.fmin.reduce(_table(name, parts)))


def _most(name: str, parts: Sequence[dict[str, Any]]) -> Column:
    return _list(np.fmax.reduce(_table(name, parts)))


def _mean(name: str, parts: Sequence[dict[str, Any]]) -> Column:
    return _list(_means(name, parts))


def _means(name: str, parts: Sequence[dict[str, Any]]) -> Floats:
    good, table = _good(parts), _table(name, parts)
    weight = np.where(np.isnan(table), 0.0, good)
    total = weight.sum(axis=0)
    added = (weight * np.nan_to_num(table)).sum(axis=0)
    means: Floats = np.divide(added, total, out=_nans(total), where=total > 0)
    return means


def _deviation(name: str, parts: Sequence[dict[str, Any]]) -> Column:
    """Of all readings: the parts' own spread, and how far apart their means lie."""
    good, table, means = _good(parts), _table(name, parts), _table("mean", parts)
    apart = means - _means("mean", parts)
    squares = np.nan_to_num(good * (table * table + apart * apart)).sum(axis=0)
    total = np.where(np.isnan(table), 0.0, good).sum(axis=0)
    return _list(np.sqrt(np.divide(squares, total, out=_nans(total), where=total > 0)))


def _nans(like: Floats) -> Floats:
    return np.full(like.shape, np.nan)


def _earliest(name: str, parts: Sequence[dict[str, Any]]) -> Column:
    return _latest(name, parts[::-1])


def _latest(name: str, parts: Sequence[dict[str, Any]]) -> Column:
    """The last that is known; text and large integers stay as they are."""
    kept: Column = list(parts[0][name])
    for part in parts[1:]:
        kept = [old if new is None else new for old, new in zip(kept, part[name], strict=True)]
    return kept


_RULES: dict[str, Callable[[str, Sequence[dict[str, Any]]], Column]] = {
    "count": _counted,
    "good": _share,
    "min": _least,
    "max": _most,
    "mean": _mean,
    "std": _deviation,
    "first": _earliest,
    "last": _latest,
    "on": _added,
    "off": _added,
    "increase": _added,
}
"""Columns without a rule (``quality``) are those of the last summary."""
