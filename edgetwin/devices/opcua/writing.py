"""Setpoints: encode as the node wants it, write, read back, compare, answer.

Each write leaves in the event-loop turn in which it is asked for; the read-back leaves in the turn
in which the server took it. Every request gets exactly one result.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from edgetwin.core.quality import Quality
from edgetwin.core.reading import WriteOutcome, WriteRequest, WriteResult
from edgetwin.core.tags import WriteLimits
from edgetwin.devices.opcua.array_writing import ArrayWrite
from edgetwin.devices.opcua.columns import (
    ALONE,
    ARRAY,
    BOOLEAN,
    LOCALIZED_TEXT,
    STRING,
    TYPE_NAMES,
    Columns,
)
from edgetwin.devices.opcua.exchange import Call, Lane, ServiceFault, Setpoint
from edgetwin.devices.opcua.methods import Method
from edgetwin.devices.opcua.polling import Delivery
from edgetwin.devices.opcua.status import words
from edgetwin.devices.opcua.survey import Node

MOST_OPEN = 100
"""More writes than this are not taken in: the rest is answered NO_COMMUNICATION."""

_FLOAT, _DOUBLE = 10, 11
_INTEGERS = {2: (-7, 7), 3: (0, 8), 4: (-15, 15), 5: (0, 16), 6: (-31, 31), 7: (0, 32)}
_INTEGERS |= {8: (-63, 63), 9: (0, 64)}
"""Built-in type → bits below and above zero."""


class Unfit(ValueError):
    """The value is none that the node's type can hold; the message says why."""


def fit(kind: int, raw: float) -> float | int | bool:
    """A number as a built-in type holds it.

    Raises:
        Unfit: it can not.
    """
    if not math.isfinite(raw):
        raise Unfit(f"{raw} is no number that can be written")
    if kind == _DOUBLE:
        return raw
    if kind == _FLOAT:
        try:
            return float(struct.unpack("<f", struct.pack("<f", raw))[0])
        except OverflowError:
            raise Unfit(f"{raw:g} is too large for a Float") from None
    if kind == BOOLEAN:
        if raw not in (0, 1):
            raise Unfit(f"{raw:g} is neither 0 nor 1, and the node holds a Boolean")
        return raw == 1
    return _fit_integer(kind, raw)


def fit_text(kind: int) -> int:
    """The built-in type of a node that takes a text.

    Raises:
        Unfit: it takes none.
    """
    if kind in {STRING, LOCALIZED_TEXT}:
        return kind
    name = TYPE_NAMES[kind & 0x3F] if kind & 0x3F < len(TYPE_NAMES) else str(kind)
    what = f"an array of {name}" if kind & ARRAY else f"a {name}"
    raise Unfit(f"the node holds {what}, and a text is to be written")


def _fit_integer(kind: int, raw: float) -> int:
    name = TYPE_NAMES[kind & 0x3F] if kind & 0x3F < len(TYPE_NAMES) else str(kind)
    if kind not in _INTEGERS:
        what = f"an array of {name}" if kind & ARRAY else f"a {name}"
        raise Unfit(f"the node holds {what}, and only numbers and Booleans are written")
    below, above = _INTEGERS[kind]
    whole = round(raw)
    if abs(raw - whole) > 1e-9:
        raise Unfit(f"{raw:g} is no whole number, and the node holds a {name}")
    if not -(1 << -below if below else 0) <= whole < 1 << above:
        raise Unfit(f"{raw:g} does not fit a {name}")
    return whole


def _alone(node: Node) -> int:
    """The type of one element.

    Raises:
        Unfit: the server does not tell it, or it is no array.
    """
    if not node.kind & ARRAY:
        raise Unfit("the server does not show an array, whose type would be known")
    return node.kind & ~ARRAY


class Writer:
    """The open writes of one connection."""

    def __init__(
        self,
        lane: Lane,
        nodes: Mapping[int, Node],
        methods: Mapping[int, Method],
        deliver: Delivery,
        arrays: Mapping[int, Node] | None = None,
    ) -> None:
        """``methods`` by tag: these are called in place of a write to the node.

        ``arrays`` are whole ones, by their first tag.
        """
        self._lane = lane
        self._nodes = nodes
        self._methods = methods
        self._tags = deliver.batches.tags
        self._deliver = deliver
        self._arrays = arrays or {}
        self._open: dict[int, WriteRequest] = {}
        self._closed = False

    def start(self, request: WriteRequest) -> None:
        """Put a write on the wire."""
        if request.expires < self._deliver.mark():
            self._answer(request, WriteOutcome.EXPIRED, "its time was over before it could be sent")
        elif self._closed or len(self._open) >= MOST_OPEN or request.number in self._open:
            self._answer(request, WriteOutcome.NO_COMMUNICATION, "it was not sent")
        else:
            self._send(request)

    def start_array(self, requests: Sequence[WriteRequest]) -> None:
        """Put the elements of an array on the wire, with one write."""
        first = requests[0]
        array = self._deliver.batches.arrays.of(first.tag)
        if [request.tag for request in requests] != list(array) or first.tag not in self._arrays:
            for request in requests:
                self.start(request)
        elif first.expires < self._deliver.mark():
            text = "its time was over before it could be sent"
            self._answer_all(requests, WriteOutcome.EXPIRED, text)
        elif self._closed or len(self._open) + len(requests) > MOST_OPEN:
            self._answer_all(requests, WriteOutcome.NO_COMMUNICATION, "it was not sent")
        else:
            self._send_array(self._arrays[first.tag], requests)

    def _send_array(self, node: Node, requests: Sequence[WriteRequest]) -> None:
        wanted = []
        for request in requests:
            raw = self._deliver.batches.raw(request.tag, request.value)
            try:
                wanted.append((request, fit(_alone(node), raw)))
            except Unfit as error:
                text = f"{self._tags[request.tag].name}: {error}. No element was written"
                self._answer_all(requests, WriteOutcome.REFUSED, text)
                return
        self._open |= {request.number: request for request in requests}
        write = ArrayWrite(self._lane, self._deliver, node, wanted, self._answer, self._fail)
        write.begin(parts=requests[0].tag in self._nodes)

    def _answer_all(
        self, requests: Sequence[WriteRequest], outcome: WriteOutcome, detail: str
    ) -> None:
        for request in requests:
            self._answer(request, outcome, detail)

    def close(self) -> None:
        """Answer all that is open; take no more."""
        self._closed = True
        text = "the connection ended first: the device may or may not have taken it"
        for request in list(self._open.values()):
            self._answer(request, WriteOutcome.NO_COMMUNICATION, text)

    def _send(self, request: WriteRequest) -> None:
        try:
            order = self._order(request)
        except Unfit as error:
            self._answer(request, WriteOutcome.REFUSED, str(error))
            return
        self._open[request.number] = request
        self._deliver.counters.requests += 1
        sent = request.value if isinstance(order.value, str) else order.value
        taken = partial(self._taken, request, sent)
        fail = partial(self._fail, request, self._deliver.mark())
        if isinstance(order, Call):
            self._lane.call(order, taken, fail)
        else:
            self._lane.write(order, taken, fail)

    def _order(self, request: WriteRequest) -> Setpoint | Call:
        """What goes on the wire.

        Raises:
            Unfit: nothing can.
        """
        node, method = self._nodes.get(request.tag), self._methods.get(request.tag)
        raw = self._deliver.batches.raw(request.tag, request.value)
        if method is not None:
            return Call(method.owner, method.method, method.kind, fit(method.kind, raw))
        if self._tags[request.tag].method is not None:
            raise Unfit("the server does not have the method, or it takes no number")
        if node is None or not node.kind:
            raise Unfit("the server does not have the node, or does not tell its type")
        limits = self._tags[request.tag].write
        if limits is not None and limits.texts:
            return Setpoint(node.place, fit_text(node.kind), limits.text_of(request.value))
        alone = node.kind & ~ARRAY if node.place.part else node.kind
        return Setpoint(node.place, node.kind, fit(alone, raw))

    def _taken(self, request: WriteRequest, value: float, status: int) -> None:
        if status >> 30 > 1:
            self._answer(request, WriteOutcome.REFUSED, words(status))
            return
        limits = self._tags[request.tag].write
        if limits is not None and not limits.read_back:
            self._answer(request, WriteOutcome.WRITTEN, "")
            return
        self._deliver.counters.requests += 1
        sent = self._deliver.mark()
        node = self._nodes.get(request.tag)
        if node is None:
            text = "it can not be read back: the server does not have the node"
            self._answer(request, WriteOutcome.NOT_VERIFIED, text)
            return
        self._lane.reader([node.place])(
            partial(self._compare, request, float(value)), partial(self._fail, request, sent)
        )

    def _compare(self, request: WriteRequest, sent: float, columns: Columns, _: int) -> None:
        scaled = self._deliver.batches.scaled
        seen, wanted = scaled(request.tag, float(columns.values[0])), scaled(request.tag, sent)
        limits = self._tags[request.tag].write
        slack = (limits.tolerance if limits else 0.0) + 1e-9 * max(1.0, abs(wanted))
        if self._nodes[request.tag].place.part:
            columns.types &= ~ALONE
        quality = Quality(int(columns.quality[0]))
        if quality.is_bad:
            text = f"read back as {quality.words}"
            self._answer(request, WriteOutcome.NOT_VERIFIED, text)
        elif limits is not None and limits.texts:
            self._compare_text(request, limits, columns)
        elif abs(seen - wanted) <= slack:
            self._answer(request, WriteOutcome.WRITTEN, "", seen)
        else:
            text = f"the device took {wanted:.10g} and now holds {seen:.10g}"
            self._answer(request, WriteOutcome.NOT_VERIFIED, text, seen)

    def _compare_text(self, request: WriteRequest, limits: WriteLimits, columns: Columns) -> None:
        held = next((value for _, value in columns.objects), "")
        wanted, number = limits.text_of(request.value), limits.number_of(held)
        if held == wanted:
            self._answer(request, WriteOutcome.WRITTEN, "", number)
        else:
            text = f"the device took {wanted!r} and now holds {held!r}"
            self._answer(request, WriteOutcome.NOT_VERIFIED, text, number)

    def _fail(self, request: WriteRequest, sent: int, error: Exception) -> None:
        if isinstance(error, ServiceFault):
            self._answer(request, WriteOutcome.REFUSED, str(error))
        else:
            why = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            text = f"{why}: the device may or may not have taken it"
            self._answer(request, WriteOutcome.NO_COMMUNICATION, text)
        self._deliver.trouble(error, sent)

    def _answer(
        self,
        request: WriteRequest,
        outcome: WriteOutcome,
        detail: str,
        seen: float = np.nan,
    ) -> None:
        self._open.pop(request.number, None)
        result = WriteResult(request.number, request.tag, outcome, seen, detail)
        self._deliver.sink.written(result)
