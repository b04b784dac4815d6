"""From addresses as they are configured to the node ids of one session.

Node ids and namespace indices are the server's own business: after a rebuild both may be others.
So URIs are looked up and paths are followed on each session, and an index that a technician wrote
stands for the URI that it meant when this process first saw the server. What can not be found has
no node: it never becomes another one.
"""

import asyncio
import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncua import ua
from asyncua.client.ua_client import UaClient

from edgetwin.core.nodes import OBJECTS, NodeAddress, PathAddress, Step
from edgetwin.devices.opcua.parts import Parts
from edgetwin.devices.opcua.stack import ObjectIds, StatusCodes, standard_node
from edgetwin.devices.opcua.status import words

_OBJECTS = standard_node(ObjectIds.ObjectsFolder)
_HIERARCHICAL = standard_node(ObjectIds.HierarchicalReferences)
_RESERVED = 2  # indices 0 and 1 are the standard's and the server's own, OPC 10000-3 §8.2.2
_WHOLE = 0xFFFF_FFFF
_EXPLAINED = 5
_NO_MATCH = words(StatusCodes.BadNoMatch)
_AT_ONCE = 100  # asyncua encodes and decodes at about 10 µs an item: the loop is held for 1 ms


class Unknown(LookupError):
    """There is no such node now; the message says which part of the address is missing."""


@dataclass(slots=True)
class Spaces:
    """The server's namespaces in this session, and what each index meant when first seen."""

    uris: list[str] = field(default_factory=list)
    _meant: dict[int, str] = field(default_factory=dict)

    def learn(self, uris: Sequence[str]) -> None:
        """Take the NamespaceArray of a new session."""
        self.uris = list(uris)
        for index, uri in enumerate(uris):
            if index >= _RESERVED:
                self._meant.setdefault(index, uri)

    def index(self, uri: str, number: int) -> int:
        """The index now of a URI or, without one, of what this number meant at first.

        Raises:
            Unknown: the server has no such namespace.
        """
        meant = uri or self._meant.get(number, "")
        if not meant:
            return number
        if meant in self.uris:
            return self.uris.index(meant)
        was = "" if uri else f", which was ns={number} before"
        raise Unknown(f"the server has no namespace {meant}{was}")


Found = tuple[dict[int, ua.NodeId], dict[int, str]]
"""Node ids by tag, and for each tag that has none the reason."""


async def resolve(client: UaClient, addresses: Mapping[int, object], spaces: Spaces) -> Found:
    """The node ids of this session for addresses by tag.

    Raises:
        Exception: whatever asyncua finds wrong with the connection.
    """
    found: dict[int, ua.NodeId] = {}
    missing: dict[int, str] = {}
    ways: dict[int, ua.BrowsePath] = {}
    for number, (tag, address) in enumerate(addresses.items()):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)  # thousands of them would hold the loop
        try:
            if isinstance(address, PathAddress):
                ways[tag] = _way(address.steps, spaces)
            elif isinstance(address, NodeAddress):
                found[tag] = node_id(address, spaces)
            else:
                missing[tag] = "it is no node id and no path"
        except Unknown as error:
            missing[tag] = str(error)
    followed, lost = await _follow(client, ways)
    paths = {tag: addresses[tag] for tag, why in lost.items() if why == _NO_MATCH}
    return found | followed, missing | lost | await _explain(client, paths, spaces)


def node_id(address: NodeAddress, spaces: Spaces) -> ua.NodeId:
    """The node id of this session.

    Raises:
        Unknown: there can be none.
    """
    text, index = address.identifier, ua.Int16(spaces.index(address.uri, address.namespace))
    try:
        if address.kind == "i":
            return ua.NodeId(ua.Int32(int(text)), index)
        if address.kind == "g":
            return ua.NodeId(ua.Guid(text), index)
        if address.kind == "b":
            return ua.NodeId(ua.ByteString(base64.b64decode(text, validate=True)), index)
    except (ValueError, binascii.Error):
        raise Unknown(f"what follows {address.kind}= is malformed") from None
    return ua.NodeId(ua.String(text), index)


def _way(steps: Iterable[Step], spaces: Spaces) -> ua.BrowsePath:
    """The path as OPC 10000-4 §7.30 has it: forwards, by any reference that makes up the tree."""
    names = [ua.QualifiedName(step.name, spaces.index(step.uri, step.namespace)) for step in steps]
    return way_down(_OBJECTS, names)


def way_down(start: ua.NodeId, names: Iterable[ua.QualifiedName]) -> ua.BrowsePath:
    """From a node along these names."""
    down: Any = False  # asyncua's Boolean is a class without values
    all_kinds: Any = True
    elements = [ua.RelativePathElement(_HIERARCHICAL, down, all_kinds, name) for name in names]
    return ua.BrowsePath(start, ua.RelativePath(elements))


async def _follow(client: UaClient, ways: Mapping[int, ua.BrowsePath]) -> Found:
    found: dict[int, ua.NodeId] = {}
    lost: dict[int, str] = {}
    results = await Parts(_AT_ONCE).ask(
        list(ways.values()), lambda part: client.translate_browsepaths_to_nodeids(list(part))
    )
    for tag, result in zip(ways, results, strict=True):
        code = result.StatusCode.value
        ends = [end for end in result.Targets or () if end.RemainingPathIndex == _WHOLE]
        if len(ends) == 1:
            target = ends[0].TargetId
            found[tag] = ua.NodeId(target.Identifier, target.NamespaceIndex, target.NodeIdType)
        elif ends:
            lost[tag] = f"{len(ends)} nodes have this path. Use the node id"
        else:
            lost[tag] = words(code) if code else "it leads to another server"
    return found, lost


async def _explain(client: UaClient, lost: Mapping[int, object], spaces: Spaces) -> dict[int, str]:
    """How far the first few of the lost paths lead."""
    told: dict[int, str] = {}
    for tag, address in list(lost.items())[:_EXPLAINED]:
        steps = address.steps if isinstance(address, PathAddress) else ()
        ways = {n: _way(steps[:n], spaces) for n in range(1, len(steps) + 1)}
        found, _ = await _follow(client, ways)
        if gone := [n for n in ways if n not in found]:
            last = gone[0] - 1
            there = PathAddress(steps[:last]) if last else f"/{OBJECTS}"
            told[tag] = f"{there} has no {steps[last]}"
    return told
