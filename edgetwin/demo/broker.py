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

from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType

from edgetwin.demo.processes import stdin_lines

LISTENER = "default"


async def serve(port: int) -> None:
    """Be a broker until stdin ends or SIGTERM comes."""
    # We listen ourselves, because amqtt cannot tell which port it took when it was asked for any.
    broker = Broker(
        BrokerConfig(
            listeners={LISTENER: ListenerConfig(type=ListenerType.EXTERNAL)},
            plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        )
    )
    await broker.start()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await broker.stream_connected(reader, writer, LISTENER)

    server = await asyncio.start_server(connected, "127.0.0.1", port)
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
