"""The reference of all options as Markdown, and a commented sample, both from the schema.

``python -m edgetwin.config.render > docs/configuration.md`` writes it anew; a test compares.
"""

import sys
from collections.abc import Iterator
from textwrap import wrap

from edgetwin.config.kinds import Kind
from edgetwin.config.option import (
    ListOf,
    MapOf,
    Option,
    Record,
    Section,
    Shape,
    Short,
    Variant,
    options,
    sections,
)
from edgetwin.config.override import MARK
from edgetwin.config.schema.gateway import Gateway

INTRO = f"""\
# Configuration

One YAML file describes one gateway. `edgetwin check FILE` says everything that is wrong with it,
each with line, column and cure, and opens no connection. Ready examples are in `config/`. This page
is rendered from the schema (`edgetwin/config/schema/`): `python -m edgetwin.config.render`.

**What is written is what is meant.** `NO`, `on`, `010`, `12:30:00` and dates are not turned into
anything else; only `true` and `false` are truth values. Every key stands once. Anchors, aliases,
tags, merge keys and several documents are refused; so are files above 1 MiB.

| written | is | for example |
|---|---|---|
| duration | a number and `us`, `ms`, `s`, `min`, `h` or `d` | `100 ms` |
| size | a number and `B`, `kB`, `MB`, `GB`, `KiB`, `MiB` or `GiB` | `256 MB` |
| value | a number, with the tag's unit or without; a wrong unit is an error | `4.2 bar` |
| rate | a value `per` unit of time | `50 per s` |
| tag | `device/tag`, or `asset/name`; in expressions `device.tag` | `skid/pressure` |
| name | 1 to 64 of `a-z`, `A-Z`, `0-9`, `-`, `_` | `pump-7` |
| secret | never: a file that holds it, and its path | `password_file: cloud.password` |

Options can be set from outside, on top of the file, and are read as if they stood in it:

    edgetwin run FILE --set devices.skid.address=127.0.0.1:15020

A recording keeps them behind the file's text, a line `{MARK}PATH=VALUE` each, and is replayed with
them.
"""


def reference() -> str:
    """docs/configuration.md."""
    parts = [INTRO]
    parts.extend(_section(each) for each in ordered(Gateway))
    return "\n".join([*parts, "## All of it once", "", "```yaml", sample(), "```", ""])


def ordered(root: type[Section]) -> list[type[Section]]:
    """Every section, outer ones first."""
    found = [root]
    for each in found:  # grows while it is walked
        for option in options(each).values():
            found.extend(inner for inner in sections(option.shape) if inner not in found)
    return found


def _chosen(of: type[Section]) -> dict[str, str]:
    """The option that leads to this section, where others would lead elsewhere."""
    for outer in ordered(Gateway):
        for option in options(outer).values():
            shape = option.shape.value if isinstance(option.shape, MapOf) else option.shape
            if isinstance(shape, Variant):
                for word, case in shape.cases.items():
                    if case is of:
                        return {shape.by: word}
    return {}


def _example(of: type[Section], name: str, option: Option) -> str:
    return _chosen(of).get(name, option.example)


def _section(section: type[Section]) -> str:
    doc = " ".join((section.__doc__ or "").split()).replace("``", "`")
    rows = [
        _row(name, option, _example(section, name, option))
        for name, option in options(section).items()
    ]
    head = ["| option | takes | without it | meaning |", "|---|---|---|---|"]
    return "\n".join([f"## {_title(section)}", "", doc, "", *head, *rows, ""])


def _title(section: type[Section]) -> str:
    return section.noun[:1].upper() + section.noun[1:]


def _row(name: str, option: Option, example: str) -> str:
    without = "**required**" if option.required else option.unless or f"`{option.default}`"
    cells = (f"`{name}`", _takes(option.shape), without, f"{option.doc} `{name}: {example}`")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _takes(shape: Shape) -> str:
    match shape:
        case Kind(title, _):
            return title
        case Record(section):
            return f"a map: {_link(section)}"
        case Short(word, section):
            return f"{word.title}, or a map: {_link(section)}"
        case Variant(_, cases):
            return "; ".join(_link(each) for each in cases.values())
        case MapOf(_, value, noun):
            return f"{noun}s by name: {_takes(value)}"
        case ListOf(value, least, most):
            count = f"{least}" if least == most else f"{least} or more"
            return f"a list of {count}: {_takes(value)}"


def _link(section: type[Section]) -> str:
    anchor = _title(section).lower().replace(" ", "-")
    return f"[{section.noun}](#{anchor})"


# ---------------------------------------------------------------- sample


def sample() -> str:
    """A file with every option. ``##`` says what it means, ``#`` that it may be left out."""
    return "\n".join(_lines(Gateway, ""))


def _lines(section: type[Section], indent: str) -> Iterator[str]:
    for name, option in options(section).items():
        yield from wrap(
            option.doc, 98, initial_indent=f"{indent}## ", subsequent_indent=f"{indent}## "
        )
        inner = list(sections(option.shape))
        if inner:
            fixed = isinstance(option.shape, Record | Short | MapOf)
            off = "# " if fixed and not _needs(inner[0]) else ""
            yield f"{indent}{off}{name}:"
            yield from _nested(option.shape, inner, indent + "  ")
        else:
            off = "" if option.required else "# "
            usual = "" if option.default == "{}" else option.default
            yield f"{indent}{off}{name}: {usual or _example(section, name, option)}"


def _needs(section: type[Section]) -> bool:
    """Whether something in it is written without a comment mark."""
    return any(
        option.required or (isinstance(option.shape, Record) and _needs(option.shape.section))
        for option in options(section).values()
    )


def _nested(shape: Shape, inner: list[type[Section]], indent: str) -> Iterator[str]:
    """A map in a map: of fixed options, or of one entry for each kind there is."""
    for each in inner:
        if isinstance(shape, MapOf):
            yield f"{indent}{'' if _needs(each) else '# '}{each.called}:"
            yield from _lines(each, indent + "  ")
        else:
            yield from _lines(each, indent)


if __name__ == "__main__":
    sys.stdout.write(reference())
