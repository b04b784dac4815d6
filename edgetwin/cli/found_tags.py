"""Tags of a configuration made from what a server has: as comments, for a person to choose from."""

import json
import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from edgetwin.cli.tree import value_text
from edgetwin.core.plan import OpcuaSettings, Security
from edgetwin.core.units import format_number
from edgetwin.devices.opcua.branch import Branch
from edgetwin.devices.opcua.columns import MOST_ELEMENTS

_UNFIT = re.compile(r"[^A-Za-z0-9_-]+")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9/]*")
_LONGEST = 64


def new_file(variables: Sequence[Branch], settings: OpcuaSettings) -> list[str]:
    """A configuration whose only missing part is the choice among its tags."""
    host = _name(urlsplit(settings.url).hostname or "") or "gateway"
    lines = list(_device(settings))
    return [f"gateway: {host}", "devices:", *lines, *(f"      # {t}" for t in tags(variables))]


def device_lines(variables: Sequence[Branch], settings: OpcuaSettings) -> list[str]:
    """A device for a file that there is already, all of it as comments."""
    lines = [*_device(settings), *(f"      {tag}" for tag in tags(variables))]
    head = f"# Found at {settings.url} by edgetwin browse. What is wanted belongs below 'devices:'."
    return [head, *(f"# {line}" for line in lines)]


def _device(settings: OpcuaSettings) -> Iterator[str]:
    yield "  server:"
    yield "    driver: opcua"
    yield f"    address: {settings.url}"
    if settings.security is not Security.SIGN_AND_ENCRYPT:
        yield f"    security: {settings.security}"
    if settings.user:
        yield f"    user: {json.dumps(settings.user, ensure_ascii=False)}"
    for option in ("password_file", "user_certificate", "user_key"):
        if file := getattr(settings, option):
            yield f"    {option}: {json.dumps(str(file), ensure_ascii=False)}"
    yield "    tags:"


def tags(variables: Sequence[Branch]) -> Iterator[str]:
    """A line for each value; of an array all its elements, of a matrix the first."""
    taken: set[str] = set()
    for branch in variables:
        options = [f"at: {_quoted(branch.at)}"]
        if branch.type.endswith("[]"):
            options.append(_elements(branch.value))
        if branch.unit:
            options.append(f"unit: {_quoted(branch.unit)}")
        if branch.span:
            low, high = (format_number(end) for end in branch.span)
            options.append(f"range: [{low}, {high}]")
        if branch.states and not branch.type.endswith("[]"):
            named = (f"{number}: {_quoted(text)}" for number, text in branch.states.items())
            options.append(f"states: {{{', '.join(named)}}}")
        said = ", ".join(part for part in (branch.type, branch.access) if part)
        name = _free(branch.path, taken)
        yield f"{name}: {{{', '.join(options)}}}  # {said}; now {value_text(branch)}"


def _elements(value: object) -> str:
    """``elements: 8``; where they are too many ``element: 0``, of a matrix ``0,0``."""
    if isinstance(value, list) and value and not isinstance(value[0], list):
        return f"elements: {len(value)}" if len(value) <= MOST_ELEMENTS else "element: 0"
    depth = 0
    while isinstance(value, list):
        depth, value = depth + 1, value[0] if value else None
    text = ",".join(["0"] * max(1, depth))
    return f"element: {text}" if depth < 2 else f'element: "{text}"'


def _free(path: tuple[str, ...], taken: set[str]) -> str:
    """A name for the tag: its own, with those above it where that is taken already."""
    for depth in range(1, len(path) + 1):
        name = _name("_".join(path[-depth:]))
        if name and name not in taken:
            break
    else:
        name = next(n for k in range(2, 1 << 30) if (n := f"{name[:50] or 'tag'}-{k}") not in taken)
    taken.add(name)
    return name


def _name(text: str) -> str:
    return _UNFIT.sub("-", text).strip("-_")[:_LONGEST]


def _quoted(text: str) -> str:
    """As YAML takes it."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
