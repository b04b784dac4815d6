"""What came from upstream's topics, read again: for subscribers, consumers of a fleet and tests.

The way back from payload.py. A birth explains all messages that name it; ``read`` comes first.
"""

import json
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from edgetwin.core.payload import VERSION
from edgetwin.core.reading import Scalar

_OVER_GOOD = ("min", "max", "mean", "std", "first", "last")


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
    _check(message, explained_by)
    words = explained_by["qualities"]
    columns = [c for c in ("count", "good", *_OVER_GOOD) if c in message]
    special = {key: iter(message.get(key, ())) for key in ("on", "off", "increase")}
    own = [t for t in explained_by["tags"] if t.get("set", "") == message.get("set", "")]
    table = {}
    for place, tag in enumerate(own):
        row = {column: message[column][place] for column in columns}
        if tag["type"] == "bit" and "on" in message:
            row |= {key: next(special[key]) for key in ("on", "off")}
        if "counter" in tag and "increase" in message:
            row["increase"] = next(special["increase"])
        table[tag["name"]] = {**row, "quality": words[str(message["quality"][place])]}
    return table


def points(
    message: Mapping[str, Any], explained_by: Mapping[str, Any]
) -> dict[str, list[tuple[int, Scalar | None]]]:
    """A report by tag name: (UTC ms, value), None where nothing was measured from there on.

    Raises:
        ValueError: the birth is not the one that the report was written under.
    """
    _check(message, explained_by)
    return {
        explained_by["tags"][index]["name"]: [
            (message["from"] + after, value)
            for after, value in zip(accumulate(times), values, strict=True)
        ]
        for index, times, values in message["points"]
    }


def raw(
    message: Mapping[str, Any], explained_by: Mapping[str, Any]
) -> dict[str, list[tuple[int, Scalar | None]]]:
    """One part of a capture by tag name: (UTC ms, value), None where it was bad.

    Raises:
        ValueError: the birth is not the one that the capture was written under.
    """
    _check(message, explained_by)
    found: dict[str, list[tuple[int, Scalar | None]]] = {}
    for after, first, values in message["rows"]:
        for index, value in enumerate(values, first):
            name = explained_by["tags"][index]["name"]
            found.setdefault(name, []).append((message["at"] + after, value))
    return found


def _check(message: Mapping[str, Any], explained_by: Mapping[str, Any]) -> None:
    if message["birth"] != explained_by["birth"]:
        raise ValueError(
            f"birth {explained_by['birth']} does not explain a message of {message['birth']}"
        )


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
