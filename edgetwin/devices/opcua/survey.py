"""What a new session has to find out: the server's limits, and what lies in its nodes.

One read of all values tells each node's type (the order in which nodes are asked for, and what a
write has to look like) and which nodes do not exist.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.client.ua_client import UaClient

from edgetwin.core.quality import Quality
from edgetwin.core.tags import Tag
from edgetwin.devices.opcua.arrays import Arrays
from edgetwin.devices.opcua.asking import ask
from edgetwin.devices.opcua.columns import ARRAY, DIMENSIONS, TAKEN, TYPE_NAMES
from edgetwin.devices.opcua.exchange import Lane, Place
from edgetwin.devices.opcua.parts import Parts, slices
from edgetwin.devices.opcua.stack import AttributeIds, ObjectIds, standard_node
from edgetwin.devices.opcua.status import quality_of, words

_NAMESPACES = standard_node(ObjectIds.Server_NamespaceArray)
_CAPABILITIES = "Server_ServerCapabilities_"
_LIMITS = (
    "OperationLimits_MaxNodesPerRead",
    "OperationLimits_MaxMonitoredItemsPerCall",
    "MaxMonitoredItemsPerSubscription",
)
_MAY_WRITE = 0x02  # CurrentWrite, OPC 10000-3 §8.57
_BATCH = 100  # asyncua encodes and decodes at about 10 µs an item: the loop is held for 1 ms
_MOST_ITEMS = 10_000
_NO_ELEMENT = "2147483646"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server takes in one call, by its own word and ours; ``items`` to create at once.

    ``subscribed`` is how many items one subscription may have.
    """

    nodes: Parts
    items: Parts
    subscribed: int


@dataclass(frozen=True, slots=True)
class Node:
    """Where a tag's value is in this session. ``kind``: its Variant's encoding byte, 0 unknown."""

    tag: int
    place: Place
    kind: int = 0


async def server_facts(client: UaClient, max_nodes: int) -> tuple[list[str], Limits]:
    """The server's NamespaceArray and its limits (a server without limits says 0, or nothing)."""
    asked = [standard_node(getattr(ObjectIds, _CAPABILITIES + name)) for name in _LIMITS]
    values = await client.read_attributes([_NAMESPACES, *asked], AttributeIds.Value)
    uris, *limits = (value.Value.Value if value.Value else None for value in values)
    read, create = (_limit(each, max_nodes) for each in limits[:2])
    most = Limits(Parts(read), Parts(min(create, _BATCH)), _limit(limits[2], _MOST_ITEMS))
    return _texts(uris), most


async def namespaces(client: UaClient) -> list[str]:
    """The server's NamespaceArray as it is now."""
    value, *_ = await client.read_attributes([_NAMESPACES], AttributeIds.Value)
    return _texts(value.Value.Value if value.Value else None)


def _texts(told: Any) -> list[str]:  # noqa: ANN401 - as above
    """A list of texts, if it is one."""
    fits = isinstance(told, list) and all(isinstance(text, str) for text in told)
    return told if fits else []


def _limit(told: Any, own: int) -> int:  # noqa: ANN401 (whatever the server holds there)
    return min(told, own) if isinstance(told, int) and told > 0 else own


async def look(
    lane: Lane, places: Mapping[int, Place], most: Parts, arrays: Arrays
) -> tuple[dict[int, Node], dict[int, str]]:
    """Read every node once: the nodes with their types, and what is wrong with some of them."""
    nodes: dict[int, Node] = {}
    odd: dict[int, str] = {}
    most.most = min(most.most, lane.max_nodes)
    for tag, (kind, status) in zip(
        places, await most.ask(list(places.values()), partial(_kinds, lane)), strict=True
    ):
        nodes[tag] = Node(tag, places[tag], kind)
        if why := _oddity(places[tag], kind, status, is_array=arrays.holds(tag)):
            odd[tag] = why
    return nodes, odd


async def _kinds(lane: Lane, places: Sequence[Place]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for columns in await ask(lane.reader(places), len(places)):
        kinds = columns.types & ~np.uint8(DIMENSIONS)
        found += zip(kinds.tolist(), columns.status.tolist(), strict=True)
    return found


def _oddity(place: Place, kind: int, status: int, *, is_array: bool) -> str:
    """Why a value can not be used as it is configured, "" if it can."""
    name = TYPE_NAMES[kind & 0x3F] if kind & 0x3F < len(TYPE_NAMES) else "an unknown type"
    if quality_of(status) is Quality.CONFIG_ERROR:
        return words(status)
    if is_array and kind and not kind & ARRAY:
        return f"it holds one {name} and no array. Remove 'elements'"
    if kind & ARRAY and not (place.part or is_array):
        return f"it holds an array of {name}. Say which element: element: 0, or elements: 8"
    if not TAKEN[kind & 0x3F]:
        return f"it holds {name}, which is neither a number nor a text"
    return ""


async def whole_in_place_of_part(
    lane: Lane, places: Mapping[int, Place], most: Parts
) -> dict[int, str]:
    """Tags of arrays where the server pays no heed to the element that is asked for.

    It would show another element and, worse, take one that is written for the whole array. So it is
    asked for an element that no array has: good is the wrong answer.
    """
    asked = {
        tag: Place(place.node, ",".join([_NO_ELEMENT] * (place.part.count(",") + 1)))
        for tag, place in places.items()
        if place.part
    }
    given = await most.ask(list(asked.values()), partial(_kinds, lane))
    why = "the server gives the whole array where one element is asked for. Remove 'element'"
    return {tag: why for tag, (_, code) in zip(asked, given, strict=True) if code >> 30 == 0}


async def look_at_writable(
    client: UaClient, nodes: Mapping[int, Node], tags: Sequence[Tag]
) -> tuple[dict[int, Node], dict[int, str]]:
    """Fill in the type of setpoints that have no value yet; name those that may not be written."""
    known: dict[int, Node] = {}
    odd: dict[int, str] = {}
    mine = [t.index for t in tags if t.write and not t.method and t.index in nodes]
    for part in slices(mine, _BATCH):
        ids = [nodes[tag].place.node for tag in part]
        levels = await client.read_attributes(ids, AttributeIds.UserAccessLevel)
        types = await client.read_attributes(ids, AttributeIds.DataType)
        for tag, level, kind in zip(part, levels, types, strict=True):
            value = level.Value.Value if level.Value else None
            if isinstance(value, int) and not value & _MAY_WRITE:
                odd[tag] = "the server lets this user only read it; its 'write' is refused"
            if not nodes[tag].kind:
                data_type = kind.Value.Value if kind.Value else None
                known[tag] = replace(nodes[tag], kind=built_in(data_type))
    return known, odd


def built_in(node: object) -> int:
    """The built-in type that a DataType names, 0 where it names a derived one."""
    if (
        isinstance(node, ua.NodeId)
        and node.NamespaceIndex == 0
        and isinstance(node.Identifier, int)
    ):
        return node.Identifier if node.Identifier < len(TYPE_NAMES) else 0
    return 0
