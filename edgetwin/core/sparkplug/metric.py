"""What a Sparkplug message holds: metrics of a data type, below a verb and perhaps a device."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from edgetwin.core.reading import Scalar

NAMESPACE = "spBv1.0"
BD_SEQ = "bdSeq"
REBIRTH = "Node Control/Rebirth"
NUMBERS = 256
"""Sequence numbers and birth-death numbers run from 0 to 255, then from 0 again."""


class DataType(IntEnum):
    """The types that edgetwin's tags need, by their codes on the wire."""

    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12


BOUNDS = {
    DataType.INT16: (-(2**15), 2**15 - 1),
    DataType.INT32: (-(2**31), 2**31 - 1),
    DataType.INT64: (-(2**63), 2**63 - 1),
    DataType.UINT16: (0, 2**16 - 1),
    DataType.UINT32: (0, 2**32 - 1),
    DataType.UINT64: (0, 2**64 - 1),
}
"""The least and the greatest value of each whole type."""


class Grade(IntEnum):
    """The three quality codes that Sparkplug knows."""

    BAD = 0
    GOOD = 192
    STALE = 500


class Verb(StrEnum):
    """The message types: N for the edge node (the gateway), D for a device below it."""

    NBIRTH = "NBIRTH"
    NDATA = "NDATA"
    NDEATH = "NDEATH"
    NCMD = "NCMD"
    DBIRTH = "DBIRTH"
    DDATA = "DDATA"
    DDEATH = "DDEATH"
    DCMD = "DCMD"


@dataclass(frozen=True, slots=True)
class Property:
    """One custom fact about a metric, told in its birth."""

    key: str
    type: DataType
    value: Scalar


@dataclass(frozen=True, slots=True)
class Metric:
    """One value. ``timestamp`` is ms since 1970; ``value`` None is a null.

    ``name`` and ``alias`` are left out where empty or None; the type is on the wire only where
    ``is_definition`` says so (births, and bdSeq in a death).
    """

    timestamp: int
    type: DataType
    value: Scalar | None
    name: str = ""
    alias: int | None = None
    is_definition: bool = False
    is_historical: bool = False
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True)
class Payload:
    """What a message says. ``seq`` is None where the verb has none."""

    timestamp: int
    metrics: tuple[Metric, ...] = ()
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send; ``device`` is empty for the node's own."""

    verb: Verb
    device: str
    payload: Payload


def topic(group: str, verb: Verb, node: str, device: str = "") -> str:
    """``spBv1.0/group/verb/node``, and ``/device`` where there is one (tck-id-topic-structure)."""
    return "/".join(filter(None, (NAMESPACE, group, verb.value, node, device)))
