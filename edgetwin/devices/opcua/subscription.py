"""A scan group that reports by itself: a subscription, and the publish requests that carry it.

    create items ─▶ publish ─▶ data ─▶ sink.readings, sink.confirmed ─▶ publish and acknowledge …
                              keep-alive ─────────────▶ sink.confirmed ─▶ publish …

The server is told to speak once per period, with a keep-alive when nothing changed, so that every
period it vouches for all values. Queue size 1: the newest value wins, at the device already.
Several publish requests are out at once, so that a notification never waits for one (OPC 10000-4
§5.14.1).
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
from asyncua import ua
from asyncua.client.ua_client import UaClient
from numpy.typing import NDArray

from edgetwin.core.plan import ScanGroup
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Bytes
from edgetwin.devices.opcua.batches import bad
from edgetwin.devices.opcua.columns import Columns
from edgetwin.devices.opcua.exchange import Ack, Lane, Notification, ServiceFault
from edgetwin.devices.opcua.items import Items
from edgetwin.devices.opcua.parts import Parts
from edgetwin.devices.opcua.polling import Delivery
from edgetwin.devices.opcua.skip import WireError
from edgetwin.devices.opcua.stack import StatusCodes
from edgetwin.devices.opcua.status import SESSION_OVER, quality_of, words
from edgetwin.devices.opcua.survey import Node
from edgetwin.devices.opcua.vigil import Vigil

_log = logging.getLogger(__name__)

_SILENT_PERIODS = 3
_SILENT_NS = 3_000_000_000
_LIFETIME_MS = 60_000
_MOST_PUBLISHING = 8
_MOST_MESSAGES = 1000
_NO_RANGE = (
    "its deadband is a part of a range that the server does not tell (EURange), so each change is "
    "reported. Write range: [low, high]"
)


class SubscribedGroup:
    """One scan group on one subscription. Client handles are twin indices."""

    def __init__(self, group: ScanGroup, deliver: Delivery, lose: Callable[[str], None]) -> None:
        self.tags = group.tags
        self._period = group.period
        self._deliver = deliver
        self._lose = lose
        self._refused: dict[int, Quality] = {}
        self._monitor: Items | None = None
        self._alive = np.zeros(len(group.tags), bool)
        self._runs: tuple[range, ...] = ()
        self._heard = deliver.mark()
        self._messages = 0
        self._nodes: dict[int, Node] = {}
        self._lane: tuple[Lane, int] | None = None
        self._vigil = Vigil(group.tags, group.period, deliver, self._doubt)

    async def create(
        self,
        client: UaClient,
        nodes: Sequence[Node],
        missing: Iterable[int],
        most: Parts,
        most_told: int,
    ) -> tuple[int, dict[int, str]]:
        """Make the subscription and its items; its id, and what the server refused and why.

        ``most`` items are made by one request; ``most_told`` values are asked for in one message.
        """
        interval = self._period / 1e6
        asked = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=interval,
            RequestedLifetimeCount=max(10, int(_LIFETIME_MS / interval)),
            RequestedMaxKeepAliveCount=1,
            MaxNotificationsPerPublish=most_told,
            PublishingEnabled=True,
            Priority=0,
        )
        made = await client.create_subscription(asked, _ignore)
        word_every = made.RevisedPublishingInterval * max(1, made.RevisedMaxKeepAliveCount)
        self._period = max(self._period, int(word_every * 1e6))
        self._refused = dict.fromkeys(missing, Quality.CONFIG_ERROR)
        tags = self._deliver.batches.tags
        self._monitor = Items(client, made.SubscriptionId, interval, most, tags)
        refused = await self.add(nodes)
        self._heard = self._deliver.mark()
        return made.SubscriptionId, refused

    async def add(self, nodes: Sequence[Node]) -> dict[int, str]:
        """Have these nodes reported, in place of those that their tags had; what is refused."""
        if self._monitor is None:
            return {}
        self._deliver.counters.requests += 1
        refused = await self._monitor.create(nodes)
        arrays = self._deliver.batches.arrays
        for first, code in refused.items():
            self._refused |= dict.fromkeys(arrays.of(first), quality_of(code))
        self._nodes |= {node.tag: node for node in nodes if node.tag not in refused}
        self._watch()
        gone = (tag for tag, code in refused.items() if code == StatusCodes.BadNodeIdUnknown)
        self._deliver.gone.update(gone)
        self._vigil.allow(self._monitor.bands)
        tags = self._deliver.batches.tags
        boundless = {
            node.tag: _NO_RANGE
            for node in nodes
            if tags[node.tag].deadband_share and node.tag not in self._monitor.bands
        }
        return boundless | {tag: words(code) for tag, code in refused.items()}

    def watch(self, lane: Lane, most: int) -> None:
        """Check by reading, at most ``most`` nodes at once, that all items speak."""
        self._lane = lane, most
        self._watch()

    def _watch(self) -> None:
        if self._lane is not None and self._monitor is not None:
            lane, most = self._lane
            sampling = int(self._monitor.sampling_ms * 1e6)
            self._vigil.watch(self._nodes.values(), lane, most, sampling)

    def _doubt(self, tags: Sequence[int]) -> None:
        """Vouch for these no more until they are reported again."""
        self._alive[np.array(tags, np.intp) - self.tags.start] = False
        self._runs = runs_of(self._alive, self.tags.start)

    @property
    def period(self) -> int:
        """How often the server promises to speak, changes or not, in ns."""
        return self._period

    def start(self) -> bool:
        """Nothing to ask for: see that the server has not fallen silent."""
        for tag, quality in self._refused.items():
            self._deliver.sink.readings(bad(np.array([tag], np.intp), quality))
        self._refused = {}
        self._messages = 0
        self._vigil.look()
        silent = self._deliver.mark() - self._heard
        if silent > max(_SILENT_PERIODS * self._period, _SILENT_NS):
            self._lose(
                f"its subscription has been silent for {silent / 1e9:.1f} s, though it is to speak "
                f"every {self._period / 1e9:g} s. Is the server overloaded or stopped?"
            )
        return True

    def take(
        self, columns: Columns | None, handles: NDArray[np.uint32], *, is_last: bool = True
    ) -> None:
        """Values that changed, or (None) the word that none did: the others are confirmed.

        Not before the last part of a long message, as some of them may be in it.
        """
        self._messages += is_last
        if self._messages > _MOST_MESSAGES:
            self._lose(f"it reported {_MOST_MESSAGES} times within {self._period / 1e9:g} s")
        self._heard = self._deliver.mark()
        if columns is not None:
            self._take_values(columns, handles)
        for run in self._runs if is_last else ():
            self._deliver.sink.confirmed(run)

    def _take_values(self, columns: Columns, handles: NDArray[np.uint32]) -> None:
        tags = handles.astype(np.intp)
        places = np.flatnonzero((tags >= self.tags.start) & (tags < self.tags.stop))
        if _doubled(tags[places] - self.tags.start):
            newest = {int(tags[place]): int(place) for place in places}
            places = np.array(sorted(newest.values()), np.intp)
        if len(places) < len(tags):
            columns, tags = columns.some(places), tags[places]
        tags, columns = self._deliver.batches.arrays.spread(tags, columns)
        self._vigil.reported(tags, columns)
        self._deliver.give(tags, columns)
        fresh = tags - self.tags.start
        if not self._alive[fresh].all():
            self._alive[fresh] = True
            self._runs = runs_of(self._alive, self.tags.start)


def _doubled(places: NDArray[np.intp]) -> bool:
    """Whether a tag comes more than once: its values followed each other within one message."""
    return bool(len(places)) and int(np.bincount(places).max()) > 1


def runs_of(alive: Bytes | NDArray[np.bool_], start: int) -> tuple[range, ...]:
    """The maximal runs of tags that are alive, from ``start`` on."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], alive.astype(np.int8), [0]))))
    return tuple(
        range(start + int(a), start + int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)
    )


def _ignore(_: object) -> None:
    """Asyncua wants a callback for its own publish loop, which does not run here."""


class Publisher:
    """Keeps publish requests out and hands what they bring to the right group."""

    def __init__(
        self,
        lane: Lane,
        groups: Mapping[int, SubscribedGroup],
        deliver: Delivery,
        lose: Callable[[str], None],
    ) -> None:
        self._lane = lane
        self._groups = groups
        self._deliver = deliver
        self._lose = lose
        self._out = 0

    def start(self) -> None:
        """Send as many requests as there are subscriptions, and one to spare."""
        for _ in range(min(len(self._groups) + 1, _MOST_PUBLISHING)):
            self._send(())

    def _send(self, acks: Sequence[Ack]) -> None:
        self._out += 1
        self._deliver.counters.requests += 1
        sent = self._deliver.mark()
        self._lane.publish(acks, self._take, partial(self._fail, sent))

    def _take(self, news: Notification) -> None:
        group = self._groups.get(news.subscription)
        if news.ended:
            self._lose(f"it ended our subscription: {words(news.ended)}")
            return
        if group is None:
            self._lose(f"it reports for a subscription {news.subscription}, which is not ours")
            return
        group.take(news.columns, news.handles, is_last=news.is_last)
        if news.is_last:
            self._out -= 1
            self._send(news.acks)

    def _fail(self, sent: int, error: Exception) -> None:
        self._out -= 1
        if isinstance(error, ServiceFault) and error.code == StatusCodes.BadTooManyPublishRequests:
            if not self._out:
                self._lose(f"it takes no publish request: {error}")
            return
        if isinstance(error, WireError):
            # Whose changes were in it nobody knows, so nothing can be confirmed from here on.
            self._lose(f"what it reported could not be read: {error}")
        self._deliver.trouble(error, sent)
        over = isinstance(error, ConnectionError) or (
            isinstance(error, ServiceFault) and error.code in SESSION_OVER
        )
        if not over:
            self._send(())
