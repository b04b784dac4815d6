"""One connection: what is made anew when a server is found, and thrown away when it is lost."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from edgetwin.core.plan import DevicePlan, OpcuaSettings, ScanGroup
from edgetwin.core.reading import Instant, WriteRequest
from edgetwin.core.tags import TagTable
from edgetwin.devices.driver import Sink
from edgetwin.devices.opcua.arrays import Arrays
from edgetwin.devices.opcua.batches import Batches
from edgetwin.devices.opcua.catalogue import Catalogue
from edgetwin.devices.opcua.choice import choose_lane
from edgetwin.devices.opcua.counters import Counters
from edgetwin.devices.opcua.exchange import Lane, Place, ServiceFault
from edgetwin.devices.opcua.polling import Delivery, PolledGroup
from edgetwin.devices.opcua.resolve import Spaces
from edgetwin.devices.opcua.seek import Seeker
from edgetwin.devices.opcua.session import Session
from edgetwin.devices.opcua.skip import WireError
from edgetwin.devices.opcua.stack import ObjectIds, UaError, standard_node
from edgetwin.devices.opcua.status import SESSION_OVER
from edgetwin.devices.opcua.subscription import Publisher, SubscribedGroup
from edgetwin.devices.opcua.survey import Limits, Node, server_facts
from edgetwin.devices.opcua.writing import Writer

_log = logging.getLogger(__name__)

_STATE = standard_node(ObjectIds.Server_ServerStatus_State)
_TOLD = 5
"""So many odd tags are named in one log line; the rest is a number."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a connection is made for."""

    device: DevicePlan
    settings: OpcuaSettings
    tags: TagTable
    sink: Sink
    now: Callable[[], Instant]
    counters: Counters
    spaces: Spaces


class Link:
    """A session with its lane, groups and writer: ``open`` makes it ready, ``lose`` ends it."""

    def __init__(self, around: Surroundings, session: Session) -> None:
        self._around = around
        self._session = session
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._groups: dict[int, list[PolledGroup | SubscribedGroup]] = {}
        self._seeker: Seeker | None = None
        self._lane: Lane | None = None
        self._writer: Writer | None = None
        self._told: set[str] = set()
        self._deliver = Delivery(
            around.sink,
            Batches(around.tags),
            around.counters,
            lambda: around.now().mono,
            self._trouble,
        )
        session.on_end(self.lose)

    async def open(self) -> None:
        """Find the nodes, choose a lane, prepare the groups.

        Raises:
            Exception: whatever the lane or asyncua finds wrong.
        """
        around, client = self._around, self._session.client
        uris, limits = await server_facts(client, around.settings.max_nodes)
        around.spaces.learn(uris)
        read = {tag for group in around.device.groups for tag in group.tags}
        own = around.device.index
        mine = [
            tag for tag in around.tags if tag.index in read or (tag.device == own and tag.write)
        ]
        known = Catalogue(client, around.spaces, mine, self._deliver.batches.arrays)
        places = await known.find()
        timeout_s = around.settings.timeout / 1e9
        self._lane, why = await choose_lane(client, timeout_s, around.now, list(places.values()))
        if why:
            _log.warning("%s: reading the slower way, because %s", around.device.name, why)
        await known.look(self._lane, places, limits.nodes)
        self._writer = Writer(
            self._lane, known.setpoints, known.methods, self._deliver, known.nodes
        )
        if around.settings.subscribe:
            known.odd |= await self._subscribe(self._lane, known, limits)
        else:
            self._poll(self._lane, known, limits)
        self._name(known.missing | known.odd)
        self._seeker = Seeker(known, self._lane, limits.nodes, self._groups, self._deliver)

    def _poll(self, lane: Lane, known: Catalogue, limits: Limits) -> None:
        for group in self._around.device.groups:
            lost = [tag for tag in group.tags if tag in known.missing]
            own = _of(group, known.nodes)
            made = PolledGroup(lane, own, lost, limits.nodes.most, self._deliver)
            self._groups[group.number] = [made]

    async def _subscribe(self, lane: Lane, known: Catalogue, limits: Limits) -> dict[int, str]:
        most = min(limits.subscribed, lane.most_items)
        by_number: dict[int, SubscribedGroup] = {}
        refused: dict[int, str] = {}
        for group in _shards(self._around.device.groups, most, self._deliver.batches.arrays):
            made = SubscribedGroup(group, self._deliver, self.lose)
            lost = [tag for tag in group.tags if tag in known.missing]
            number, odd = await made.create(
                self._session.client, _of(group, known.nodes), lost, limits.items, lane.most_told
            )
            made.watch(lane, limits.nodes.most)
            by_number[number] = made
            self._groups.setdefault(group.number, []).append(made)
            refused |= odd
            if made.period > group.period:
                _log.warning(
                    "%s: asked to report every %g s, it promises only every %g s: what does not "
                    "change goes stale in between. Raise 'scan', or lower the server's limits",
                    self._around.device.name,
                    group.period / 1e9,
                    made.period / 1e9,
                )
        Publisher(lane, by_number, self._deliver, self.lose).start()
        return refused

    def _name(self, odd: Mapping[int, str]) -> None:
        """One log line about all tags that can not be used as they are configured."""
        if not odd:
            return
        tags = self._around.tags
        told = [
            f"{tags[tag].name} ({tags[tag].address}): {why}" for tag, why in sorted(odd.items())
        ]
        more = f" … and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
        _log.warning(
            "%s (%s): check these tags' 'at' against the server: %s%s",
            self._around.device.name,
            self._around.settings.url,
            " | ".join(told[:_TOLD]),
            more,
        )

    # ------------------------------------------------------------ in use

    def start_scan(self, group: int) -> bool:
        """Ask one group, or see that it still reports. Nothing once the link is lost."""
        if self._ended.done():
            return True
        started = [part.start() for part in self._groups[group]]
        return all(started)

    def start_write(self, request: WriteRequest) -> bool:
        """Write, if there is still something to write to."""
        if self._writer is None:
            return False
        self._writer.start(request)
        return True

    def start_array(self, requests: Sequence[WriteRequest]) -> bool:
        """Write all elements of an array, as above."""
        if self._writer is None:
            return False
        self._writer.start_array(requests)
        return True

    async def ended(self) -> str:
        """Watch the connection, keep it alive; return why it ended."""
        around = self._around
        beat = around.settings.timeout // 2
        while not self._ended.done():
            await asyncio.wait({self._ended}, timeout=beat / 1e9)
            if self._ended.done():
                break
            await self._renew()
            await self._seek()
            now = around.now().mono
            if self._lane is not None and now - self._lane.heard > beat:
                self._lane.reader([Place(_STATE)])(_nothing, partial(self._trouble, sent=now))
        return self._ended.result()

    async def _renew(self) -> None:
        try:
            await self._session.renew(self._around.now())
        except Exception as error:  # noqa: BLE001 (whatever asyncua meets: the channel is of no use)
            self.lose(f"its channel could not be renewed ({error!r})")

    async def _seek(self) -> None:
        """Look for the nodes that are missing, if it is time to."""
        if self._seeker is None or not self._seeker.is_due(self._around.device.retry):
            return
        sent = self._around.now().mono
        try:
            found = await self._seeker.seek()
        except Exception as error:  # noqa: BLE001 (whatever asyncua meets; ``_trouble`` sorts it)
            self._trouble(error, sent)
            return
        if found:
            names = [self._around.tags[node.tag].name for node in found]
            more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
            text = ", ".join(names[:_TOLD])
            _log.info("%s: the server has them now: %s%s", self._around.device.name, text, more)

    def lose(self, cause: str) -> None:
        """The connection is of no use any more. The first cause counts."""
        if self._ended.done():
            return
        self._ended.set_result(cause)
        if self._writer is not None:
            self._writer.close()

    async def close(self) -> None:
        """Answer what is open, say no more, end the session."""
        self.lose("it was closed")
        if self._lane is not None:
            self._lane.close()
        await self._session.close()

    def _trouble(self, error: Exception, sent: int) -> None:
        """A request failed. ``sent`` (monotonic ns) tells silence from one slow answer."""
        settings, counters = self._around.settings, self._around.counters
        if isinstance(error, TimeoutError):
            counters.timeouts += 1
            if self._lane is None or self._lane.heard <= sent:
                self.lose(f"no answer for {settings.timeout / 1e9:g} s. Is the server hung?")
        elif isinstance(error, ServiceFault) and error.code in SESSION_OVER:
            self.lose(f"it ended our session ({error})")
        elif isinstance(error, ServiceFault | WireError):
            counters.exceptions += isinstance(error, ServiceFault)
            counters.bad_replies += isinstance(error, WireError)
            self._tell(str(error))
        elif isinstance(error, ConnectionError):
            self.lose("it closed the connection. Is it still running?")
        elif isinstance(error, UaError):  # Refused, and what the server says as it hangs up
            self.lose(str(error))
        else:
            _log.error("%s: an unforeseen error", self._around.device.name, exc_info=error)
            self.lose(f"a reply could not be handled ({error!r}). Please report this")

    def _tell(self, text: str) -> None:
        """Log a repeated trouble once per connection."""
        if text not in self._told and len(self._told) < _TOLD:
            self._told.add(text)
            _log.warning("%s: a reply can not be used: %s", self._around.device.name, text)


def _of(group: ScanGroup, nodes: Mapping[int, Node]) -> list[Node]:
    return [nodes[tag] for tag in group.tags if tag in nodes]


def _shards(groups: Iterable[ScanGroup], most: int, arrays: Arrays) -> Iterator[ScanGroup]:
    """Groups of as many items as one subscription may have; an array is one, and stays whole."""
    for group in groups:
        firsts = [tag for tag in group.tags if arrays.first(tag) == tag]
        for start in range(0, max(1, len(firsts)), most):
            part = firsts[start : start + most]
            tags = range(part[0], arrays.of(part[-1]).stop) if part else group.tags
            yield replace(group, tags=tags)


def _nothing(*_: object) -> None:
    """The answer itself says that the server is alive."""
