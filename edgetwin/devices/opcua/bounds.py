"""How much a server may send and how much work it may make, before we hang up.

Left alone, asyncua waits for a chunk of any length, joins any number of them, and decodes what they
hold object by object on the event loop: a list of 2^31 Nulls is five bytes and takes minutes, a
matrix of 1 x 1000 x 1000 around four numbers 0.5 s. So everything is judged on its way in:

    socket ─▶ inbox ─▶ chunk: type and length, judged from its first 8 bytes
                        │ some per turn of the loop, then the others' turn
                        ▼
                      asyncua's channel: signature, order, limits of ours ─▶ whole message
                        │
                        ├─▶ the fast lane, which bounds its own walk (``skip.Room``)
                        └─▶ asyncua's decoder, reading through a ``Meter``

What goes too far ends the connection, and ``refusal`` says why.
"""

import asyncio
import socket
import struct
from typing import Any

from asyncua import ua
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary

from edgetwin.devices.opcua.skip import WireError
from edgetwin.devices.opcua.stack import UaError, UaStatusCodeError
from edgetwin.devices.opcua.status import words

MOST_BYTES = 4 << 20
"""Of one message. 4000 values, the most that are asked for at once, fill 80 kB."""
MOST_CHUNK = 65_536
MOST_CHUNKS = 512
"""Of one message: 4 MiB in chunks of 8192 bytes, the least a server has to use (§7.1.2.4)."""
MOST_ASYMMETRIC = 8192
"""Bytes of an OpenSecureChannel message: each 256 of them cost a private-key operation of 1 ms."""
MOST_ABORTS = 100
MOST_READS = 2500
"""Steps of asyncua's decoder within one message, each worth 1 to 8 µs: 20 ms at most."""
LEAST_SEND = 1024
CHUNKS_PER_TURN, BYTES_PER_TURN = 16, 65_536
"""Small chunks take about 50 µs each, large ones by their bytes: both hold the loop for 1 ms."""

_HEADER = struct.Struct("<3scI")
_OPEN, _ABORT = b"OPN", b"A"
_HELLO: Any = ua.MessageType.Hello  # asyncua's members of it are of no type
_NULL_ARRAYS = (b"\x80", b"\xc0")
_KEEPALIVE_S = 10
_LONGEST = 200

# The one bound that asyncua offers itself (1,000,000): it fills up lying dimensions with objects.
ua_binary.MAX_RESHAPE_ELEMENTS = 10_000


class Refused(UaError):
    """The server sent what no server should; the message says what."""


class Limits(TransportLimits):
    """Ours stay ours: asyncua would replace them by what the server says of itself."""

    def is_msg_size_within_limit(self, sz: int) -> bool:
        """Whether a message may grow to so many bytes.

        Raises:
            Refused: it may not.
        """
        if sz > self.max_message_size:
            raise Refused(f"it sent a message of more than {self.max_message_size} bytes")
        return True

    def is_chunk_count_within_limit(self, sz: int) -> bool:
        """Whether a message may have so many chunks.

        Raises:
            Refused: it may not.
        """
        if sz > self.max_chunk_count:
            raise Refused(f"it sent a message of more than {self.max_chunk_count} chunks")
        return True

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        """Send no larger chunks than the server takes.

        Raises:
            Refused: its buffer is so small that requests would fall into thousands of chunks.
        """
        if msg.ReceiveBufferSize < LEAST_SEND:
            raise Refused(f"it takes only {msg.ReceiveBufferSize} bytes at a time")
        self.max_send_buffer = min(self.max_send_buffer, msg.ReceiveBufferSize)


class Meter(Buffer):
    """The bytes of one message, for asyncua's decoder: they end when it has read often enough.

    All that it decodes costs at least one read, but for the elements of a list of Nulls. Such a
    list starts with one of two bytes, so a length that follows one of them is looked at.
    """

    def __init__(
        self, data: bytes, start: int = 0, size: int = -1, left: list[int] | None = None
    ) -> None:
        super().__init__(data, start, size)
        self._left = [MOST_READS] if left is None else left
        self._after_null = False

    def read(self, size: int) -> bytes:
        """Give out the next bytes.

        Raises:
            WireError: there were too many reads, or it is a list of Nulls beyond all reason.
        """
        left = self._left
        left[0] -= 1
        if left[0] < 0:
            raise WireError(f"a reply that takes more than {MOST_READS} steps to decode")
        taken = super().read(size)
        if (
            self._after_null
            and size == 4
            and int.from_bytes(taken, "little", signed=True) > len(self)
        ):
            raise WireError("a list of more Nulls than there are bytes")
        self._after_null = size == 1 and taken in _NULL_ARRAYS
        return taken

    def copy(self, size: int = -1) -> "Meter":
        """A second view of the same bytes, on the same account."""
        if size == -1 or size > len(self):
            size = len(self)
        return Meter(self._data, self.cur_pos, size, self._left)


class BoundedProtocol(UASocketProtocol):
    """asyncua's socket protocol with a judge at its door. ``refusal``: why we hung up, or ""."""

    def __init__(self, timeout: float, policy: Any) -> None:  # noqa: ANN401 (asyncua types it loosely)
        limits = Limits(MOST_CHUNK, MOST_CHUNK, MOST_CHUNKS, MOST_BYTES)
        super().__init__(timeout, security_policy=policy, limits=limits)
        self.refusal = ""
        self.most_reads = MOST_READS
        self._inbox = bytearray()
        self._aborts = 0
        self._waiting = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as asyncua
        """Have the kernel notice a dead network."""
        super().connection_made(transport)
        tune(transport.get_extra_info("socket"), self.timeout)

    async def send_hello(self, url: str, *_: int) -> ua.Acknowledge:  # asyncua's word on sizes
        """Say what we take: asyncua promises 2 GiB, and some servers then send one huge chunk."""
        hello = ua.Hello(
            ReceiveBufferSize=ua.UInt32(MOST_CHUNK),
            SendBufferSize=ua.UInt32(MOST_CHUNK),
            MaxMessageSize=ua.UInt32(MOST_BYTES),
            MaxChunkCount=ua.UInt32(MOST_CHUNKS),
            EndpointUrl=ua.String(url),
        )
        answer: asyncio.Future[ua.Acknowledge] = asyncio.get_running_loop().create_future()
        self._callbackmap[0] = answer
        if self.transport is not None:
            self.transport.write(ua_binary.uatcp_to_binary(_HELLO, hello))
        async with asyncio.timeout(self.timeout):
            return await answer

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell those who wait why."""
        self._inbox.clear()
        super().connection_lost(Refused(self.refusal) if self.refusal else exc)

    def data_received(self, data: bytes) -> None:
        """Take in what has arrived."""
        self._inbox += data
        if not self._waiting:
            self._work()

    def _work(self) -> None:
        """Handle some chunks; leave the rest for the next turn, and the socket alone till then."""
        self._waiting = False
        waiting = len(self._inbox)
        for _ in range(CHUNKS_PER_TURN):
            if waiting - len(self._inbox) >= BYTES_PER_TURN:
                break
            transport = self.transport
            if transport is None or transport.is_closing():
                return
            if not self._handle_next():
                transport.resume_reading()
                return
        if self.transport is not None:
            self._waiting = True
            self.transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._work)

    def _handle_next(self) -> bool:
        """Handle the next chunk; False if it is not whole yet."""
        inbox = self._inbox
        if len(inbox) < _HEADER.size:
            return False
        kind, final, size = _HEADER.unpack_from(inbox)
        try:
            self._judge(kind, final, size)
            if len(inbox) < size:
                return False
            chunk = bytes(inbox[:size])
            del inbox[:size]
            self._take(chunk)
        except UaStatusCodeError as error:
            self._refuse(f"it said {words(error.code)}", error)
        except Exception as error:  # noqa: BLE001 (asyncua's decoder raises whatever bytes provoke)
            self._refuse((str(error) or repr(error))[:_LONGEST], None)
        return True

    def _judge(self, kind: bytes, final: bytes, size: int) -> None:
        if not _HEADER.size <= size <= MOST_CHUNK:
            raise Refused(f"it sent a chunk of {size} bytes")
        if kind == _OPEN:
            if size > MOST_ASYMMETRIC:
                raise Refused(f"it sent {size} bytes to open the channel")
            if self._open_secure_channel_exchange is None:
                raise Refused("it opened a channel that nobody asked for")
        self._aborts += final == _ABORT
        if self._aborts > MOST_ABORTS:
            raise Refused(f"it gave up more than {MOST_ABORTS} messages half-way")

    def _take(self, chunk: bytes) -> None:
        """What asyncua does with a chunk, with the message on a meter."""
        data = Buffer(chunk)
        header = ua_binary.header_from_binary(data)
        message: Any = self._connection.receive_from_header_and_body(header, data)
        if not isinstance(message, ua.Message):
            self._process_received_message(message)
            return
        whole: Any = message  # asyncua gives its methods no types
        body = Meter(bytes(whole.body()), left=[self.most_reads])
        if chunk.startswith(_OPEN):
            self._open_channel(body.copy())
        self._answer(whole.request_id(), body)

    def _open_channel(self, body: Meter) -> None:
        asked: Any = self._open_secure_channel_exchange
        answer = ua_binary.struct_from_binary(ua.OpenSecureChannelResponse, body)
        answer.ResponseHeader.ServiceResult.check()
        self._open_secure_channel_exchange = answer
        self._connection.set_channel(answer.Parameters, asked.RequestType, asked.ClientNonce)

    def _answer(self, number: int, body: Meter) -> None:
        if number not in self._callbackmap:
            raise Refused("it answered what nobody had asked")
        self._call_callback(number, body)

    def _refuse(self, what: str, error: Exception | None) -> None:
        """Hang up; the first reason counts."""
        hint = "Is it an OPC UA server, and a healthy one?"
        self.refusal = self.refusal or f"we hung up: {what}. {hint}"
        self._fail_all_pending(error or Refused(self.refusal))
        if self.transport is not None:
            self.transport.abort()


class BoundedClient(UaClient):
    """asyncua's client on a bounded protocol.

    ``most_reads`` may be more than ``MOST_READS`` where nothing else shares the loop.
    """

    most_reads = MOST_READS

    @property
    def refusal(self) -> str:
        """Why we hung up, or ""."""
        return self.protocol.refusal if isinstance(self.protocol, BoundedProtocol) else ""

    def _make_protocol(self) -> UASocketProtocol:
        """What asyncua does, with another class."""
        protocol = BoundedProtocol(self._timeout, self.security_policy)
        protocol.most_reads = self.most_reads
        protocol.pre_request_hook = self._pre_request_hook
        protocol.on_connection_lost = self._on_transport_lost
        protocol.is_session_closing = self._is_session_closing
        self.protocol = protocol
        return protocol


def tune(sock: socket.socket, timeout_s: float) -> None:
    """Small frames at once; a dead network is noticed by the kernel even when nothing is asked."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_S // 2)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(2000 * timeout_s))
