"""What is around the values in a reply: header, service result, and the notification messages."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgetwin.core.slices import Steps
from edgetwin.devices.opcua.columns import Columns
from edgetwin.devices.opcua.exchange import Notification, ServiceFault
from edgetwin.devices.opcua.skip import (
    WireError,
    count_at,
    extension_at,
    skip_diagnostic,
    skip_table,
    type_at,
)
from edgetwin.devices.opcua.wire import decode_notifications, decode_values

READ_REPLY, WRITE_REPLY, CALL_REPLY, PUBLISH_REPLY = 634, 676, 715, 829
FAULT, DATA_CHANGE, STATUS_CHANGE = 397, 811, 820
"""Numbers of the binary encodings in namespace 0 (OPC 10000-6 annex A)."""

MOST_PARTS = 100
MOST_NOTIFIED = 20_000
"""What one notification message may hold: 20,000 values of mixed types take 50 ms."""


def body_of(reply: bytes, kind: int) -> int:
    """Where the body of a response starts.

    Raises:
        ServiceFault: the server refused the request.
        WireError: the reply answers something else, or is damaged.
    """
    try:
        (result,) = struct.unpack_from("<I", reply, 16)
        if type_at(reply, 0) not in (kind, FAULT) or reply[0] != 1:
            raise WireError(f"a reply of type {type_at(reply, 0)} where {kind} was due")
        if result >> 30 > 1 or type_at(reply, 0) == FAULT:
            raise ServiceFault(result)
        at = skip_table(reply, skip_diagnostic(reply, 20))
        return extension_at(reply, at)[2]
    except (IndexError, struct.error) as error:
        raise WireError("the reply ends within its header") from error


def _count(reply: bytes, at: int) -> tuple[int, int]:
    try:
        return count_at(reply, at)
    except struct.error as error:
        raise WireError("the reply ends before its values") from error


def read_reply(reply: bytes, asked: int) -> Steps[Columns]:
    """A ReadResponse; as many values as were asked for, or a WireError."""
    given, at = _count(reply, body_of(reply, READ_REPLY))
    if given != asked:
        raise WireError(f"{given} values where {asked} were asked for")
    columns, _ = yield from decode_values(reply, at, given)
    return columns


def write_reply(reply: bytes) -> int:
    """The StatusCode in a WriteResponse to one value."""
    given, at = _count(reply, body_of(reply, WRITE_REPLY))
    if given != 1 or at + 4 > len(reply):
        raise WireError(f"{given} results where 1 value was written")
    return int.from_bytes(reply[at : at + 4], "little")


def call_reply(reply: bytes) -> int:
    """The StatusCode in a CallResponse to one call; what the method gives back is left unread."""
    given, at = _count(reply, body_of(reply, CALL_REPLY))
    if given != 1 or at + 4 > len(reply):
        raise WireError(f"{given} results where 1 method was called")
    return int.from_bytes(reply[at : at + 4], "little")


def publish_reply(reply: bytes) -> Steps[Notification]:
    """A PublishResponse: subscription, available numbers, more?, and one NotificationMessage."""
    at = body_of(reply, PUBLISH_REPLY)
    try:
        (subscription,) = struct.unpack_from("<I", reply, at)
        available, at = count_at(reply, at + 4)
        at += 4 * available + 1
        (sequence,) = struct.unpack_from("<I", reply, at)
        parts, at = count_at(reply, at + 12)
        none = np.zeros(0, np.uint32)
        if not parts:
            return Notification(subscription, sequence, None, none)
        changes: list[tuple[Columns, Any]] = []
        total = 0
        _within(parts, MOST_PARTS, "parts")
        for _ in range(parts):
            kind, start, at = extension_at(reply, at)
            if kind == DATA_CHANGE:
                n, first = count_at(reply, start)
                total += n
                _within(total, MOST_NOTIFIED, "values")
                changes.append((yield from decode_notifications(reply[first:at], 0, n)))
            elif kind == STATUS_CHANGE:
                (ended,) = struct.unpack_from("<I", reply, start)
                return Notification(subscription, sequence, None, none, ended)
    except (IndexError, struct.error) as error:
        raise WireError("the notification ends too soon") from error
    columns, handles = merge(changes)
    return Notification(subscription, sequence, columns, handles)


def _within(n: int, most: int, what: str) -> None:
    if n > most:
        raise WireError(f"a notification of {n} {what}; {most} are allowed")


def merge(changes: Sequence[tuple[Columns, Any]]) -> tuple[Columns, Any]:
    """Several data changes of one message as one; nearly always it is one."""
    if len(changes) == 1:
        return changes[0]
    whole = Columns.empty(0)
    for columns, _ in changes:
        n = len(whole.values)
        objects = whole.objects + [(n + place, value) for place, value in columns.objects]
        whole = Columns(
            np.concatenate((whole.values, columns.values)),
            np.concatenate((whole.status, columns.status)),
            np.concatenate((whole.ticks, columns.ticks)),
            np.concatenate((whole.types, columns.types)),
            objects,
        )
    handles = [handles for _, handles in changes]
    return whole, np.concatenate(handles) if handles else np.zeros(0, np.uint32)
