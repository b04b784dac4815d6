"""What a server has: its tree below Objects, with values, types and units. Nothing is written.

The tree is walked level by level, many nodes in one request. The server's own part (``Server``,
aliases, locations) is left out unless asked for, and so are properties; of these the unit and the
range are read, as they belong into a configuration.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from asyncua import ua
from asyncua.client.ua_client import UaClient

from edgetwin.core.nodes import NodeAddress
from edgetwin.devices.opcua.columns import TYPE_NAMES
from edgetwin.devices.opcua.parts import Parts
from edgetwin.devices.opcua.stack import AttributeIds, ObjectIds, standard_node
from edgetwin.devices.opcua.status import words
from edgetwin.devices.opcua.survey import namespaces

MOST_NODES = 200_000
"""A larger tree is not walked to its end."""
MOST_READS = 5_000_000
"""For the session: a reply with thousands of nodes in it may take its time here."""

_OBJECTS = standard_node(ObjectIds.ObjectsFolder)
_HIERARCHICAL = standard_node(ObjectIds.HierarchicalReferences)
_PROPERTY = standard_node(ObjectIds.HasProperty)
_OWN = {
    standard_node(number) for number in (ObjectIds.Server, ObjectIds.Aliases, ObjectIds.Locations)
}
_PART = 500
_FOLDERS = 20  # each may have a thousand nodes in it, and a message has its bounds
_FACTS = frozenset({"EngineeringUnits", "EURange"})
_YES: Any = True  # asyncua's Boolean is a class without values
_NO: Any = False
_SEEN = ua.NodeClass.Object | ua.NodeClass.Variable | ua.NodeClass.Method
_TOLD = ua.BrowseResultMask.ReferenceTypeId | ua.BrowseResultMask.NodeClass
_TOLD |= ua.BrowseResultMask.BrowseName
_MAY_READ, _MAY_WRITE = 0x01, 0x02


@dataclass(slots=True)
class Branch:
    """One node of the tree. ``kind``: object, variable or method; the rest is of variables.

    ``type`` is a built-in type, with ``[]`` for an array; ``value`` what it held, None if it could
    not be read, and then ``trouble`` says why.
    """

    path: tuple[str, ...]
    at: str
    kind: str
    type: str = ""
    value: object = None
    trouble: str = ""
    access: str = ""
    unit: str = ""
    span: tuple[float, float] | None = None
    children: list["Branch"] = field(default_factory=list)

    def walk(self) -> Iterator["Branch"]:
        """This node and all below it, as a person reads the tree."""
        yield self
        for child in self.children:
            yield from child.walk()


async def browse(client: UaClient, *, everything: bool = False) -> Branch:
    """The folder Objects with all that is below it.

    Raises:
        Exception: whatever asyncua finds wrong with the connection.
    """
    walk = _Walk(client, await namespaces(client), everything=everything)
    root = Branch((), "i=85", "object")
    await walk.go(root)
    await walk.look()
    return root


class _Spot(NamedTuple):
    node: ua.NodeId
    branch: Branch
    fact: str = ""


class _Walk:
    """One pass over a tree. A node that is reached twice is shown where it was found first."""

    def __init__(self, client: UaClient, uris: Sequence[str], *, everything: bool) -> None:
        self._client = client
        self._uris = uris
        self._everything = everything
        self._seen: set[ua.NodeId] = {_OBJECTS}
        self._browse = Parts(_FOLDERS)
        self._browse_variables = Parts(_PART)
        self._read = Parts(_PART)
        self._variables: list[_Spot] = []
        self._facts: list[_Spot] = []

    async def go(self, root: Branch) -> None:
        """Walk the tree, one level after the other."""
        level = [_Spot(_OBJECTS, root)]
        while level and len(self._seen) < MOST_NODES:
            variables = [spot for spot in level if spot.branch.kind == "variable"]
            folders = [spot for spot in level if spot.branch.kind != "variable"]
            level = await self._below(folders, self._browse)
            level += await self._below(variables, self._browse_variables)

    async def _below(self, spots: Sequence[_Spot], most: Parts) -> list[_Spot]:
        results = await most.ask([spot.node for spot in spots], self._children)
        return [
            child
            for spot, found in zip(spots, results, strict=True)
            for reference in found
            if (child := self._take(spot.branch, reference)) is not None
        ]

    async def _children(self, nodes: Sequence[ua.NodeId]) -> list[list[ua.ReferenceDescription]]:
        asked = ua.BrowseParameters(ua.ViewDescription(), 0, [_question(node) for node in nodes])
        return [await self._rest(result) for result in await self._client.browse(asked)]

    async def _rest(self, result: ua.BrowseResult) -> list[ua.ReferenceDescription]:
        """A server may give a long list in several parts (OPC 10000-4 §5.9.3)."""
        found = list(result.References or ())
        while result.ContinuationPoint and len(found) < MOST_NODES:
            more = ua.BrowseNextParameters(_NO, [result.ContinuationPoint])
            result, *_ = await self._client.browse_next(more)
            found += result.References or ()
        return found

    def _take(self, parent: Branch, reference: ua.ReferenceDescription) -> _Spot | None:
        """Hang one node in; it, if there may be something below it."""
        target, name = reference.NodeId, reference.BrowseName.Name or ""
        node = ua.NodeId(target.Identifier, target.NamespaceIndex, target.NodeIdType)
        if node in self._seen or (node in _OWN and not self._everything):
            return None
        self._seen.add(node)
        is_property = reference.ReferenceTypeId == _PROPERTY
        if is_property and name in _FACTS:
            self._facts.append(_Spot(node, parent, name))
        if is_property and not self._everything:
            return None
        kind = reference.NodeClass.name.lower()
        child = _Spot(node, Branch((*parent.path, name), self._address(node), kind))
        parent.children.append(child.branch)
        if kind == "variable":
            self._variables.append(child)
        return None if kind == "method" or is_property else child

    def _address(self, node: ua.NodeId) -> str:
        """As it is written in a configuration."""
        kind, text = _identifier(node.Identifier)
        index = node.NamespaceIndex
        known = 0 < index < len(self._uris)
        return str(NodeAddress(kind, text, self._uris[index] if known else "", index))

    async def look(self) -> None:
        """Read what the variables hold, what may be done with them, and their units."""
        for spot, value in await self._attribute(self._variables, AttributeIds.Value):
            _keep_value(spot.branch, value)
        for spot, level in await self._attribute(self._variables, AttributeIds.UserAccessLevel):
            spot.branch.access = _access(_plain(level))
        for spot, value in await self._attribute(self._facts, AttributeIds.Value):
            _keep_fact(spot, _plain(value))

    async def _attribute(
        self, spots: Sequence[_Spot], attribute: AttributeIds
    ) -> Iterable[tuple[_Spot, ua.DataValue]]:
        async def read(nodes: Sequence[ua.NodeId]) -> list[ua.DataValue]:
            return await self._client.read_attributes(list(nodes), attribute)

        return zip(spots, await self._read.ask([spot.node for spot in spots], read), strict=True)


def _question(node: ua.NodeId) -> ua.BrowseDescription:
    down = ua.BrowseDirection.Forward
    return ua.BrowseDescription(node, down, _HIERARCHICAL, _YES, ua.UInt32(_SEEN), ua.UInt32(_TOLD))


def _identifier(text: object) -> tuple[str, str]:
    """Kind and text of a node id's identifier (OPC 10000-6 §5.3.1.10)."""
    if isinstance(text, bytes):
        return "b", b64encode(text).decode()
    kind = "i" if isinstance(text, int) else "g" if isinstance(text, UUID) else "s"
    return kind, str(text)


def _plain(value: ua.DataValue) -> Any:  # noqa: ANN401 (whatever the server holds there)
    return value.Value.Value if value.Value else None


def _keep_value(branch: Branch, value: ua.DataValue) -> None:
    code = value.StatusCode.value if value.StatusCode else 0
    if code >> 30 > 1 or value.Value is None:
        branch.trouble = words(code).partition(":")[0] if code else "no value"
        return
    kind = int(value.Value.VariantType.value)
    name = TYPE_NAMES[kind] if kind < len(TYPE_NAMES) else "?"
    branch.type = f"{name}[]" if value.Value.is_array else name
    branch.value = _readable(value.Value.Value)


def _readable(value: Any) -> object:  # noqa: ANN401 (by type)
    """A value as people know it, and without asyncua's types."""
    if isinstance(value, list):
        return [_readable(each) for each in value]
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    for part in ("Text", "Name"):
        if hasattr(value, part):
            return getattr(value, part)
    return str(value)


def _access(level: object) -> str:
    """What this user may do (OPC 10000-3 §8.57)."""
    if not isinstance(level, int):
        return "?"
    may = [word for bit, word in ((_MAY_READ, "read"), (_MAY_WRITE, "write")) if level & bit]
    return " ".join(may) or "none"


def _keep_fact(spot: _Spot, value: object) -> None:
    if isinstance(value, ua.EUInformation) and spot.fact == "EngineeringUnits":
        spot.branch.unit = value.DisplayName.Text or ""
    elif isinstance(value, ua.Range) and spot.fact == "EURange" and value.Low < value.High:
        spot.branch.span = (value.Low, value.High)
