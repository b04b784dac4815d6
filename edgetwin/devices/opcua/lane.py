"""The fast lane: cached requests and numpy decoding over asyncua's channel.

Theory of operation. Encoding the same read request again costs asyncua about as much as decoding
its reply, 10 to 19 µs per value together. So asyncua keeps what is hard (channel, keys, chunks,
session), and the lane keeps what is hot:

    body (cached) ─▶ header + body ─▶ channel.message_to_binary ─▶ socket
    socket ─▶ channel ─▶ callback map ─▶ Pending.set_result ─▶ wire.decode ─▶ take(columns)

``Pending`` stands where asyncua keeps a future, so the reply is decoded inside ``data_received``:
no task, no switch; a long one in slices (``slicing``). Three private names of asyncua's socket
protocol are used, all in ``_send``; ``FastLane.fits`` looks for them, and ``choice`` compares a
first read with asyncua's own decoder before the lane is trusted.
"""

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import Any

from asyncua import ua
from asyncua.client.ua_client import UaClient
from asyncua.ua.ua_binary import nodeid_to_binary

from edgetwin.core.reading import Instant
from edgetwin.core.slices import Steps
from edgetwin.devices.opcua.bounds import Refused
from edgetwin.devices.opcua.columns import ARRAY, DIMENSIONS, EPOCH, LOCALIZED_TEXT, Columns
from edgetwin.devices.opcua.exchange import (
    Ack,
    ArraySetpoint,
    Call,
    Fail,
    Notification,
    Place,
    Reader,
    Setpoint,
    Take,
)
from edgetwin.devices.opcua.replies import (
    MOST_NOTIFIED,
    call_reply,
    publish_reply,
    read_reply,
    write_reply,
)
from edgetwin.devices.opcua.slicing import Slicer

READ, WRITE, CALL, PUBLISH = 631, 673, 712, 826
"""Numbers of the requests' binary encodings in namespace 0 (OPC 10000-6 annex A)."""

_VALUE_ATTRIBUTE = 13
_SOURCE_TIMESTAMPS = 0
_DEFAULT_ENCODING = struct.pack("<Hi", 0, -1)
MOST_OPEN = 1000
"""Requests that a server has left without an answer while it answered others: it is of no use."""
_FORMATS = dict(enumerate(("?", "b", "B", "h", "H", "i", "I", "q", "Q", "f", "d"), start=1))


class Pending:
    """One request on its way. To asyncua it is a future; to us, what to do with the reply."""

    __slots__ = ("_done", "_fail", "_take", "_timer")

    def __init__(self, take: Callable[[bytes], None], fail: Fail) -> None:
        self._take = take
        self._fail = fail
        self._done = False
        self._timer: asyncio.TimerHandle | None = None

    def expire_in(self, timeout_s: float) -> None:
        """Fail with TimeoutError unless answered by then."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(timeout_s, self.set_exception, TimeoutError())

    def done(self) -> bool:
        """Whether it was answered, given up or dropped."""
        return self._done

    def set_result(self, body: object) -> None:
        """The reply; too late a one is dropped."""
        if not self._end():
            return
        try:
            self._take(bytes(body))  # type: ignore[call-overload]  # asyncua's Buffer has __bytes__
        except Exception as error:  # noqa: BLE001 (asyncua would cut the connection without a word)
            self._fail(error)

    def set_exception(self, error: Exception) -> None:
        """There will be no reply."""
        if self._end():
            self._fail(error)

    def drop(self) -> None:
        """Nobody waits any more."""
        self._end()

    def _end(self) -> bool:
        was, self._done = self._done, True
        if self._timer:
            self._timer.cancel()
        return not was


class FastLane:
    """Requests in bytes over the open session of an asyncua client."""

    max_nodes = 4000
    most_items = MOST_NOTIFIED
    most_told = 0

    def __init__(self, client: UaClient, timeout_s: float, now: Callable[[], Instant]) -> None:
        self._protocol: Any = client.protocol
        self._timeout_s = timeout_s
        self._now = now
        self._token = nodeid_to_binary(client.session.authentication_token)
        self._handle = 0
        self._open: set[Pending] = set()
        self._slicer = Slicer()
        self.heard = now().mono

    @staticmethod
    def fits(client: UaClient) -> bool:
        """Whether this asyncua has the inner parts that the lane needs."""
        protocol = client.protocol
        needed = ("_connection", "_callbackmap", "_request_id", "revolve_security_token")
        return all(hasattr(protocol, name) for name in needed)

    def reader(self, places: Sequence[Place]) -> Reader:
        """Prepare a read of what lies there: its body is encoded once, here."""
        n, body = len(places), _read_body(places)

        def read(take: Take, fail: Fail) -> None:
            def heard(reply: bytes) -> None:
                self._slicer.start(hand_on(read_reply(reply, n), take), fail)

            self._send(READ, body, heard, fail)

        return read

    def raw_read(self, places: Sequence[Place], take: Callable[[bytes], None], fail: Fail) -> None:
        """Read once and hand out the reply as it came, to have it decoded twice and compared."""
        self._send(READ, _read_body(places), take, fail)

    def write(
        self, setpoint: Setpoint | ArraySetpoint, take: Callable[[int], None], fail: Fail
    ) -> None:
        """Write to one node, without timestamps: servers that keep their own refuse ours."""
        node, part = setpoint.place
        body = b"".join(
            (
                struct.pack("<i", 1),
                node_bytes(node),
                struct.pack("<I", _VALUE_ATTRIBUTE),
                _text(part),
                b"\x01",
                _array(setpoint)
                if isinstance(setpoint, ArraySetpoint)
                else _variant(setpoint.kind, setpoint.value, part),
            )
        )
        self._send(WRITE, body, lambda reply: take(write_reply(reply)), fail)

    def call(self, call: Call, take: Callable[[int], None], fail: Fail) -> None:
        """Call a method with one argument."""
        one = struct.pack("<i", 1)
        value = _variant(call.kind, call.value)
        body = one + node_bytes(call.owner) + node_bytes(call.method) + one + value
        self._send(CALL, body, lambda reply: take(call_reply(reply)), fail)

    def publish(
        self, acks: Sequence[Ack], take: Callable[[Notification], None], fail: Fail
    ) -> None:
        """Let the server send the next notification. No deadline: it may have nothing to say."""
        body = struct.pack("<i", len(acks)) + b"".join(struct.pack("<II", *ack) for ack in acks)

        def heard(reply: bytes) -> None:
            self._slicer.start(report(publish_reply(reply), take), fail)

        self._send(PUBLISH, body, heard, fail, waits=True)

    def close(self) -> None:
        """Forget all that is open, without a word."""
        for pending in self._open:
            pending.drop()
        self._open.clear()
        self._slicer.close()

    def _send(
        self,
        kind: int,
        body: bytes,
        take: Callable[[bytes], None],
        fail: Fail,
        *,
        waits: bool = False,
    ) -> None:
        protocol = self._protocol
        if protocol.transport is None or protocol.transport.is_closing():
            fail(ConnectionError("the connection is closed"))
            return
        if len(protocol._callbackmap) >= MOST_OPEN:  # noqa: SLF001 (the lane's theory says why)
            fail(Refused(f"it has left {MOST_OPEN} requests without an answer"))
            return

        def heard(reply: bytes) -> None:
            self._open.discard(pending)
            self.heard = self._now().mono
            take(reply)

        def failed(error: Exception) -> None:
            self._open.discard(pending)
            fail(error)

        pending = Pending(heard, failed)
        protocol.revolve_security_token()
        number = protocol._request_id + 1  # noqa: SLF001 (the lane's theory says why)
        message = protocol._connection.message_to_binary(  # noqa: SLF001 - as above
            self._header(kind, waits=waits) + body, request_id=number
        )
        protocol._request_id = number  # noqa: SLF001 - as above
        protocol._callbackmap[number] = pending  # noqa: SLF001 - as above
        self._open.add(pending)
        protocol.transport.write(message)
        if not waits:
            pending.expire_in(self._timeout_s)

    def _header(self, kind: int, *, waits: bool) -> bytes:
        """Encoding id and RequestHeader (OPC 10000-4 §7.33). Servers check the timestamp."""
        self._handle = (self._handle + 1) & 0xFFFFFFFF
        ticks = self._now().wall // 100 + EPOCH
        hint = 0 if waits else int(self._timeout_s * 1000)
        rest = struct.pack("<qIIiI3x", ticks, self._handle, 0, -1, hint)
        return struct.pack("<BBH", 1, 0, kind) + self._token + rest


def hand_on(steps: Steps[Columns], take: Take) -> Steps[None]:
    """Decode a reply, then hand it on in parts."""
    columns = yield from steps
    for first, part in columns.parts():
        if len(part.values) < len(columns.values):
            yield
        take(part, first)


def report(steps: Steps[Notification], take: Callable[[Notification], None]) -> Steps[None]:
    """Decode a notification, then hand it on in parts."""
    news = yield from steps
    for part in news.parts():
        if len(part.handles) < len(news.handles):
            yield
        take(part)


def node_bytes(node: ua.NodeId) -> bytes:
    """A NodeId (OPC 10000-6 §5.2.2.9); the two common forms five times faster than asyncua does."""
    name, space = node.Identifier, node.NamespaceIndex
    if isinstance(name, str):
        text = name.encode()
        return struct.pack("<BHi", 3, space, len(text)) + text
    if isinstance(name, int):
        return struct.pack("<BHI", 2, space, name)
    return nodeid_to_binary(node)


def _read_body(places: Sequence[Place]) -> bytes:
    """MaxAge 0 (fresh from the source), which timestamps, and the nodes (OPC 10000-4 §5.11.2)."""
    value = struct.pack("<I", _VALUE_ATTRIBUTE)
    head = struct.pack("<dii", 0.0, _SOURCE_TIMESTAMPS, len(places))
    whole = value + _text("") + _DEFAULT_ENCODING
    return head + b"".join(
        node_bytes(node) + (value + _text(part) + _DEFAULT_ENCODING if part else whole)
        for node, part in places
    )


def _text(text: str) -> bytes:
    """A String, whose length is that of its bytes; the empty one as null."""
    content = text.encode()
    return struct.pack("<i", len(content) or -1) + content


def _array(setpoint: ArraySetpoint) -> bytes:
    """Numbers as a Variant that holds an array."""
    kind, n = setpoint.kind, len(setpoint.values)
    return bytes((kind,)) + struct.pack(f"<i{n}{_FORMATS[kind & 0x3F]}", n, *setpoint.values)


def _variant(kind: int, value: float | str, part: str = "") -> bytes:
    """A value as a Variant; with ARRAY as an array of it alone, or a matrix (part ``1,2``)."""
    if isinstance(value, str):  # a LocalizedText says first that it has no locale, but a text
        return bytes((kind, 2) if kind == LOCALIZED_TEXT else (kind,)) + _text(value)
    number = struct.pack("<" + _FORMATS[kind & 0x3F], value)
    if not kind & ARRAY:
        return bytes((kind,)) + number
    one, sides = struct.pack("<i", 1), part.count(",") + 1
    if sides == 1:
        return bytes((kind,)) + one + number
    return bytes((kind | DIMENSIONS,)) + one + number + struct.pack("<i", sides) + one * sides
