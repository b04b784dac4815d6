"""An array written as one value: one write, one read-back, an answer for each element.

A server that writes parts of an array is given the range of our elements, and leaves the rest as it
is. One that does not would take them for the whole array: it is read first, and written only if it
has exactly our elements.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from edgetwin.core.reading import WriteOutcome, WriteRequest
from edgetwin.devices.opcua.columns import Array, Columns
from edgetwin.devices.opcua.exchange import ArraySetpoint, Lane, Place
from edgetwin.devices.opcua.polling import Delivery
from edgetwin.devices.opcua.status import quality_of, words
from edgetwin.devices.opcua.survey import Node

Value: TypeAlias = float | int | bool
Answer: TypeAlias = Callable[[WriteRequest, WriteOutcome, str, float], None]

_NOT_READ = float("nan")


class ArrayWrite:
    """The elements of one array on their way to a server. ``begin`` it once."""

    def __init__(
        self,
        lane: Lane,
        deliver: Delivery,
        node: Node,
        wanted: Sequence[tuple[WriteRequest, Value]],
        answer: Answer,
        fail: Callable[[WriteRequest, int, Exception], None],
    ) -> None:
        """``wanted`` are all elements from the first, each as the node's type holds it."""
        self._lane = lane
        self._deliver = deliver
        self._whole = Place(node.place.node)
        self._kind = node.kind
        self._requests = tuple(request for request, _ in wanted)
        self._values = tuple(value for _, value in wanted)
        self._answer_one = answer
        self._fail_one = fail

    def begin(self, *, parts: bool) -> None:
        """Write; ``parts``: the server writes parts of an array."""
        if parts:
            last = len(self._values) - 1
            self._send(Place(self._whole.node, f"0:{last}" if last else "0"))
        else:
            self._read(self._measured)

    # ------------------------------------------------------------

    def _read(self, take: Callable[[Columns, int], None]) -> None:
        self._deliver.counters.requests += 1
        self._lane.reader([self._whole])(take, partial(self._fail, self._deliver.mark()))

    def _measured(self, columns: Columns, _: int) -> None:
        array, own = _array(columns), len(self._values)
        if array is None or array.length != own:
            shown = f"has {array.length} elements" if array else f"is {_words(columns)}"
            text = (
                f"the server writes this array only as a whole; it {shown}, and the "
                f"configuration says elements: {own}. No element was written"
            )
            self._answer(WriteOutcome.REFUSED, text)
        elif self._requests[0].expires < self._deliver.mark():
            self._answer(WriteOutcome.EXPIRED, "its time was over when the array had been measured")
        else:
            self._send(self._whole)

    def _send(self, place: Place) -> None:
        self._deliver.counters.requests += 1
        setpoint = ArraySetpoint(place, self._kind, self._values)
        self._lane.write(setpoint, self._taken, partial(self._fail, self._deliver.mark()))

    def _taken(self, status: int) -> None:
        limits = self._deliver.batches.tags[self._requests[0].tag].write
        if status >> 30 > 1:
            self._answer(WriteOutcome.REFUSED, words(status))
        elif limits is not None and not limits.read_back:
            self._answer(WriteOutcome.WRITTEN, "")
        else:
            self._read(self._compare)

    def _compare(self, columns: Columns, _: int) -> None:
        array = _array(columns)
        if array is None or len(array.values) < len(self._values):
            shown = f"{len(array.values)} elements" if array else _words(columns)
            self._answer(WriteOutcome.NOT_VERIFIED, f"read back as {shown}")
            return
        for request, sent, held in zip(self._requests, self._values, array.values, strict=False):
            self._judge(request, float(sent), float(held))

    def _judge(self, request: WriteRequest, sent: float, held: float) -> None:
        scaled = self._deliver.batches.scaled
        wanted, seen = scaled(request.tag, sent), scaled(request.tag, held)
        limits = self._deliver.batches.tags[request.tag].write
        slack = (limits.tolerance if limits else 0.0) + 1e-9 * max(1.0, abs(wanted))
        if abs(seen - wanted) <= slack:
            self._answer_one(request, WriteOutcome.WRITTEN, "", seen)
        else:
            text = f"the device took {wanted:.10g} and now holds {seen:.10g}"
            self._answer_one(request, WriteOutcome.NOT_VERIFIED, text, seen)

    def _answer(self, outcome: WriteOutcome, detail: str) -> None:
        for request in self._requests:
            self._answer_one(request, outcome, detail, _NOT_READ)

    def _fail(self, sent: int, error: Exception) -> None:
        for request in self._requests:
            self._fail_one(request, sent, error)


def _array(columns: Columns) -> Array | None:
    """The array that was read, unless it is bad or none."""
    held = next((value for _, value in columns.objects), None)
    is_bad = quality_of(int(columns.status[0])).is_bad
    return held if isinstance(held, Array) and not is_bad else None


def _words(columns: Columns) -> str:
    """What was read in its place."""
    code = int(columns.status[0])
    return quality_of(code).words if quality_of(code).is_bad else "no array of numbers"
