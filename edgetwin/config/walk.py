"""Nodes to sections: every option read by its kind, and everything that is wrong told at once."""

from collections.abc import Iterable
from collections.abc import Mapping as Table
from typing import TypeVar, cast

from edgetwin.config.kinds import TEXT, Kind, Wrong
from edgetwin.config.node import Broken, Mapping, Node, Scalar, Sequence
from edgetwin.config.option import (
    ListOf,
    MapOf,
    Option,
    Record,
    Section,
    Shape,
    Short,
    Variant,
    filled,
    options,
)
from edgetwin.config.problem import Problems, did_you_mean, shown
from edgetwin.core.address import AddressError
from edgetwin.core.units import UnitError

S = TypeVar("S", bound=Section)

MAX_TEXT = 1000
SECRETS = frozenset({"password", "passwd", "pass", "secret", "token"})


class _Failed:
    """A value that was wrong, and has been told of."""


FAILED = _Failed()


def walk(node: Node, section: type[S], problems: Problems) -> S | None:
    """The section a node holds. None if it cannot be used; ``problems`` then says why."""
    if isinstance(node, Scalar) and node.is_null:
        problems.on(node, "the file is empty. Begin with gateway: and a name, then devices:")
        return None
    found = _Walker(problems).read(Record(section), node, "", "the file")
    return None if found is FAILED else cast("S", found)


class _Walker:
    """Reads nodes by shape. ``key`` is the option's name, ``what`` the thing it belongs to."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    def read(self, shape: Shape, node: Node, key: str, what: str) -> object:
        if isinstance(node, Broken):
            return FAILED
        if isinstance(node, Scalar) and node.is_null:
            text = (
                f"'{key}' has no value. Write one, or remove the line"
                if key
                else "a value is missing"
            )
            self._problems.on(node, text)
            return FAILED
        return self._by_shape(shape, node, key, what)

    def _by_shape(self, shape: Shape, node: Node, key: str, what: str) -> object:
        match shape:
            case Kind():
                return self._scalar(shape, node, key)
            case MapOf():
                return self._map(shape, node, key)
            case ListOf():
                return self._list(shape, node, key, what)
            case Record(section):
                return self._section(section, node, what)
            case Short():
                return self._short(shape, node, key, what)
            case Variant():
                return self._variant(shape, node, what)

    def _refuse(self, node: Node, expected: str) -> _Failed:
        given = {Mapping: "a map", Sequence: "a list"}.get(type(node), "a single value")
        self._problems.on(node, f"{expected} is expected here, not {given}")
        return FAILED

    def _scalar(self, kind: Kind, node: Node, key: str) -> object:
        if not isinstance(node, Scalar):
            return self._refuse(node, f"'{key}': {kind.title}" if key else kind.title)
        if len(node.text) > MAX_TEXT:
            self._problems.on(node, f"this is longer than {MAX_TEXT} characters")
            return FAILED
        try:
            return kind.read(node.text)
        except Wrong as wrong:
            place = node.spot(wrong.column) if wrong.column else node.place
            self._problems.at(place, str(wrong))
        except (UnitError, AddressError) as error:
            self._problems.on(node, str(error))
        return FAILED

    def _map(self, shape: MapOf, node: Node, key: str) -> object:
        if not isinstance(node, Mapping):
            return self._refuse(node, f"'{key}': a map of {shape.noun}s by name")
        found: dict[str, object] = {}
        for name, child in node.entries.items():
            value = self.read(shape.value, child, name, f"{shape.noun} {shown(name)}")
            named = self._scalar(shape.key, Scalar(node.keys[name], name, plain=False), "")
            found[name] = None if value is FAILED or named is FAILED else value
        return found

    def _list(self, shape: ListOf, node: Node, key: str, what: str) -> object:
        if not isinstance(node, Sequence):
            return self._refuse(node, f"'{key}': a list, like [a, b],")
        if not shape.least <= len(node.items) <= shape.most:
            count = str(shape.least) if shape.least == shape.most else f"{shape.least} or more"
            self._problems.on(
                node, f"'{key}' takes {count} values in the list, not {len(node.items)}"
            )
            return FAILED
        values = [self.read(shape.value, item, key, what) for item in node.items]
        return FAILED if FAILED in values else tuple(values)

    def _short(self, shape: Short, node: Node, key: str, what: str) -> object:
        if isinstance(node, Scalar):
            if self._scalar(shape.word, node, key) is FAILED:
                return FAILED
            node = Mapping(node.place)
        return self._section(shape.section, node, f"'{key}' of {what}")

    def _variant(self, shape: Variant, node: Node, what: str) -> object:
        if not isinstance(node, Mapping):
            return self._refuse(node, f"{what}: a map of options")
        first = next(iter(shape.cases.values()))
        chosen = node.entries.get(shape.by)
        text = chosen.text if isinstance(chosen, Scalar) else ""
        near = [each for each in shape.cases if f"'{each}'" in did_you_mean(text, shape.cases)]
        if text not in shape.cases and not near:
            self._option(options(first)[shape.by], shape.by, node, what)  # tells what is wrong
            return FAILED
        return self._section(shape.cases[text if text in shape.cases else near[0]], node, what)

    def _section(self, section: type[Section], node: Node, what: str) -> object:
        if not isinstance(node, Mapping):
            return self._refuse(node, f"{what}: a map of options")
        known = options(section)
        unknown = [key for key in node.entries if key not in known]
        self._unknown(unknown, node, known, what)
        values: dict[str, object] = {}
        for key, each in known.items():
            values[key] = self._option(each, key, node, what, unknown)
            if values[key] is FAILED and section.goes_on:
                values[key] = self._stand_in(each, node)
        if any(value is FAILED for value in values.values()) or (unknown and not section.goes_on):
            return FAILED
        return filled(section, node, values)

    def _option(
        self, each: Option, key: str, node: Mapping, what: str, unknown: Iterable[str] = ()
    ) -> object:
        if key not in node.entries:
            if not each.required:
                return self._default(each, node)
            if not any(did_you_mean(other, [key]) for other in unknown):  # else that is told
                text = f"{what} needs '{key}', for example {key}: {each.example}"
                self._problems.on(node, text)
            return FAILED
        label = f"'{key}' of {what}" if isinstance(each.shape, Record) else what
        value = self.read(each.shape, node.entries[key], key, label)
        return self._default(each, node) if value is FAILED and each.default else value

    def _stand_in(self, each: Option, parent: Mapping) -> object:
        """What a wrong value is taken for, so that what depends on it is checked as well."""
        if not each.required:
            return self._default(each, parent)
        if isinstance(each.shape, Kind) and each.shape.read is not TEXT.read:
            return each.shape.read(each.example)
        return FAILED

    def _default(self, each: Option, parent: Mapping) -> object:
        """What holds where nothing is written."""
        match each.shape:
            case MapOf():
                return {}
            case ListOf():
                return ()
            case Record(section) if each.default:
                return self._section(section, Mapping(parent.place), "")
            case Kind(_, read) if each.default:
                return read(each.default)
        return None

    def _unknown(
        self, keys: Iterable[str], node: Mapping, known: Table[str, Option], what: str
    ) -> None:
        for key in keys:
            if key == "<<" or not key:
                continue
            if key.lower() in SECRETS:
                text = (
                    f"a secret does not belong into this file. Put it alone into a file that only "
                    f"edgetwin may read, and write password_file: and its path instead of '{key}'"
                )
            else:
                meant = did_you_mean(key, known)
                text = (
                    f"{shown(key)} is no option of {what}.{meant} (There are: {', '.join(known)})"
                )
            self._problems.at(node.keys[key], text)
