"""The stock lane: the same seam over asyncua's own services. Slow; the fast lane's yardstick."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.client.ua_client import UaClient

from edgetwin.core.reading import Instant
from edgetwin.devices.opcua.bounds import Refused
from edgetwin.devices.opcua.columns import (
    ARRAY,
    DATETIME,
    LOCALIZED_TEXT,
    MOST_ELEMENTS,
    STATUS_CODE,
    STRING,
    Array,
    Columns,
)
from edgetwin.devices.opcua.exchange import (
    Ack,
    ArraySetpoint,
    Call,
    Fail,
    Notification,
    Place,
    Reader,
    ServiceFault,
    Setpoint,
    Take,
)
from edgetwin.devices.opcua.keeping import keep
from edgetwin.devices.opcua.skip import WireError
from edgetwin.devices.opcua.stack import AttributeIds, UaStatusCodeError
from edgetwin.devices.opcua.texts import READERS, told

_START = datetime(1601, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KNOWN = frozenset({*range(1, STRING), DATETIME, STATUS_CODE, *READERS})


class StockLane:
    """Requests through asyncua; each is a task, ended by its reply, its deadline or ``close``."""

    max_nodes = 100  # asyncua decodes at about 10 µs a value: 1 ms
    most_items = 200  # a message of so many values takes it 2000 steps, see ``bounds``
    most_told = 50  # at 10 to 20 µs each: a millisecond

    def __init__(self, client: UaClient, timeout_s: float, now: Callable[[], Instant]) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._now = now
        self._tasks: set[asyncio.Task[None]] = set()
        self.heard = now().mono

    def reader(self, places: Sequence[Place]) -> Reader:
        """Prepare a read of what lies there."""
        asked = parameters(places)

        def read(take: Take, fail: Fail) -> None:
            def values(results: list[ua.DataValue]) -> None:
                take(columns_of(results, len(places)), 0)

            self._start(partial(self._client.read, asked), values, fail)

        return read

    def write(
        self, setpoint: Setpoint | ArraySetpoint, take: Callable[[int], None], fail: Fail
    ) -> None:
        """Write to one node, without timestamps."""
        node, part = setpoint.place
        value = ua.DataValue(_variant(setpoint), StatusCode=None)
        item = ua.WriteValue(node, AttributeIds.Value, part or None, value)
        call = partial(self._client.write, ua.WriteParameters([item]))
        self._start(call, lambda codes: take(codes[0].value), fail)

    def call(self, call: Call, take: Callable[[int], None], fail: Fail) -> None:
        """Call a method with one argument."""
        value = ua.Variant(call.value, ua.VariantType(call.kind))
        asked = ua.CallMethodRequest(call.owner, call.method, [value])
        made = partial(self._client.call, [asked])
        self._start(made, lambda results: take(results[0].StatusCode.value), fail)

    def publish(
        self, acks: Sequence[Ack], take: Callable[[Notification], None], fail: Fail
    ) -> None:
        """Let the server send the next notification."""
        given = [ua.SubscriptionAcknowledgement(*ack) for ack in acks]
        call = partial(self._client.publish, given)
        self._start(call, lambda reply: take(notification_of(reply)), fail, waits=True)

    def close(self) -> None:
        """Forget all that is open, without a word."""
        for task in self._tasks:
            task.cancel()

    def _start(
        self,
        call: Callable[[], Coroutine[Any, Any, Any]],
        take: Callable[[Any], None],
        fail: Fail,
        *,
        waits: bool = False,
    ) -> None:
        task = asyncio.create_task(self._run(call, take, fail, waits=waits), name="opcua request")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(
        self,
        call: Callable[[], Coroutine[Any, Any, Any]],
        take: Callable[[Any], None],
        fail: Fail,
        *,
        waits: bool,
    ) -> None:
        try:
            async with asyncio.timeout(None if waits else self._timeout_s):
                reply = await call()
            self.heard = self._now().mono
            take(reply)
        except UaStatusCodeError as error:
            fail(ServiceFault(error.code))
        except (TimeoutError, ConnectionError, WireError, Refused) as error:
            fail(error)
        except Exception as error:  # noqa: BLE001 (asyncua's decoder raises whatever the bytes provoke)
            cause = error.__cause__ or error
            fail(WireError(str(cause) if isinstance(cause, WireError) else repr(cause)))


def parameters(places: Sequence[Place]) -> ua.ReadParameters:
    """A read of values with their source timestamps, fresh from the source."""
    asked = ua.ReadParameters(MaxAge=0, TimestampsToReturn=ua.TimestampsToReturn.Source)
    asked.NodesToRead = [
        ua.ReadValueId(node, AttributeIds.Value, part or None) for node, part in places
    ]
    return asked


def columns_of(results: Sequence[ua.DataValue], asked: int) -> Columns:
    """What asyncua decoded, as columns."""
    if len(results) != asked:
        raise WireError(f"{len(results)} values where {asked} were asked for")
    columns = Columns.empty(asked)
    for place, result in enumerate(results):
        if result.StatusCode is not None:
            columns.status[place] = result.StatusCode.value
        if result.SourceTimestamp is not None:
            columns.ticks[place] = ticks_of(result.SourceTimestamp)
        variant = result.Value
        if variant is None:
            continue
        kind = int(variant.VariantType.value)
        columns.types[place] = kind | ARRAY * bool(variant.is_array)
        value, alone = only(variant.Value)
        if alone:
            _keep(columns, place, kind, value)
        if isinstance(variant.Value, list) and kind in _KNOWN:
            _keep_array(columns, place, kind, variant.Value)
    return columns


def only(value: Any) -> tuple[Any, bool]:  # noqa: ANN401 (by type)
    """What an array or matrix holds if it is one value alone, and whether it is."""
    while isinstance(value, list):
        if len(value) != 1:
            return None, False
        value = value[0]
    return value, True


def _keep(columns: Columns, place: int, kind: int, value: Any) -> None:  # noqa: ANN401 (by type)
    if value is None:
        return
    if kind in READERS:
        if (text := told(kind, value)) is not None:
            columns.objects.append((place, text))
    elif kind == DATETIME:
        keep(columns, place, kind, ticks_of(value))
    elif kind == STATUS_CODE:
        keep(columns, place, kind, value.value)
    elif kind < STRING:
        keep(columns, place, kind, value)


def _keep_array(columns: Columns, place: int, kind: int, values: list[Any]) -> None:
    """The first elements, as they are on the wire; nothing of a matrix."""
    if values and not isinstance(values[0], list):
        first = tuple(_plain(kind, value) for value in values[:MOST_ELEMENTS])
        columns.objects.append((place, Array(kind, len(values), first)))


def _plain(kind: int, value: Any) -> Any:  # noqa: ANN401 (by type)
    if kind in READERS:
        return told(kind, value)
    return ticks_of(value) if kind == DATETIME else value.value if kind == STATUS_CODE else value


def ticks_of(when: datetime) -> int:
    """A datetime as asyncua gives it (UTC, with or without saying so) in 100 ns since 1601."""
    return (when.replace(tzinfo=UTC) - _START) // _MICROSECOND * 10


def notification_of(reply: ua.PublishResponse) -> Notification:
    """What asyncua decoded of one publish response."""
    result = reply.Parameters
    message = result.NotificationMessage
    items: list[ua.MonitoredItemNotification] = []
    ended = 0
    for part in message.NotificationData or ():
        if isinstance(part, ua.DataChangeNotification):
            items += part.MonitoredItems
        elif isinstance(part, ua.StatusChangeNotification):
            ended = part.Status.value
    handles = np.array([item.ClientHandle for item in items], np.uint32)
    columns = columns_of([item.Value for item in items], len(items)) if items else None
    return Notification(result.SubscriptionId, message.SequenceNumber, columns, handles, ended)


def _variant(setpoint: Setpoint | ArraySetpoint) -> ua.Variant:
    kind = ua.VariantType(setpoint.kind & 0x3F)
    if isinstance(setpoint, ArraySetpoint):
        return ua.Variant(list(setpoint.values), kind, is_array=True)
    if setpoint.kind == LOCALIZED_TEXT:
        return ua.Variant(ua.LocalizedText(str(setpoint.value)), kind)
    if not setpoint.kind & ARRAY:
        return ua.Variant(setpoint.value, kind)
    sides = setpoint.place.part.count(",") + 1
    matrix = [ua.Int32(1)] * sides if sides > 1 else None
    return ua.Variant([setpoint.value], kind, Dimensions=matrix, is_array=True)
