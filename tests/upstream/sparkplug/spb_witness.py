"""A witness between an edge node and its broker: every packet of the edge node, in order.

It passes on what it hears unchanged, can cut the line, and can refuse MQTT 5 so that the edge node
has to speak 3.1.1.
"""

import asyncio
import struct
import time
from dataclasses import dataclass, field

CONNECT, CONNACK, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT = 1, 2, 3, 8, 10, 14


@dataclass
class Packet:
    """One packet; ``inward`` when the broker sent it."""

    number: int
    connection: int
    kind: int
    inward: bool
    wall_ms: int
    facts: dict = field(default_factory=dict)


class Witness:
    """A proxy on loopback. ``packets`` is what passed."""

    def __init__(self, broker_port, *, refuse_v5=False):
        self.port = 0
        self.packets = []
        self.open_lines = 0
        self.most_lines = 0
        self._broker = broker_port
        self._refuse_v5 = refuse_v5
        self._connections = 0
        self._writers = set()
        self._server = None
        self._changed = asyncio.Event()
        self._tasks = set()

    async def open(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self):
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self):
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def until(self, fact, deadline_s=10.0):
        """Wait until a fact about the packets holds."""
        async with asyncio.timeout(deadline_s):
            while not fact(self.packets):
                self._changed.clear()
                await self._changed.wait()

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        self._connections += 1
        self.open_lines += 1
        self.most_lines = max(self.most_lines, self.open_lines)
        number, version = self._connections, [4]
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._broker)
        self._writers |= {writer, far_writer}
        ways = (
            self._pass(reader, far_writer, writer, number, version, inward=False),
            self._pass(far_reader, writer, writer, number, version, inward=True),
        )
        try:
            await asyncio.gather(*ways)
        finally:
            self.open_lines -= 1
            writer.close()
            far_writer.close()
            self._tasks.discard(asyncio.current_task())

    async def _pass(self, source, sink, back, number, version, *, inward):
        try:
            while True:
                head = await source.readexactly(1)
                length, size = 0, b""
                for shift in range(0, 28, 7):
                    size += await source.readexactly(1)
                    length |= (size[-1] & 0x7F) << shift
                    if size[-1] < 0x80:
                        break
                body = await source.readexactly(length)
                packet = self._note(head[0], body, number, version, inward=inward)
                if self._refuse_v5 and packet.kind == CONNECT and version[0] == 5:
                    back.write(b"\x20\x03\x00\x84\x00")  # CONNACK: unsupported protocol version
                    return
                sink.write(head + size + body)
                await sink.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            sink.close()

    def _note(self, first, body, connection, version, *, inward):
        kind = first >> 4
        wall_ms = time.time_ns() // 1_000_000
        packet = Packet(len(self.packets), connection, kind, inward, wall_ms)
        reading = _Reading(body)
        if kind == CONNECT:
            packet.facts = reading.connect()
            version[0] = packet.facts["version"]
        elif kind == PUBLISH:
            packet.facts = reading.publish(first, version[0])
        elif kind in (SUBSCRIBE, UNSUBSCRIBE):
            packet.facts = reading.filters(kind, version[0])
        elif kind == DISCONNECT and not inward:
            packet.facts = {"reason": body[0] if body else 0}
        packet.facts["version"] = version[0]
        self.packets.append(packet)
        self._changed.set()
        return packet


class _Reading:
    """The body of one packet, read from its beginning."""

    def __init__(self, body):
        self._body = body
        self._at = 0

    def _take(self, count):
        self._at += count
        return self._body[self._at - count : self._at]

    def _number(self, count):
        return int.from_bytes(self._take(count), "big")

    def _block(self):
        return self._take(self._number(2))

    def _length(self):
        value, shift = 0, 0
        while True:
            byte = self._number(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def _properties(self):
        return self._take(self._length())

    def connect(self):
        assert self._block() == b"MQTT"
        version, flags, _ = self._number(1), self._number(1), self._number(2)
        expiry = 0
        if version == 5:
            found = self._properties()
            if found[:1] == b"\x11":  # session expiry interval; absent means 0
                expiry = struct.unpack(">I", found[1:5])[0]
        facts = {
            "version": version,
            "client": self._block().decode(),
            "clean": bool(flags & 2),
            "expiry": expiry,
            "will": None,
        }
        if flags & 4:
            if version == 5:
                self._properties()
            topic, content = self._block().decode(), self._block()
            facts["will"] = {
                "topic": topic,
                "payload": content,
                "qos": flags >> 3 & 3,
                "retain": bool(flags & 0x20),
            }
        return facts

    def publish(self, first, version):
        topic, qos = self._block().decode("utf-8", "strict"), first >> 1 & 3
        if qos:
            self._number(2)
        if version == 5:
            self._properties()
        content = self._body[self._at :]
        return {"topic": topic, "qos": qos, "retain": bool(first & 1), "payload": content}

    def filters(self, kind, version):
        self._number(2)
        if version == 5:
            self._properties()
        wanted = {}
        while self._at < len(self._body):
            topic = self._block().decode()
            wanted[topic] = self._number(1) & 3 if kind == SUBSCRIBE else None
        return {"filters": wanted}
