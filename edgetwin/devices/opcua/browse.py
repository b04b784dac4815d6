"""What a server has: its tree below Objects, with values, types and units. Nothing is written.

The tree is walked level by level, many nodes in one request and some requests at once: the server
works on one while we take the one before apart. The server's own part (``Server``, aliases,
locations) is left out unless asked for, and so are properties; of these the unit, the range and the
names of states are read, as they belong into a configuration.

All references forwards are asked for and sorted out here. To pick the hierarchical ones a server
walks its tree of reference types for each node, which took asyncua's 0.09 ms of 0.1.
"""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from asyncua import ua
from asyncua.client.ua_client import UaClient

from edgetwin.core.nodes import NodeAddress
from edgetwin.devices.opcua.branch import Branch
from edgetwin.devices.opcua.contents import FACTS, Spot, read_contents
from edgetwin.devices.opcua.parts import Parts
from edgetwin.devices.opcua.stack import ObjectIds, StatusCodes, standard_node
from edgetwin.devices.opcua.survey import namespaces

MOST_NODES = 200_000
"""A larger tree is not walked to its end."""
MOST_READS = 5_000_000
"""For the session: a reply with thousands of nodes in it may take its time here."""

_OBJECTS = standard_node(ObjectIds.ObjectsFolder)
_HIERARCHICAL = standard_node(ObjectIds.HierarchicalReferences)
_SUBTYPE = standard_node(ObjectIds.HasSubtype)
_COMPONENT = standard_node(ObjectIds.HasComponent)
_PROPERTY = standard_node(ObjectIds.HasProperty)
_ANY = ua.NodeId()
_OWN = {
    standard_node(number) for number in (ObjectIds.Server, ObjectIds.Aliases, ObjectIds.Locations)
}
_PART = 500
_FOLDERS = 20  # each may have a thousand nodes in it, and a message has its bounds
_REFERENCES = 10_000
"""Of one node in one reply, as a message has at most 4 MiB; the rest follows."""
_AT_ONCE = 3
_YES: Any = True  # asyncua's Boolean is a class without values
_NO: Any = False
_SEEN = ua.NodeClass.Object | ua.NodeClass.Variable | ua.NodeClass.Method
_TOLD = ua.BrowseResultMask.ReferenceTypeId | ua.BrowseResultMask.NodeClass
_TOLD |= ua.BrowseResultMask.BrowseName

_References = list[ua.ReferenceDescription]


async def browse(client: UaClient, *, everything: bool = False) -> Branch:
    """The folder Objects with all that is below it.

    Raises:
        Exception: whatever asyncua finds wrong with the connection.
    """
    walk = _Walk(client, await namespaces(client), everything=everything)
    root = Branch((), "i=85", "object")
    await walk.go(root)
    await read_contents(client, walk.variables, walk.facts)
    return root


class _Walk:
    """One pass over a tree. A node that is reached twice is shown where it was found first."""

    def __init__(self, client: UaClient, uris: Sequence[str], *, everything: bool) -> None:
        self.variables: list[Spot] = []
        self.facts: list[Spot] = []
        self._client = client
        self._uris = uris
        self._everything = everything
        self._seen: set[ua.NodeId] = {_OBJECTS}
        self._downwards: set[ua.NodeId] = set()
        self._browse = Parts(_FOLDERS)
        self._browse_variables = Parts(_PART)

    async def go(self, root: Branch) -> None:
        """Walk the tree, one level after the other."""
        self._downwards = await self._ways_down()
        level = [Spot(_OBJECTS, root)]
        while level and len(self._seen) < MOST_NODES:
            variables = [spot for spot in level if spot.branch.kind == "variable"]
            folders = [spot for spot in level if spot.branch.kind != "variable"]
            level = await self._below(folders, self._browse)
            level += await self._below(variables, self._browse_variables)

    async def _ways_down(self) -> set[ua.NodeId]:
        """The reference types that make up the tree; none if the server keeps them to itself."""
        found: set[ua.NodeId] = set()
        level = [_HIERARCHICAL]
        while level:
            found.update(level)
            kinds = [_question(node, _SUBTYPE, ua.NodeClass.ReferenceType) for node in level]
            results = await self._browse.ask(kinds, self._ask, _AT_ONCE)
            below = {_node(reference.NodeId) for result in results for reference in result}
            level = list(below - found)
        return found if _COMPONENT in found else set()

    async def _below(self, spots: Sequence[Spot], most: Parts) -> list[Spot]:
        kind = _ANY if self._downwards else _HIERARCHICAL
        asked = [_question(spot.node, kind, _SEEN) for spot in spots]
        results = await most.ask(asked, self._ask, _AT_ONCE)
        return [
            child
            for spot, found in zip(spots, results, strict=True)
            for reference in found
            if (child := self._take(spot.branch, reference)) is not None
        ]

    async def _ask(self, asked: Sequence[ua.BrowseDescription]) -> list[_References]:
        given = await self._client.browse(
            ua.BrowseParameters(ua.ViewDescription(), _REFERENCES, list(asked))
        )
        found = [await self._rest(result) for result in given]
        for place, result in enumerate(given):
            if result.StatusCode.value == StatusCodes.BadNoContinuationPoints and len(asked) > 1:
                found[place], *_ = await self._ask([asked[place]])
        return found

    async def _rest(self, result: ua.BrowseResult) -> _References:
        """A server may give a long list in several parts (OPC 10000-4 §5.9.3)."""
        found = list(result.References or ())
        while result.ContinuationPoint and len(found) < MOST_NODES:
            more = ua.BrowseNextParameters(_NO, [result.ContinuationPoint])
            result, *_ = await self._client.browse_next(more)
            found += result.References or ()
        return found

    def _take(self, parent: Branch, reference: ua.ReferenceDescription) -> Spot | None:
        """Hang one node in; it, if there may be something below it."""
        if self._downwards and reference.ReferenceTypeId not in self._downwards:
            return None
        node, name = _node(reference.NodeId), reference.BrowseName.Name or ""
        if node in self._seen or (node in _OWN and not self._everything):
            return None
        self._seen.add(node)
        is_property = reference.ReferenceTypeId == _PROPERTY
        if is_property and name in FACTS:
            self.facts.append(Spot(node, parent, name))
        if is_property and not self._everything:
            return None
        kind = reference.NodeClass.name.lower()
        child = Spot(node, Branch((*parent.path, name), self._address(node), kind))
        parent.children.append(child.branch)
        if kind == "variable":
            self.variables.append(child)
        return None if kind == "method" or is_property else child

    def _address(self, node: ua.NodeId) -> str:
        """As it is written in a configuration."""
        kind, text = _identifier(node.Identifier)
        index = node.NamespaceIndex
        known = 0 < index < len(self._uris)
        return str(NodeAddress(kind, text, self._uris[index] if known else "", index))


def _question(node: ua.NodeId, kind: ua.NodeId, classes: int) -> ua.BrowseDescription:
    down = ua.BrowseDirection.Forward
    return ua.BrowseDescription(node, down, kind, _YES, ua.UInt32(classes), ua.UInt32(_TOLD))


def _node(target: ua.NodeId) -> ua.NodeId:
    """Where an ExpandedNodeId points to on this server."""
    return ua.NodeId(target.Identifier, target.NamespaceIndex, target.NodeIdType)


def _identifier(text: object) -> tuple[str, str]:
    """Kind and text of a node id's identifier (OPC 10000-6 §5.3.1.10)."""
    if isinstance(text, bytes):
        return "b", b64encode(text).decode()
    kind = "i" if isinstance(text, int) else "g" if isinstance(text, UUID) else "s"
    return kind, str(text)
