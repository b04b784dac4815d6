"""An OPC UA server that knows just enough to get to the point where it misbehaves.

It speaks UACP and the None policy with blocking sockets in a thread of its own, answers what a
client needs to connect, read and subscribe (each node holds 42.0), and hands the request named by
the attack to the attack, which gives the bytes to send instead.
"""

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary, struct_to_binary

CHANNEL = 7
PIECE = 60_000
POLICY = "http://opcfoundation.org/UA/SecurityPolicy#None"
HOLDS = ua.DataValue(ua.Variant(42.0, ua.VariantType.Double))
NAMES = ua.DataValue(ua.Variant(["urn:ua", "urn:hostile", "urn:plc"], ua.VariantType.String))
KINDS = {
    428: "endpoints",
    461: "session",
    467: "activate",
    473: "close",
    631: "read",
    787: "subscribe",
    751: "items",
    826: "publish",
}


@dataclass
class Request:
    """What came in, and the parts of an answer to it."""

    kind: str
    number: int
    handle: int
    body: Buffer
    session: "Session"

    def head(self, response: object) -> bytes:
        """A response of asyncua's with the right handle, as bytes."""
        response.ResponseHeader.RequestHandle = self.handle
        return struct_to_binary(response)

    def message(self, body: bytes) -> Iterator[bytes]:
        """A body in chunks."""
        pieces = [body[at : at + PIECE] for at in range(0, len(body), PIECE)] or [b""]
        for place, piece in enumerate(pieces):
            last = place == len(pieces) - 1
            yield self.chunk(piece, b"F" if last else b"C")

    def chunk(self, piece: bytes, final: bytes, kind: bytes = b"MSG") -> bytes:
        """One chunk with everything right in front of its body."""
        self.session.sequence += 1
        numbers = struct.pack("<II", self.session.sequence, self.number)
        channel = struct.pack("<II", CHANNEL, 1)
        return kind + final + struct.pack("<I", 24 + len(piece)) + channel + numbers + piece


Attack = Callable[[Request], Iterable[bytes]]


class Server:
    """``url`` is where it listens. ``attack`` gets the n-th request of a kind and all after it.

    ``reached``: whether it came to that.
    """

    def __init__(self, kind: str = "", nth: int = 1, attack: Attack | None = None) -> None:
        self._aim = (kind, nth)
        self._attack = attack
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._sessions: list[Session] = []
        self.reached = False
        self.url = f"opc.tcp://127.0.0.1:{self._socket.getsockname()[1]}/hostile"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._socket.accept()
                session = Session(line, self._answer_of)
                self._sessions.append(session)
                session.start()

    def _answer_of(self, kind: str, times: int) -> Attack | None:
        aim, nth = self._aim
        if kind != aim or times < nth:
            return None
        self.reached = True
        return self._attack

    def close(self) -> None:
        """Hang up; wait for the threads."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)
        for session in self._sessions:
            session.close()


class Session(threading.Thread):
    """One connection."""

    def __init__(
        self, line: socket.socket, attack_for: Callable[[str, int], Attack | None]
    ) -> None:
        super().__init__(daemon=True)
        self.sequence = 0
        self._line = line
        self._attack_for = attack_for
        self._seen: Counter[str] = Counter()
        self._parked: list[Request] = []

    def run(self) -> None:
        with suppress(OSError, EOFError):
            while True:
                head = self._exactly(8)
                body = self._exactly(int.from_bytes(head[4:], "little") - 8)
                self._handle(head[:3], body)

    def close(self) -> None:
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._line.close()
        self.join(5)

    def _exactly(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            more = self._line.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _handle(self, kind: bytes, body: bytes) -> None:
        if kind == b"HEL":
            request = Request("hello", 0, 0, Buffer(body), self)
        elif kind == b"CLO":
            raise EOFError
        else:
            request = self._parse(kind, body)
        self._seen[request.kind] += 1
        attack = self._attack_for(request.kind, self._seen[request.kind])
        for piece in attack(request) if attack else getattr(self, "_" + request.kind)(request):
            if isinstance(piece, float):
                time.sleep(piece)
            else:
                self._line.sendall(piece)

    def _parse(self, kind: bytes, body: bytes) -> Request:
        data = Buffer(body)
        data.skip(4)
        if kind == b"OPN":
            struct_from_binary(ua.AsymmetricAlgorithmHeader, data)
        else:
            data.skip(4)
        data.skip(4)
        number = int.from_bytes(data.read(4), "little")
        name = KINDS.get(nodeid_from_binary(data).Identifier, "open")
        header = struct_from_binary(ua.RequestHeader, data)
        return Request(name, number, header.RequestHandle, data, self)

    def _hello(self, _: Request) -> Iterator[bytes]:
        yield b"ACKF" + struct.pack("<I5I", 28, 0, 65536, 65536, 0, 0)

    def _open(self, request: Request) -> Iterator[bytes]:
        yield opened(request, b"")

    def _endpoints(self, request: Request) -> Iterator[bytes]:
        yield from request.message(request.head(ua.GetEndpointsResponse()))

    def _session(self, request: Request) -> Iterator[bytes]:
        response = ua.CreateSessionResponse()
        response.Parameters.AuthenticationToken = ua.NodeId(5, 0)
        response.Parameters.RevisedSessionTimeout = 60_000.0
        plain = ua.EndpointDescription(SecurityMode=ua.MessageSecurityMode.None_)
        plain.SecurityPolicyUri, plain.EndpointUrl = POLICY, "opc.tcp://127.0.0.1/"
        plain.UserIdentityTokens = [ua.UserTokenPolicy("anonymous", ua.UserTokenType.Anonymous)]
        response.Parameters.ServerEndpoints = [plain]
        yield from request.message(request.head(response))

    def _activate(self, request: Request) -> Iterator[bytes]:
        yield from request.message(request.head(ua.ActivateSessionResponse()))

    def _close(self, request: Request) -> Iterator[bytes]:
        yield from request.message(request.head(ua.CloseSessionResponse()))

    def _read(self, request: Request) -> Iterator[bytes]:
        nodes = [x.NodeId for x in struct_from_binary(ua.ReadParameters, request.body).NodesToRead]
        response = ua.ReadResponse()
        response.Results = [NAMES if n.Identifier == 2255 else HOLDS for n in nodes]
        yield from request.message(request.head(response))

    def _subscribe(self, request: Request) -> Iterator[bytes]:
        response = ua.CreateSubscriptionResponse()
        response.Parameters.SubscriptionId = 3
        response.Parameters.RevisedPublishingInterval = 100.0
        response.Parameters.RevisedMaxKeepAliveCount = 1
        yield from request.message(request.head(response))

    def _items(self, request: Request) -> Iterator[bytes]:
        asked = struct_from_binary(ua.CreateMonitoredItemsParameters, request.body).ItemsToCreate
        response = ua.CreateMonitoredItemsResponse()
        response.Results = [ua.MonitoredItemCreateResult() for _ in asked]
        yield from request.message(request.head(response))

    def _publish(self, request: Request) -> Iterator[bytes]:
        """The values once, and then nothing: a subscription that has fallen silent."""
        if self._seen["publish"] > 1:
            return
        items = [(0, ua.DataValue(ua.Variant(42.0, ua.VariantType.Double)))]
        yield from request.message(published(request, changes(items)))


def opened(request: Request, more: bytes) -> bytes:
    """An OpenSecureChannel response, and what else is to be behind it."""
    response = ua.OpenSecureChannelResponse()
    token = response.Parameters.SecurityToken
    token.ChannelId, token.TokenId, token.RevisedLifetime = CHANNEL, 1, 3_600_000
    body = request.head(response) + more
    header = ua.AsymmetricAlgorithmHeader()
    header.SecurityPolicyURI = POLICY
    security = struct_to_binary(header)
    request.session.sequence += 1
    numbers = struct.pack("<II", request.session.sequence, request.number)
    whole = struct.pack("<I", CHANNEL) + security + numbers + body
    return b"OPNF" + struct.pack("<I", 8 + len(whole)) + whole


def changes(items: list[tuple[int, ua.DataValue]]) -> ua.DataChangeNotification:
    """Values behind their client handles."""
    return ua.DataChangeNotification([ua.MonitoredItemNotification(*item) for item in items])


def published(request: Request, *parts: object) -> bytes:
    """A publish response of subscription 3."""
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = 3
    response.Parameters.NotificationMessage.SequenceNumber = 1
    response.Parameters.NotificationMessage.NotificationData = list(parts)
    return request.head(response)


# ---------------------------------------------------------------- the attacks


def value(variant: bytes) -> Attack:
    """One value with everything around it right; to a publish request it comes as a change."""

    def attack(request: Request) -> Iterator[bytes]:
        if request.kind == "publish":
            body = published(request, changes([]))
            inner = struct.pack("<iI", 1, 0) + b"\x01" + variant + b"\xff\xff\xff\xff"
            parts = struct.pack("<i", 1) + struct.pack("<BBHBi", 1, 0, 811, 1, len(inner)) + inner
            before = body[: body.index(struct.pack("<BBH", 1, 0, 811)) - 4]
            yield from request.message(before + parts + struct.pack("<ii", -1, -1))
            return
        asked = 1
        if request.kind == "read":
            asked = len(struct_from_binary(ua.ReadParameters, request.body).NodesToRead)
        head = request.head(ua.ReadResponse())[:-8]
        plain = b"\x01\x0b" + struct.pack("<d", 42.0)
        results = struct.pack("<i", asked) + b"\x01" + variant + plain * (asked - 1)
        yield from request.message(head + results + struct.pack("<i", -1))

    return attack


def listed(kind: int, n: int, element: bytes, bits: int = 0x80) -> bytes:
    """An array of n equal elements."""
    return struct.pack("<Bi", kind | bits, n) + element * n


def lying_matrix(*dimensions: int) -> bytes:
    """Four doubles that claim to be more."""
    lie = struct.pack(f"<i{len(dimensions)}i", len(dimensions), *dimensions)
    return listed(11, 4, bytes(8), 0xC0) + lie


def raw(*pieces: bytes | float) -> Attack:
    """These bytes, whatever was asked; a float is a pause in seconds."""
    return lambda _: iter(pieces)


def endless(piece: Callable[[Request], bytes]) -> Attack:
    """The same again and again, until the other side hangs up."""

    def attack(request: Request) -> Iterator[bytes]:
        while True:
            yield piece(request)

    return attack


def true_answer(request: Request) -> bytes:
    """What an honest server says."""
    return b"".join(getattr(request.session, "_" + request.kind)(request))


def drip(request: Request) -> Iterator[bytes | float]:
    """A true answer, a byte at a time."""
    for byte in true_answer(request):
        yield bytes((byte,))
        yield 0.02


def header_list(n: int, element: bytes) -> Attack:
    """A response header with an endless table of texts."""

    def attack(request: Request) -> Iterator[bytes]:
        body = request.head(ua.ReadResponse())
        table = body[:25] + struct.pack("<i", n) + element * n
        yield from request.message(table + b"\x00\x00\x00" + struct.pack("<ii", -1, -1))

    return attack


def results(n: int, element: bytes) -> Attack:
    """More results than were asked for."""

    def attack(request: Request) -> Iterator[bytes]:
        head = request.head(ua.ReadResponse())[:-8]
        yield from request.message(head + struct.pack("<i", n) + element * n + b"\xff" * 4)

    return attack


def wrong(**change: int) -> Attack:
    """A true answer with one number of its header changed."""

    def attack(request: Request) -> Iterator[bytes]:
        whole = bytearray(true_answer(request))
        for name, number in change.items():
            at = {"size": 4, "channel": 8, "token": 12, "sequence": 16, "request": 20}[name]
            whole[at : at + 4] = struct.pack("<I", number)
        yield bytes(whole)

    return attack


EVERYWHERE = {
    "a million null texts": value(listed(12, 1_000_000, b"\xff" * 4)),
    "a hundred thousand null texts": value(listed(12, 100_000, b"\xff" * 4)),
    "variants 20,000 deep": value(b"\x98\x01\x00\x00\x00" * 20_000 + b"\x00"),
    "variants 15 deep, 50,000 wide": value(listed(24, 50_000, b"\x98\x01\0\0\0" * 14 + b"\x00")),
    "100,000 empty values": value(listed(23, 100_000, b"\x00")),
    "100,000 diagnostics": value(listed(25, 100_000, b"\x00")),
    "100,000 empty structures": value(listed(22, 100_000, b"\x00\x00\x00")),
    "2^31 nulls in five bytes": value(struct.pack("<Bi", 0x80, 2**31 - 1)),
    "2^31 texts in five bytes": value(struct.pack("<Bi", 0x8C, 2**31 - 1)),
    "a matrix of 2 x 1000 x 1000 around four numbers": value(lying_matrix(2, 1000, 1000)),
    "a matrix of 1 x 1000 x 1000 around four numbers": value(lying_matrix(1, 1000, 1000)),
    "a matrix of negative size": value(lying_matrix(-5, 1000, 1000)),
    "400,000 doubles": value(listed(11, 400_000, bytes(8))),
    "a text of 3 MB": value(struct.pack("<Bi", 12, 3_000_000) + b"x" * 3_000_000),
    "60,000 results of a byte": results(60_000, b"\x00"),
    "200,000 diagnostic texts": header_list(200_000, b"\xff" * 4),
    "endless chunks": endless(lambda request: request.chunk(bytes(PIECE), b"C")),
    "endless empty chunks": endless(lambda request: request.chunk(b"", b"C")),
    "endless messages given up": endless(
        lambda request: request.chunk(struct.pack("<Ii", 0x80130000, -1), b"A")
    ),
    "endless junk": endless(lambda _: b"\xa5" * PIECE),
    "slow drip": drip,
    "silence": raw(),
    "a chunk of 4 GB": wrong(size=2**32 - 1),
    "a chunk of 3 bytes": wrong(size=3),
    "a chunk larger than what comes": wrong(size=60_000),
    "an answer to nobody": wrong(request=4_000_000),
    "another channel": wrong(channel=8),
    "another token": wrong(token=9),
    "a sequence number from the future": wrong(sequence=100_000),
    "an endless complaint": raw(
        b"ERRF" + struct.pack("<IIi", 50_016, 0x80020000, 50_000) + b"!" * 50_000
    ),
    "a second channel unasked": lambda request: iter([opened(request, b"")]),
}
"""What may come as the answer to any request."""

BEFORE = {
    "a buffer of 16 bytes": ("hello", raw(b"ACKF" + struct.pack("<I5I", 28, 0, 16, 16, 0, 0))),
    "an endless hello": (
        "hello",
        endless(lambda _: b"ACKC" + struct.pack("<I", 60_000) + b"a" * 9),
    ),
    "60 kB to open the channel": ("open", lambda request: iter([opened(request, bytes(60_000))])),
    "a channel that never opens": ("open", raw()),
}
"""What may come before there is a session."""
