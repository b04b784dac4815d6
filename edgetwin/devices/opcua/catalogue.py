"""What the tags of a device are in one session: their nodes and methods, and which are missing.

A server may come up before its programs do, and a node may be deleted and made anew under another
id. So tags without a node are looked for again and again, until they have one.
"""

from collections.abc import Iterable, Sequence

from asyncua.client.ua_client import UaClient

from edgetwin.core.nodes import NodeAddress, PathAddress
from edgetwin.core.tags import Tag
from edgetwin.devices.opcua.exchange import Lane, Place
from edgetwin.devices.opcua.methods import Method, find_methods
from edgetwin.devices.opcua.parts import Parts
from edgetwin.devices.opcua.resolve import Spaces, resolve
from edgetwin.devices.opcua.survey import (
    Node,
    look,
    look_at_writable,
    namespaces,
    whole_in_place_of_part,
)


class Catalogue:
    """``nodes`` and ``methods`` by tag; ``odd`` says of a tag why it can not be used as it is."""

    def __init__(self, client: UaClient, spaces: Spaces, tags: Sequence[Tag]) -> None:
        self.nodes: dict[int, Node] = {}
        self.methods: dict[int, Method] = {}
        self.missing: dict[int, str] = {}
        self.odd: dict[int, str] = {}
        self._client = client
        self._spaces = spaces
        self._tags = {tag.index: tag for tag in tags}

    async def find(self) -> dict[int, Place]:
        """Where each tag lies; ``missing`` are those that lie nowhere."""
        places, self.missing = await self._places(self._tags)
        return places

    async def look(self, lane: Lane, places: dict[int, Place], most: Parts) -> None:
        """What lies there."""
        tags = list(self._tags.values())
        whole = await whole_in_place_of_part(lane, places, most)
        self.missing |= whole
        places = {tag: place for tag, place in places.items() if tag not in whole}
        self.nodes, self.odd = await look(lane, places, most)
        known, closed = await look_at_writable(self._client, self.nodes, tags)
        self.methods, no_method = await find_methods(self._client, tags, self._spaces)
        self.nodes |= known
        self.odd |= closed | no_method

    async def find_again(self, lost: Iterable[int], lane: Lane, most: Parts) -> list[Node]:
        """Those of the lost tags that have a node by now; their methods are found again too."""
        wanted = [tag for tag in lost if tag in self._tags]
        self._spaces.learn(await namespaces(self._client))
        places, missing = await self._places(wanted)
        missing |= await whole_in_place_of_part(lane, places, most)
        places = {tag: place for tag, place in places.items() if tag not in missing}
        nodes, odd = await look(lane, places, most)
        found = {tag: node for tag, node in nodes.items() if tag not in odd}
        tags = [self._tags[tag] for tag in found]
        known, _ = await look_at_writable(self._client, found, tags)
        methods, _ = await find_methods(self._client, tags, self._spaces)
        found |= known
        self.nodes |= found
        self.methods |= methods
        self.missing = {t: why for t, why in (self.missing | missing).items() if t not in found}
        return list(found.values())

    async def _places(self, tags: Iterable[int]) -> tuple[dict[int, Place], dict[int, str]]:
        addresses = {tag: self._tags[tag].address for tag in tags}
        ids, missing = await resolve(self._client, addresses, self._spaces)
        return {tag: Place(node, _part(addresses[tag])) for tag, node in ids.items()}, missing


def _part(address: object) -> str:
    return address.element if isinstance(address, NodeAddress | PathAddress) else ""
