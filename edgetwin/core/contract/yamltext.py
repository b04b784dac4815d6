"""A document as YAML that people like to read.

What is quoted is quoted as in JSON, of which YAML is a superset; so nothing here depends on how a
YAML library guesses types.
"""

import json
import re
from collections.abc import Iterator, Mapping
from textwrap import TextWrapper
from typing import Any

_PLAIN = re.compile(r"[A-Za-z$/_][A-Za-z0-9_./ ,()-]*[A-Za-z0-9_.)]")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
_WIDTH = 100
_LONG = 60


def yaml_text(document: Mapping[str, Any]) -> str:
    """The whole document."""
    return "\n".join(_lines(document, 0)) + "\n"


def _lines(value: object, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _entry(f"{pad}{_scalar(key)}:", inner, depth)
    elif isinstance(value, list):
        for inner in value:
            first, *rest = _lines(inner, depth + 1)
            yield f"{pad}- {first.lstrip()}"
            yield from rest
    else:
        yield pad + _scalar(value)


def _entry(head: str, inner: object, depth: int) -> Iterator[str]:
    if isinstance(inner, str) and len(inner) > _LONG and not re.search(r"\n|  |^ | $", inner):
        yield f"{head} >-"
        pad = "  " * (depth + 1)
        yield from _folder(pad).wrap(inner)
    elif _is_flat(inner):
        yield f"{head} {json.dumps(inner, ensure_ascii=False)}"
    elif isinstance(inner, Mapping | list) and inner:
        yield head
        yield from _lines(inner, depth + 1)
    else:
        yield f"{head} {_scalar(inner)}"


def _folder(pad: str) -> TextWrapper:
    return TextWrapper(
        width=_WIDTH,
        initial_indent=pad,
        subsequent_indent=pad,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _is_flat(value: object) -> bool:
    """A short list of scalars, or of such lists: written on one line."""
    return isinstance(value, list) and not any(isinstance(x, Mapping) for x in _leaves(value))


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
