"""A scan group that is asked: prepared reads of at most so many nodes, ordered by type."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.quality import Quality
from edgetwin.core.reading import Indices
from edgetwin.devices.driver import Sink
from edgetwin.devices.opcua.batches import Batches, as_indices, bad
from edgetwin.devices.opcua.columns import Columns
from edgetwin.devices.opcua.counters import Counters
from edgetwin.devices.opcua.exchange import Lane, Reader, ServiceFault
from edgetwin.devices.opcua.parts import slices
from edgetwin.devices.opcua.skip import WireError
from edgetwin.devices.opcua.stack import StatusCodes
from edgetwin.devices.opcua.status import quality_of
from edgetwin.devices.opcua.survey import Node


class PolledGroup:
    """One scan group. ``nodes`` can be read; ``missing`` tags have no node yet."""

    def __init__(
        self,
        lane: Lane,
        nodes: Sequence[Node],
        missing: Iterable[int],
        most: int,
        deliver: "Delivery",
    ) -> None:
        self.tags = frozenset(missing) | {node.tag for node in nodes}
        self._lane = lane
        self._most = min(most, lane.max_nodes)
        self._nodes: dict[int, Node] = {}
        self._reads: list[Read] = []
        self._missing = np.array(sorted(missing), np.intp)
        self._deliver = deliver
        self._out = 0
        self._prepare(nodes)

    async def add(self, nodes: Sequence[Node]) -> dict[int, str]:
        """Read these nodes too, or in place of those that their tags had. Nothing is refused."""
        self._prepare(nodes)
        return {}

    def _prepare(self, nodes: Sequence[Node]) -> None:
        self._nodes |= {node.tag: node for node in nodes}
        there = self._deliver.batches.arrays.all_of(self._nodes)
        self._missing = np.setdiff1d(self._missing, there).astype(np.intp)
        ordered = sorted(self._nodes.values(), key=lambda node: (node.kind, node.tag))
        self._reads = [self._read(part) for part in slices(ordered, self._most)]

    def _read(self, nodes: Sequence[Node]) -> "Read":
        tags = [node.tag for node in nodes]
        send = self._lane.reader([node.place for node in nodes])
        spreads = any(map(self._deliver.batches.arrays.holds, tags))
        return Read(np.array(tags, np.intp), send, spreads=spreads)

    def start(self) -> bool:
        """Put all reads of the group on the wire, unless some of the last scan are still out."""
        if self._out:
            self._deliver.counters.overruns += 1
            return False
        if len(self._missing):
            self._deliver.sink.readings(bad(self._missing, Quality.CONFIG_ERROR))
        self._out = len(self._reads)
        for read in self._reads:
            self._ask(read)
        return True

    def _ask(self, read: "Read") -> None:
        self._deliver.counters.requests += 1
        sent = self._deliver.mark()
        read.send(partial(self._take, read), partial(self._fail, read, sent))

    def _take(self, read: "Read", columns: Columns, first: int) -> None:
        n = len(columns.values)
        self._out -= first + n == len(read.tags)
        if n == len(read.tags) and not read.spreads:
            self._deliver.give(read.tags, columns, read.indices)
        else:
            tags = read.tags[first : first + n]
            self._deliver.give(*self._deliver.batches.arrays.spread(tags, columns))

    def _fail(self, read: "Read", sent: int, error: Exception) -> None:
        self._out -= 1
        tags = read.tags
        if read.spreads:
            tags = np.array(self._deliver.batches.arrays.all_of(tags.tolist()), np.intp)
        self._deliver.sink.readings(bad(tags, blame(error)))
        self._deliver.trouble(error, sent)


class Read:
    """One prepared request: its tags in the order of its nodes. ``spreads``: some are arrays."""

    def __init__(self, tags: NDArray[np.intp], send: Reader, *, spreads: bool = False) -> None:
        self.tags = tags
        self.spreads = spreads
        self.indices = as_indices(tags)
        self.send = send


class Delivery:
    """What scan groups need to know of the rest: where readings go, and whom to tell of trouble.

    ``mark`` is the monotonic now; ``trouble`` takes an error and when its request was sent.
    ``gone`` collects the tags whose nodes the server does not know any more.
    """

    def __init__(
        self,
        sink: Sink,
        batches: Batches,
        counters: Counters,
        mark: Callable[[], int],
        trouble: Callable[[Exception, int], None],
    ) -> None:
        self.sink = sink
        self.batches = batches
        self.counters = counters
        self.mark = mark
        self.trouble = trouble
        self.gone: set[int] = set()

    def give(
        self, tags: NDArray[np.intp], columns: Columns, indices: Indices | None = None
    ) -> None:
        """Hand readings on; ``indices`` if ``as_indices(tags)`` is known."""
        batch = self.batches.of(tags, columns, indices)
        self.sink.readings(batch)
        if not isinstance(batch.quality, int):
            self.gone.update(tags[columns.status == StatusCodes.BadNodeIdUnknown].tolist())


def blame(error: Exception) -> Quality:
    """What a failed request says about the tags in it."""
    if isinstance(error, ServiceFault):
        quality = quality_of(error.code)
        return quality if quality.is_bad else Quality.BAD
    return Quality.DEVICE_FAULT if isinstance(error, WireError) else Quality.NO_COMMUNICATION
