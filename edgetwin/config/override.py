"""``--set devices.skid.address=127.0.0.1:15020``: options set from outside, on top of the file.

A path of names with dots between, ``=``, and the value as it would stand in the file. A plan's text
carries them as comments behind the file's own text, so that a recording is replayed with them::

    #--set devices.skid.address=127.0.0.1:15020
"""

from collections.abc import Sequence

from edgetwin.config.load import load
from edgetwin.config.node import Broken, Mapping, Node, Place, Scalar
from edgetwin.config.problem import ConfigErrors, Problems, shown

MARK = "#--set "


def embed(text: str, overrides: Sequence[str]) -> str:
    """The text with overrides behind it, one line each."""
    if not overrides:
        return text
    lines = "".join(f"{MARK}{each}\n" for each in overrides)
    return f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{lines}"


def extract(text: str) -> tuple[str, tuple[str, ...]]:
    """The text without the overrides behind it, and these."""
    lines = text.split("\n")
    end = len(lines) - 1 if lines[-1] == "" else len(lines)
    start = end
    while start > 0 and lines[start - 1].startswith(MARK):
        start -= 1
    if start == end:
        return text, ()
    own = "\n".join(lines[:start]) + ("\n" if start else "")
    return own, tuple(line.removeprefix(MARK) for line in lines[start:end])


def apply(overrides: Sequence[str], root: Node, problems: Problems) -> None:
    """Put each override where it belongs in the tree."""
    for each in overrides:
        path, equals, text = each.partition("=")
        names = path.strip().split(".")
        place = Place(f"--set {each.partition(chr(10))[0]}", 1, 1)
        if not equals or not all(names) or not each.isprintable():
            text = f"{shown(each)} sets nothing. Write it like devices.skid.address=192.168.1.10"
            problems.at(place, text)
            continue
        try:
            value = load(" " * (len(path) + 1) + text, place.file, problems)
        except ConfigErrors:
            continue  # load has noted why in problems
        _put(root, names, value, place, problems)


def _put(root: Node, names: Sequence[str], value: Node, place: Place, problems: Problems) -> None:
    node = root
    for name in names[:-1]:
        if not isinstance(node, Mapping):
            break
        if name not in node.entries:
            node.entries[name] = Mapping(place)
            node.keys[name] = place
        node = node.entries[name]
    if isinstance(node, Mapping):
        node.entries[names[-1]] = value
        node.keys[names[-1]] = place
    elif not isinstance(node, Broken):
        held = f"holds {shown(node.text)}" if isinstance(node, Scalar) else "is a list"
        text = f"'{'.'.join(names[:-1])}' {held} in the file, so nothing can be set below it"
        problems.at(place, text)
