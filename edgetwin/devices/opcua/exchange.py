"""The seam below polling, subscriptions and writes: requests out, columns in.

Two classes fill it: ``lane.FastLane`` and ``stock.StockLane``. Both answer by callback, in the
event-loop turn in which the reply was understood, and never after ``close``. Each request ends
exactly once: with its answer, with the last part of it, or with ``Fail``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from edgetwin.devices.opcua.columns import Columns
from edgetwin.devices.opcua.status import words


class ServiceFault(Exception):
    """The server refused a whole request; ``code`` is its StatusCode."""

    def __init__(self, code: int) -> None:
        super().__init__(words(code))
        self.code = code


class Ack(NamedTuple):
    """One notification message that has arrived (OPC 10000-4 §5.14.5)."""

    subscription: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Notification:
    """One publish response.

    ``columns`` is None for a keep-alive; ``handles`` are the client handles of its rows; ``ended``
    is the StatusCode with which the server gave the subscription up (0: it lives). ``is_last``: it
    is all of the response, or the last part of a long one.
    """

    subscription: int
    sequence: int
    columns: Columns | None
    handles: NDArray[np.uint32]
    ended: int = 0
    is_last: bool = True

    def parts(self) -> Iterator["Notification"]:
        """As parts that are handed on within half a millisecond each."""
        if self.columns is None:
            yield self
            return
        for first, columns in self.columns.parts():
            end = first + len(columns.values)
            is_last = end == len(self.handles)
            yield replace(self, columns=columns, handles=self.handles[first:end], is_last=is_last)

    @property
    def acks(self) -> tuple[Ack, ...]:
        """What the next publish request has to acknowledge: keep-alives are not."""
        alive = self.columns is None and not self.ended
        return () if alive else (Ack(self.subscription, self.sequence),)


class Place(NamedTuple):
    """A node, and which part of its value is meant ("": all), as an index range."""

    node: ua.NodeId
    part: str = ""


Fail: TypeAlias = Callable[[Exception], None]
"""Takes TimeoutError, ConnectionError, ServiceFault or WireError."""

Take: TypeAlias = Callable[[Columns, int], None]
"""Takes columns and the place of their first: a long reply comes in parts, in order."""

Reader: TypeAlias = Callable[[Take, Fail], None]
"""A prepared read: call it to put it on the wire."""


class Setpoint(NamedTuple):
    """A value in the form the node takes; ``kind`` is its encoding byte, with ARRAY for a part."""

    place: Place
    kind: int
    value: float | int | bool | str


class ArraySetpoint(NamedTuple):
    """Several elements of an array, or all, as ``place`` says; ``kind`` is that of the array."""

    place: Place
    kind: int
    values: tuple[float | int | bool, ...]


class Call(NamedTuple):
    """A method of an object, and the one argument that it gets; ``kind`` as in ``Setpoint``."""

    owner: ua.NodeId
    method: ua.NodeId
    kind: int
    value: float | int | bool


class Lane(Protocol):
    """One way over an open session.

    ``heard`` is the monotonic ns of the last reply. ``most_items`` may be in one subscription: a
    server may well report all of them at once, though it is asked for ``most_told`` at most (0: as
    many as it likes).
    """

    heard: int
    most_items: int
    most_told: int

    @property
    def max_nodes(self) -> int:
        """How many nodes a read may have so that decoding it holds the loop for 1 ms at most."""

    def reader(self, places: Sequence[Place]) -> Reader:
        """Prepare a read of what lies there."""

    def write(
        self, setpoint: Setpoint | ArraySetpoint, take: Callable[[int], None], fail: Fail
    ) -> None:
        """Write to one node; ``take`` gets its StatusCode."""

    def call(self, call: Call, take: Callable[[int], None], fail: Fail) -> None:
        """Call a method; ``take`` gets its StatusCode."""

    def publish(
        self, acks: Sequence[Ack], take: Callable[[Notification], None], fail: Fail
    ) -> None:
        """Let the server send the next notification, whenever there is one."""

    def close(self) -> None:
        """Forget all that is open, without a word."""
