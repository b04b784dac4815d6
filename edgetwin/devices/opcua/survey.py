"""What a new session has to find out: which node is which tag, and what lies in it.

Namespace URIs are looked up anew on each session, so a server that was rebuilt with other indices
never shows one tag another's data. One read of all values then tells each node's type (the order in
which nodes are asked for, and what a write has to look like) and which nodes do not exist.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from asyncua import ua
from asyncua.client.ua_client import UaClient

from edgetwin.core.nodes import NodeAddress
from edgetwin.core.quality import Quality
from edgetwin.core.tags import Tag
from edgetwin.devices.opcua.asking import ask
from edgetwin.devices.opcua.columns import ARRAY, TYPE_NAMES
from edgetwin.devices.opcua.exchange import Lane
from edgetwin.devices.opcua.stack import AttributeIds, ObjectIds, standard_node
from edgetwin.devices.opcua.status import quality_of, words

_NAMESPACES = standard_node(ObjectIds.Server_NamespaceArray)
_LIMITS = "Server_ServerCapabilities_OperationLimits_"
_MAX_READ = standard_node(getattr(ObjectIds, _LIMITS + "MaxNodesPerRead"))
_MAX_ITEMS = standard_node(getattr(ObjectIds, _LIMITS + "MaxMonitoredItemsPerCall"))
_MAY_WRITE = 0x02  # CurrentWrite, OPC 10000-3 §8.57
_BATCH = 100  # asyncua encodes and decodes at about 10 µs an item: the loop is held for 1 ms
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server takes in one call, by its own word and ours."""

    nodes: int
    items: int


@dataclass(frozen=True, slots=True)
class Node:
    """Where a tag's value is in this session. ``kind``: its Variant's encoding byte, 0 unknown."""

    tag: int
    id: ua.NodeId
    kind: int = 0


async def server_facts(client: UaClient, max_nodes: int) -> tuple[list[str], Limits]:
    """The server's NamespaceArray and its limits (a server without limits says 0, or nothing)."""
    values = await client.read_attributes([_NAMESPACES, _MAX_READ, _MAX_ITEMS], AttributeIds.Value)
    uris, read, items = (value.Value.Value if value.Value else None for value in values)
    own = [min(n, max_nodes) if isinstance(n, int) and n > 0 else max_nodes for n in (read, items)]
    return [str(uri) for uri in uris or ()], Limits(own[0], min(own[1], _BATCH))


def resolve(
    tags: Iterable[Tag], uris: Sequence[str]
) -> tuple[dict[int, ua.NodeId], dict[int, str]]:
    """The node ids of this session, and for each tag that has none the reason."""
    found: dict[int, ua.NodeId] = {}
    missing: dict[int, str] = {}
    for tag in tags:
        address = tag.address
        if not isinstance(address, NodeAddress):
            missing[tag.index] = f"{address!r} is no node id"
        elif address.uri and address.uri not in uris:
            missing[tag.index] = f"{address}: the server has no namespace {address.uri}"
        else:
            space = uris.index(address.uri) if address.uri else address.namespace
            try:
                found[tag.index] = _node_id(address, space)
            except (ValueError, binascii.Error):
                missing[tag.index] = f"{address}: what follows {address.kind}= is malformed"
    return found, missing


def _node_id(address: NodeAddress, space: int) -> ua.NodeId:
    text, index = address.identifier, ua.Int16(space)
    if address.kind == "i":
        return ua.NodeId(ua.Int32(int(text)), index)
    if address.kind == "g":
        return ua.NodeId(ua.Guid(text), index)
    if address.kind == "b":
        return ua.NodeId(ua.ByteString(base64.b64decode(text, validate=True)), index)
    return ua.NodeId(ua.String(text), index)


async def look(
    lane: Lane, ids: Mapping[int, ua.NodeId], limits: Limits
) -> tuple[dict[int, Node], dict[int, str]]:
    """Read every node once: the nodes with their types, and what is wrong with some of them."""
    nodes: dict[int, Node] = {}
    odd: dict[int, str] = {}
    for part in slices(list(ids), min(limits.nodes, lane.max_nodes)):
        columns = await ask(lane.reader([ids[tag] for tag in part]))
        for tag, kind, status in zip(
            part, columns.types.tolist(), columns.status.tolist(), strict=True
        ):
            nodes[tag] = Node(tag, ids[tag], kind)
            if quality_of(status) is Quality.CONFIG_ERROR:
                odd[tag] = words(status)
            elif kind & ARRAY:
                odd[tag] = f"it holds an array of {TYPE_NAMES[kind & 0x3F]}; only scalars are read"
    return nodes, odd


async def look_at_writable(
    client: UaClient, nodes: Mapping[int, Node], tags: Sequence[Tag]
) -> tuple[dict[int, Node], dict[int, str]]:
    """Fill in the type of setpoints that have no value yet; name those that may not be written."""
    known: dict[int, Node] = {}
    odd: dict[int, str] = {}
    mine = [tag.index for tag in tags if tag.write and tag.index in nodes]
    for part in slices(mine, _BATCH):
        ids = [nodes[tag].id for tag in part]
        levels = await client.read_attributes(ids, AttributeIds.UserAccessLevel)
        types = await client.read_attributes(ids, AttributeIds.DataType)
        for tag, level, kind in zip(part, levels, types, strict=True):
            value = level.Value.Value if level.Value else None
            if isinstance(value, int) and not value & _MAY_WRITE:
                odd[tag] = "the server lets this user only read it; its 'write' is refused"
            if not nodes[tag].kind:
                known[tag] = Node(tag, nodes[tag].id, _built_in(kind))
    return known, odd


def _built_in(data_type: ua.DataValue) -> int:
    """The built-in type that a DataType attribute names, 0 where it names a derived one."""
    node = data_type.Value.Value if data_type.Value else None
    if (
        isinstance(node, ua.NodeId)
        and node.NamespaceIndex == 0
        and isinstance(node.Identifier, int)
    ):
        return node.Identifier if node.Identifier < len(TYPE_NAMES) else 0
    return 0


def slices(items: Sequence[_T], most: int) -> list[Sequence[_T]]:
    """Parts of at most ``most`` items."""
    return [items[start : start + most] for start in range(0, len(items), most)]
