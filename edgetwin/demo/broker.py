"""An embedded MQTT broker for the demo and the tests, in a process of its own on loopback.

It is amqtt (extra ``demo``): pure Python, MQTT 3.1.1, good enough for a few messages a second; a
plant wants a broker made for it. ``python -m edgetwin.demo.broker [--port N]`` says ``ready PORT``
and ends with its stdin.
"""

import argparse
import asyncio
import logging
import signal
from collections.abc import Sequence

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType

from edgetwin.demo.processes import stdin_lines

LISTENER = "default"
HEAD = 9  # bytes of the shortest beginning of CONNECT that shows the version: 1 + 1 + 6 + 1
MQTT_3_1_1 = 4
WRONG_VERSION = bytes((0x20, 2, 0, 1))  # CONNACK of 3.1.1 (§3.2.2.3): unacceptable version
ANYBODY = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


class _Reread(StreamReaderAdapter):  # type: ignore[misc]  # amqtt carries no types
    """A stream of which the beginning has been read already."""

    def __init__(self, reader: asyncio.StreamReader, head: bytes) -> None:
        super().__init__(reader)
        self._head = head

    async def read(self, n: int = -1) -> bytes:
        """The next ``n`` bytes, or all there are."""
        if not self._head:
            return bytes(await super().read(n))
        part, self._head = (self._head[:n], self._head[n:]) if n >= 0 else (self._head, b"")
        return part + bytes(await super().read(n - len(part))) if len(part) < n else part


class _Door:
    """Lets clients in to the broker, and turns away those that speak MQTT 5.

    amqtt itself reads a CONNECT of MQTT 5 as one of 3.1.1, and waits for bytes that never come.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection."""
        try:
            head = await reader.readexactly(HEAD)
            head += await reader.readexactly(_version_at(head) + 1 - len(head))
        except (OSError, EOFError):
            writer.close()
            return
        if head[_version_at(head)] > MQTT_3_1_1:
            writer.write(WRONG_VERSION)
            writer.close()
            return
        again = _Reread(reader, head)
        await self._broker.external_connected(again, StreamWriterAdapter(writer), LISTENER)


def _version_at(head: bytes) -> int:
    """Where a CONNECT tells its version: behind the length (1 to 4 bytes) and a text of 4."""
    length = next((k for k in range(1, 5) if head[k] < 0x80), 4)
    return length + 7


async def serve(port: int) -> None:
    """Be a broker until stdin ends or SIGTERM comes."""
    # We listen ourselves, because amqtt cannot tell which port it took when it was asked for any.
    listener = ListenerConfig(type=ListenerType.EXTERNAL)
    broker = Broker(BrokerConfig(listeners={LISTENER: listener}, plugins=ANYBODY))
    await broker.start()
    server = await asyncio.start_server(_Door(broker).enter, "127.0.0.1", port)
    lines = await stdin_lines()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lines.feed_eof)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await lines.read()
    server.close()
    await broker.shutdown()


def main(argv: Sequence[str] | None = None) -> None:
    """Run the broker process."""
    parser = argparse.ArgumentParser(prog="python -m edgetwin.demo.broker", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    logging.disable(logging.CRITICAL)  # a client that leaves is no news here
    asyncio.run(serve(parser.parse_args(argv).port))


if __name__ == "__main__":
    main()
