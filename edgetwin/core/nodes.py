"""Where a value lies on an OPC UA server: a node id, or the way to it; as people write both."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from edgetwin.core.address import AddressError


@dataclass(frozen=True, slots=True, order=True)
class NodeAddress:
    """An OPC UA node (OPC 10000-6 §5.3.1.10).

    ``uri`` is resolved anew on each session; without one, ``namespace``.

    ``kind`` is ``i`` (numeric), ``s`` (string), ``g`` (GUID) or ``b`` (opaque, base64). ``element``
    picks one element of an array, as an index range (``3``; of a matrix ``1,2``). ``of_array``: the
    elements before and behind it are tags as well, and all come with one read of the array.
    """

    kind: str
    identifier: str
    uri: str = ""
    namespace: int = 0
    element: str = ""
    of_array: bool = False

    def __str__(self) -> str:
        """The standard text form; an element in brackets behind it."""
        return f"{_space(self.uri, self.namespace)}{self.kind}={self.identifier}{_part(self)}"


_NODE = re.compile(r"(?:nsu=([^;]+);|ns=(\d{1,5});)?([isgb])=(.+)", re.DOTALL)


def parse_node(text: str) -> NodeAddress:
    """Read ``nsu=urn:maker:meter;s=Flow``, ``ns=2;i=5`` or ``i=2258``.

    Raises:
        AddressError: the text is no node id.
    """
    match = _NODE.fullmatch(text)
    if not match:
        raise AddressError(
            f"{text!r} is no OPC UA node id. Write nsu=urn:maker:meter;s=Flow, or ns=2;i=5"
        )
    uri, namespace, kind, identifier = match.groups()
    if kind == "i" and not (identifier.isdecimal() and int(identifier) < 1 << 32):
        raise AddressError(f"{text!r}: after i= comes a whole number from 0 to 4294967295")
    return NodeAddress(kind, identifier, uri or "", _index(namespace, text))


class Step(NamedTuple):
    """One name on a way through the tree: a BrowseName, by its namespace's URI or index."""

    name: str
    uri: str = ""
    namespace: int = 0

    def __str__(self) -> str:
        """``2:Flow``, ``nsu=urn:maker:meter;Flow`` or ``Flow``; ``&`` before what has a meaning."""
        name = re.sub(r"([&/])", r"&\1", self.name)
        if self.uri:
            return f"nsu={self.uri};{name}"
        if self.namespace:
            return f"{self.namespace}:{name}"
        return re.sub(r"^(nsu=|\d+:)", lambda found: f"{found[1][:-1]}&{found[1][-1]}", name)


@dataclass(frozen=True, slots=True, order=True)
class PathAddress:
    """An OPC UA node by its way from the folder Objects (OPC 10000-4 annex A).

    It is followed anew on each session: node ids may change, the names are what stays. Forms are
    those of ``NodeAddress``: a URI, or an index; ``element`` and ``of_array``.
    """

    steps: tuple[Step, ...]
    element: str = ""
    of_array: bool = False

    @property
    def parent(self) -> "PathAddress":
        """One step less."""
        return PathAddress(self.steps[:-1])

    def __str__(self) -> str:
        """``nsu=urn:maker:meter;/Objects/Skid/Flow`` where all is in one namespace."""
        first = self.steps[0] if self.steps else Step("")
        if first.uri and all(step.uri == first.uri for step in self.steps):
            plain = [str(Step(step.name)) for step in self.steps]
            return f"nsu={first.uri};/{'/'.join([OBJECTS, *plain])}{_part(self)}"
        return f"/{'/'.join([OBJECTS, *map(str, self.steps)])}{_part(self)}"


OBJECTS = "Objects"
"""Where a path begins: the folder of namespace 0 below which a server has all that is its own."""

_PATH = re.compile(r"(?:nsu=([^;]+);|ns=(\d{1,5});)?(/.*)", re.DOTALL)
_STEP = re.compile(r"/(?:nsu=([^;]+);|(\d{1,5}):)?+((?:&.|[^&/])+)", re.DOTALL)
_PATH_EXAMPLE = '"/Objects/2:Skid/2:Pump/2:Flow", or "nsu=urn:maker:skid;/Objects/Skid/Pump/Flow"'


def parse_path(text: str) -> PathAddress:
    """Read ``/Objects/2:Skid/2:Flow`` or ``nsu=urn:maker:skid;/Objects/Skid/Flow``.

    What stands before the first ``/`` holds for every name that has no namespace of its own.

    Raises:
        AddressError: the text is no path.
    """
    match = _PATH.fullmatch(text)
    if not match:
        raise AddressError(f"{text!r} is no browse path. Write {_PATH_EXAMPLE}")
    uri, namespace, rest = match.groups()
    usual = (uri or "", _index(namespace, text))
    steps: list[Step] = []
    at = 0
    while at < len(rest):
        step = _STEP.match(rest, at)
        if not step:
            raise AddressError(f"{text!r}: a name is missing behind {rest[: at + 1]!r}")
        own = (step[1] or "", _index(step[2], text)) if step[1] or step[2] else usual
        steps.append(Step(re.sub("&(.)", r"\1", step[3]), *own))
        at = step.end()
    if steps[0].name != OBJECTS or not steps[1:]:
        raise AddressError(f"{text!r}: a path begins with /{OBJECTS}/. Write {_PATH_EXAMPLE}")
    return PathAddress(tuple(steps[1:]))


def parse_opcua(text: str) -> NodeAddress | PathAddress:
    """Read a node id or a browse path.

    Raises:
        AddressError: neither.
    """
    if _PATH.fullmatch(text):
        return parse_path(text)
    if _NODE.fullmatch(text):
        return parse_node(text)
    raise AddressError(
        f"{text!r} is no OPC UA node. Write a node id, like nsu=urn:maker:meter;s=Flow; "
        f"or a browse path, like {_PATH_EXAMPLE}"
    )


@dataclass(frozen=True, slots=True)
class MethodAddress:
    """An OPC UA method that takes one value, and the object to call it on."""

    owner: NodeAddress | PathAddress
    method: NodeAddress | PathAddress


_ELEMENT = re.compile(r"\d{1,9}(?:,\d{1,9}){0,9}")


def parse_element(text: str) -> str:
    """Read ``3``, or ``1,2`` of a matrix, as an index range (OPC 10000-4 §7.27).

    Raises:
        AddressError: it picks no single element.
    """
    plain = text.replace(" ", "")
    if not _ELEMENT.fullmatch(plain):
        raise AddressError(
            f"{text!r} picks no element of an array. Write its number from 0, like 3; of a matrix "
            "1,2"
        )
    return ",".join(str(int(each)) for each in plain.split(","))


def _index(digits: str | None, text: str) -> int:
    number = int(digits or 0)
    if number > 65535:
        raise AddressError(f"{text!r}: a namespace index is 0 to 65535")
    return number


def _space(uri: str, namespace: int) -> str:
    if uri:
        return f"nsu={uri};"
    return f"ns={namespace};" if namespace else ""


def _part(address: NodeAddress | PathAddress) -> str:
    return f"[{address.element}]" if address.element else ""
