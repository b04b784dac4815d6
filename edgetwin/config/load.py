"""YAML text to nodes with places, strictly. The only module that knows YAML.

Theory of operation. The events of libyaml are walked here instead of being composed by PyYAML: that
keeps every place at no cost (5,000 tags in 0.1 s), and nothing is resolved, so YAML 1.1's surprises
(``NO``, ``on``, ``12:30:00``, ``010``, dates) cannot happen. What lets a small file become large or
mean two things is refused: aliases, merge keys, tags, duplicate keys, several documents. Size and
depth are bounded before anything is built.
"""

from collections.abc import Iterator

import yaml

from edgetwin.config.node import Broken, Mapping, Node, Place, Scalar, Sequence
from edgetwin.config.problem import ConfigErrors, Problems, shown

MAX_BYTES = 1 << 20
MAX_DEPTH = 20

_Parser = getattr(yaml, "CLoader", yaml.Loader)


def load(text: str, file: str, problems: Problems) -> Node:
    """The root of a YAML document.

    Raises:
        ConfigErrors: the text cannot be read to its end. What can be told beside the rest goes to
            ``problems``.
    """
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        problems.at(Place(file, 1, 1), "the file is larger than 1 MiB. Split the gateway in two")
        raise ConfigErrors(problems.found)
    try:
        return _Builder(file, problems).build(yaml.parse(text, Loader=_Parser))
    except yaml.YAMLError as error:
        problems.at(*_explain(error, text, file))
    except UnicodeEncodeError as error:
        place = _place_of(text, error.start, file)
        problems.at(place, "this is no character. Save the file as UTF-8")
    raise ConfigErrors(problems.found) from None


class _Builder:
    """Turns events into nodes with a stack of its own, so that depth cannot exhaust Python's."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._stack: list[Mapping | Sequence] = []
        self._key: list[Scalar | None] = []  # per level: the key that waits for its value
        self._root: Node | None = None

    def build(self, events: Iterator[yaml.Event]) -> Node:
        for event in events:
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._open(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._stack.pop()
                self._key.pop()
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.DocumentStartEvent) and self._root is not None:
                text = "a second document begins here. One file holds one gateway: remove the '---'"
                self._stop(event, text)
        return self._root or Scalar(Place(self._file, 1, 1), "")

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return (
            Place(self._file, mark.line + 1, mark.column + 1) if mark else Place(self._file, 1, 1)
        )

    def _stop(self, event: yaml.Event, text: str) -> None:
        self._problems.at(self._place(event), text)
        raise ConfigErrors(self._problems.found)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._refuse_extras(event)
        place, end = self._place(event), event.end_mark
        one_line = end is not None and end.line + 1 == place.line
        inset = (1 if event.style else 0) if one_line else -1
        self._add(Scalar(place, event.value, not event.style, inset))

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        self._refuse_extras(event)
        if len(self._stack) == MAX_DEPTH:
            text = f"this is nested deeper than {MAX_DEPTH} levels. No option needs more than 7"
            self._stop(event, text)
        kind = Mapping if isinstance(event, yaml.MappingStartEvent) else Sequence
        node = kind(self._place(event))
        self._add(node)
        self._stack.append(node)
        self._key.append(None)

    def _alias(self, event: yaml.AliasEvent) -> None:
        text = "aliases (*name) are not used here: write the value again"
        self._problems.at(self._place(event), text)
        self._add(Broken(self._place(event)))

    def _refuse_extras(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.anchor is not None:
            text = f"anchors (&{event.anchor}) are not used here: remove it and write values out"
            self._problems.at(self._place(event), text)
        if event.tag is not None:
            text = f"YAML tags ({shown(event.tag)}) are not used here: remove it"
            self._problems.at(self._place(event), text)

    def _add(self, node: Node) -> None:
        if not self._stack:
            self._root = node
        elif isinstance(parent := self._stack[-1], Sequence):
            parent.items.append(node)
        elif self._key[-1] is None:
            self._key[-1] = self._take_key(node)
        else:
            self._take_value(parent, self._key[-1], node)
            self._key[-1] = None

    def _take_key(self, node: Node) -> Scalar:
        if not isinstance(node, Scalar):
            if not isinstance(node, Broken):
                self._problems.on(node, "a name must stand before ':', not a list or a map")
            return Scalar(node.place, "", plain=False)
        if node.plain and node.text == "<<":
            self._problems.on(node, "merge keys (<<) are not used here: write the options out")
        elif node.is_null:
            self._problems.on(node, "a name is missing before ':'")
        return node

    def _take_value(self, parent: Mapping, key: Scalar, value: Node) -> None:
        name = key.text
        if first := parent.keys.get(name):
            text = (
                f"{shown(name)} stands here a second time; the first is in line {first.line}. "
                "Remove one, or rename it"
            )
            self._problems.at(key.place, text)
        elif not key.plain or name != "<<":
            parent.keys[name] = key.place
            parent.entries[name] = value


_CAUSES = (
    (
        "mapping values",
        "this ':' fits nothing. Indent the line like its neighbours, or put the text in quotes",
    ),
    ("did not find expected key", "this line does not fit in. Align it with its neighbours above"),
    ("expected <block end>", "this line does not fit in. Align it with its neighbours above"),
    ("could not find expected ':'", "a ':' is missing on this line, or in the one above"),
    ("',' or ']'", "a ',' or the closing ']' is missing before this"),
    ("',' or '}'", "a ',' or the closing '}' is missing before this"),
    ("expected node content", "a value is missing here, or a bracket before it is never closed"),
    ("unexpected end of stream", "a quote is opened here or above, and never closed"),
    ("alphabetic or numeric", "'*' and '&' have a meaning of their own. Put the text in quotes"),
    ("unknown escape", "a '\\' in double quotes has a meaning of its own. Use single quotes"),
    ("expected '-' indicator", "a line that begins with '-' is expected here, as above"),
)


def _explain(error: yaml.YAMLError, text: str, file: str) -> tuple[Place, str]:
    """What libyaml stumbled over, in words of the trade."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        place = _place_of(text, getattr(error, "position", 0) or 0, file)
        return place, "a control character stands here. Save the file as plain text in UTF-8"
    place = Place(file, mark.line + 1, mark.column + 1)
    problem = str(getattr(error, "problem", None) or "it cannot be read")
    if "cannot start any token" in problem:
        return place, _bad_start(text, mark.line, mark.column)
    if _behind_brace(text, mark.line, mark.column):
        return place, "nothing fits behind a '}' or ']'. Put the whole value in quotes"
    for sign, cause in _CAUSES:
        if sign in problem:
            return place, cause
    return place, f"the YAML is broken here: {problem}"


def _bad_start(text: str, line: int, column: int) -> str:
    lines = text.splitlines()
    character = lines[line][column : column + 1] if line < len(lines) else ""
    if character == "\t":
        return "a tab stands here. Indent with spaces"
    return f'a value cannot begin with {character!r}. Put it in quotes: "{character}…"'


def _behind_brace(text: str, line: int, column: int) -> bool:
    """Whether a value goes on behind its brackets, as in ``topic: {site}/pumps``."""
    lines = text.splitlines()
    return line < len(lines) and lines[line][:column].endswith(("}", "]")) and column > 0


def _place_of(text: str, offset: int, file: str) -> Place:
    before = text[:offset]
    return Place(file, before.count("\n") + 1, offset - before.rfind("\n"))
