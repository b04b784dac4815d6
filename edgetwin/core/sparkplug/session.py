"""One session with the hosts: births first, then data in sequence, deaths when something ends.

    open(bdSeq) ─▶ NDEATH as last will ─▶ births: NBIRTH (seq 0), a DBIRTH per device
                ─▶ NDATA, DDATA, DDEATH, DBIRTH …: seq + 1 each, after 255 comes 0 ─▶ close

A rebirth is births again under the same bdSeq. Metrics in one message are in order of time.
"""

from collections.abc import Iterable, Mapping, Sequence

from edgetwin.core.reading import Scalar
from edgetwin.core.sparkplug.catalogue import Catalogue, quality
from edgetwin.core.sparkplug.metric import (
    BD_SEQ,
    NUMBERS,
    REBIRTH,
    DataType,
    Grade,
    Metric,
    Outgoing,
    Payload,
    Property,
    Verb,
)
from edgetwin.core.sparkplug.report import Change, Reporter

_LARGEST_MESSAGE = 500  # metrics: about 12 kB, so that one message never holds up the line


class Session:
    """What has been told in this connection, and what comes next.

    ``facts`` are metrics of the node beside its tags, by name.
    """

    def __init__(self, catalogue: Catalogue, facts: Sequence[str]) -> None:
        self.bd_seq = 0
        self.born = False
        self.alive: set[str] = set()
        self._catalogue = catalogue
        self._facts = {name: len(catalogue.entries) + n for n, name in enumerate(facts, 2)}
        self._seq = 0

    # ------------------------------------------------------------ births and deaths

    def open(self, bd_seq: int) -> None:
        """A new connection."""
        self.bd_seq = bd_seq
        self.close()

    def close(self) -> None:
        """The connection is gone, or is given up."""
        self.born = False
        self.alive.clear()

    def death(self, at: int) -> Outgoing:
        """The node's own death, for the last will and for good-bye: only bdSeq, no seq."""
        told = Metric(at, DataType.INT64, self.bd_seq, BD_SEQ, is_definition=True)
        return Outgoing(Verb.NDEATH, "", Payload(at, (told,)))

    def node_birth(self, reporter: Reporter, facts: Mapping[str, Scalar], at: int) -> Outgoing:
        """The first message of a birth sequence; those of the devices that are there follow."""
        self._seq = -1
        self.born = True
        self.alive.clear()
        reporter.redefined = False
        alias = len(self._catalogue.entries) + 1
        own = [
            Metric(at, DataType.INT64, self.bd_seq, BD_SEQ, alias, is_definition=True),
            # tck-id-operational-behavior-data-commands-rebirth-name-aliases: never an alias
            Metric(at, DataType.BOOLEAN, value=False, name=REBIRTH, is_definition=True),
            *self._told_facts(facts, at, is_definition=True),
        ]
        return self._born("", reporter, own, at)

    def device_birth(self, device: str, reporter: Reporter, at: int) -> Outgoing:
        """A device is there, with all it has."""
        self.alive.add(device)
        return self._born(device, reporter, [], at)

    def device_death(self, device: str, at: int) -> Outgoing:
        """A device is gone."""
        self.alive.discard(device)
        return Outgoing(Verb.DDEATH, device, Payload(at, (), self._next()))

    def _born(self, owner: str, reporter: Reporter, own: Iterable[Metric], at: int) -> Outgoing:
        tags = self._catalogue.owners.get(owner, ())
        told = [*own, *(self._definition(c, reporter) for c in reporter.tell(tags))]
        verb = Verb.DBIRTH if owner else Verb.NBIRTH
        return Outgoing(verb, owner, Payload(at, _in_order(told), self._next()))

    def _definition(self, change: Change, reporter: Reporter) -> Metric:
        entry = self._catalogue.entries[change.tag]
        return Metric(
            change.timestamp,
            reporter.types[change.tag],
            change.value,
            entry.name,
            entry.alias,
            is_definition=True,
            properties=(*entry.properties, *_quality(change)),
        )

    # ------------------------------------------------------------ data

    def values(
        self,
        changes: Iterable[Change],
        types: Sequence[DataType],
        at: int,
        *,
        is_historical: bool = False,
    ) -> tuple[Outgoing, ...]:
        """Changes as messages of their owners; those of devices that are not alive are left out."""
        owned: dict[str, list[Metric]] = {}
        for change in changes:
            entry = self._catalogue.entries[change.tag]
            if entry.owner and entry.owner not in self.alive:
                continue
            owned.setdefault(entry.owner, []).append(
                Metric(
                    change.timestamp,
                    types[change.tag],
                    change.value,
                    alias=entry.alias,
                    is_historical=is_historical,
                    properties=_quality(change),
                )
            )
        return tuple(
            self._data(owner, part, at)
            for owner, metrics in owned.items()
            for part in _parts(_in_order(metrics))
        )

    def news(self, facts: Mapping[str, Scalar], at: int) -> Outgoing:
        """Changed facts of the node."""
        return self._data("", self._told_facts(facts, at), at)

    def _told_facts(
        self, facts: Mapping[str, Scalar], at: int, *, is_definition: bool = False
    ) -> tuple[Metric, ...]:
        return tuple(
            Metric(
                at,
                DataType.STRING if isinstance(value, str) else DataType.INT64,
                value,
                name if is_definition else "",
                self._facts[name],
                is_definition,
            )
            for name, value in facts.items()
        )

    def _data(self, owner: str, metrics: tuple[Metric, ...], at: int) -> Outgoing:
        verb = Verb.DDATA if owner else Verb.NDATA
        return Outgoing(verb, owner, Payload(at, metrics, self._next()))

    def _next(self) -> int:
        self._seq = (self._seq + 1) % NUMBERS
        return self._seq


def _quality(change: Change) -> tuple[Property, ...]:
    return () if change.grade is Grade.GOOD else (quality(change.grade),)


def _in_order(metrics: Iterable[Metric]) -> tuple[Metric, ...]:
    return tuple(sorted(metrics, key=lambda metric: metric.timestamp))


def _parts(metrics: tuple[Metric, ...]) -> Iterable[tuple[Metric, ...]]:
    for start in range(0, len(metrics), _LARGEST_MESSAGE):
        yield metrics[start : start + _LARGEST_MESSAGE]
