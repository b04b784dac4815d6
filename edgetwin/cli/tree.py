"""How ``edgetwin browse`` shows a server's tree: the values first, and ready to be copied."""

import math
from collections.abc import Iterator, Sequence

from edgetwin.devices.opcua.branch import Branch

_LONGEST = 32
_SHOWN = 4  # so many elements of an array
_COLUMNS = ("VALUE", "TYPE", "ACCESS", "AT")


def tree_lines(url: str, found: Sequence[Branch]) -> list[str]:
    """A head line, then a line for each node, those above it included."""
    variables = sum(each.kind == "variable" for each in found)
    head = f"{url}: {variables} {'value' if variables == 1 else 'values'} below Objects"
    if not found:
        return [f"{head}. Try another --filter, or --all for the server's own nodes too"]
    rows = list(_rows(found))
    widths = [max(len(row[n]) for row in rows) for n in range(4)]
    return [head, *(_line(row, widths) for row in rows)]


def _rows(found: Sequence[Branch]) -> Iterator[tuple[str, ...]]:
    yield ("NAME", *_COLUMNS)
    told: tuple[str, ...] = ()
    for branch in found:
        shared = _shared(told, branch.path[:-1])
        for depth in range(shared, len(branch.path) - 1):
            yield ("  " * depth + branch.path[depth], "", "", "", "")
        told = branch.path
        name = "  " * (len(branch.path) - 1) + branch.path[-1]
        if branch.kind == "variable":
            yield (name, value_text(branch), branch.type, branch.access, branch.at)
        else:
            kind = branch.kind if branch.kind != "object" else ""
            yield (name, "", kind, "", branch.at if kind else "")


def _shared(before: tuple[str, ...], now: tuple[str, ...]) -> int:
    """How many of the names above a node were shown already."""
    n = 0
    while n < min(len(before), len(now)) and before[n] == now[n]:
        n += 1
    return n


def _line(row: tuple[str, ...], widths: Sequence[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]
    return "  ".join(cells).rstrip()


def value_text(branch: Branch) -> str:
    """A value with its unit, on one short line."""
    if branch.trouble:
        return f"({branch.trouble})"
    name = branch.states.get(int(branch.value)) if isinstance(branch.value, int) else None
    return f"{_text(branch.value)} {f'({name})' if name else branch.unit}".rstrip()


def _text(value: object) -> str:
    if isinstance(value, list):
        shown = ", ".join(_text(each) for each in value[:_SHOWN])
        more = f", … ({len(value)} in all)" if len(value) > _SHOWN else ""
        return f"[{shown}{more}]"
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.7g}" if math.isfinite(value) else str(value)
    text = str(value) if isinstance(value, int) else f"'{value}'"
    text = "".join(each if each.isprintable() else "·" for each in text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
