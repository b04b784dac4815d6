"""What the tags of a device are in one session: their nodes and methods, and which are missing.

A server may come up before its programs do, and a node may be deleted and made anew under another
id. So tags without a node are looked for again and again, until they have one.
"""

from collections.abc import Iterable, Mapping, Sequence

from asyncua.client.ua_client import UaClient

from edgetwin.core.nodes import NodeAddress, PathAddress
from edgetwin.core.tags import Tag
from edgetwin.devices.opcua.arrays import Arrays
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
    """What there is, by tag. Of an array the first tag stands for all but in ``setpoints``.

    ``nodes`` are read, ``setpoints`` and ``methods`` written; ``odd`` says of a tag why it can not
    be used as it is.
    """

    def __init__(
        self, client: UaClient, spaces: Spaces, tags: Sequence[Tag], arrays: Arrays
    ) -> None:
        self.nodes: dict[int, Node] = {}
        self.setpoints: dict[int, Node] = {}
        self.methods: dict[int, Method] = {}
        self.missing: dict[int, str] = {}
        self.odd: dict[int, str] = {}
        self._client = client
        self._spaces = spaces
        self._arrays = arrays
        self._tags = {tag.index: tag for tag in tags}

    async def find(self) -> dict[int, Place]:
        """Where each tag lies; ``missing`` are those that lie nowhere."""
        places, missing = await self._places(self._tags)
        self._miss(missing)
        return places

    async def look(self, lane: Lane, places: dict[int, Place], most: Parts) -> None:
        """What lies there."""
        whole = await whole_in_place_of_part(lane, places, most)
        self._miss(whole)
        places = {tag: place for tag, place in places.items() if tag not in whole}
        nodes, self.odd = await look(lane, places, most, self._arrays)
        self.odd |= await self._take_in(nodes, self._tags, lane, most)

    async def find_again(self, lost: Iterable[int], lane: Lane, most: Parts) -> list[Node]:
        """Those of the lost tags that have a node by now; their methods are found again too."""
        self._spaces.learn(await namespaces(self._client))
        places, missing = await self._places(lost)
        missing |= await whole_in_place_of_part(lane, places, most)
        places = {tag: place for tag, place in places.items() if tag not in missing}
        nodes, odd = await look(lane, places, most, self._arrays)
        found = {tag: node for tag, node in nodes.items() if tag not in odd}
        await self._take_in(found, self._arrays.all_of(found), lane, most)
        self._miss(missing)
        for tag in self._arrays.all_of(found):
            self.missing.pop(tag, None)
        return [self.nodes[tag] for tag in found]

    async def _places(self, tags: Iterable[int]) -> tuple[dict[int, Place], dict[int, str]]:
        firsts = {self._arrays.first(tag) for tag in tags}
        addresses = {tag: self._tags[tag].address for tag in sorted(firsts & self._tags.keys())}
        ids, missing = await resolve(self._client, addresses, self._spaces)
        return {tag: Place(node, self._part(tag)) for tag, node in ids.items()}, missing

    def _part(self, tag: int) -> str:
        return "" if self._arrays.holds(tag) else _element(self._tags[tag])

    def _miss(self, missing: Mapping[int, str]) -> None:
        for first, why in missing.items():
            self.missing |= dict.fromkeys(self._arrays.of(first), why)

    async def _take_in(
        self, nodes: dict[int, Node], all_tags: Iterable[int], lane: Lane, most: Parts
    ) -> dict[int, str]:
        """Keep these nodes, with how to write to their tags; which cannot be written, and why."""
        tags = [self._tags[tag] for tag in all_tags if tag in self._tags]
        points, mute = await self._points(nodes, lane, most)
        known, closed = await look_at_writable(self._client, points, tags)
        methods, no_method = await find_methods(self._client, tags, self._spaces)
        self.nodes |= nodes | {tag: node for tag, node in known.items() if tag in nodes}
        self.setpoints |= points | known
        self.methods |= methods
        return mute | closed | no_method

    async def _points(
        self, nodes: Mapping[int, Node], lane: Lane, most: Parts
    ) -> tuple[dict[int, Node], dict[int, str]]:
        """Where to write to: of an array each element by itself, as others may write the rest.

        Not if the server would take it for the whole array: see devices.opcua.array_writing.
        """
        points = {tag: node for tag, node in nodes.items() if not self._arrays.holds(tag)}
        arrays = {tag: node for tag, node in nodes.items() if tag not in points}
        written = {
            tag: Place(node.place.node, _element(self._tags[tag]))
            for tag, node in arrays.items()
            if any(self._tags[each].write for each in self._arrays.of(tag))
        }
        mute = await whole_in_place_of_part(lane, written, most)
        for first in written.keys() - mute.keys():
            node = arrays[first]
            for tag in self._arrays.of(first):
                place = Place(node.place.node, _element(self._tags[tag]))
                points[tag] = Node(tag, place, node.kind)
        why = "it is only written as a whole: the server does not write one element of an array"
        return points, dict.fromkeys(mute, why)


def _element(tag: Tag) -> str:
    address = tag.address
    return address.element if isinstance(address, NodeAddress | PathAddress) else ""
