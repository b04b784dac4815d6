"""An OPC UA device of the demo, over the stock asyncua server: Double nodes in one namespace.

It runs in a process of its own and knows nothing of the plant: the first line on its stdin names
the nodes, each later line gives their values, and the end of stdin ends it.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from asyncua import ua
from asyncua.server.server import Server

URI = "urn:edgetwin:demo:meter"


class OpcuaDevice:
    """Serves Doubles in the namespace ``urn:edgetwin:demo:meter``."""

    def __init__(self, nodes: Mapping[str, str]) -> None:
        """``nodes``: browse name → identifier, ``s=Flow`` or ``i=1002``."""
        self._names = dict(nodes)
        self._nodes: dict[str, ua.NodeId] = {}
        self._server = Server()

    async def start(self, port: int = 0) -> int:
        """Listen on loopback without encryption; the port that was taken is given back."""
        logging.getLogger("asyncua").setLevel(logging.ERROR)
        server = self._server
        await server.init()
        await server.set_application_uri(URI + ":server")
        server.set_server_name("edgetwin demo meter")
        server.set_endpoint("opc.tcp://127.0.0.1:0/meter")
        server.socket_address = ("127.0.0.1", port)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        space = await server.register_namespace(URI)
        meter = await server.nodes.objects.add_object(_node(space, "s=Meter"), f"{space}:Meter")
        for name, identifier in self._names.items():
            node = _node(space, identifier)
            await meter.add_variable(node, f"{space}:{name}", 0.0, ua.VariantType.Double)
            self._nodes[name] = node
        await server.start()
        assert server.bserver  # noqa: S101 - it has just been started
        return server.bserver.port

    async def show(self, values: Mapping[str, float]) -> None:
        """New values, all of one instant."""
        now = cast("ua.DateTime", datetime.now(UTC))  # its DateTime is a datetime
        for name, value in values.items():
            shown = ua.DataValue(
                ua.Variant(float(value), ua.VariantType.Double),
                SourceTimestamp=now,
                ServerTimestamp=now,
            )
            await self._server.write_attribute_value(self._nodes[name], shown)

    async def stop(self) -> None:
        """Close all sessions and the listener."""
        await self._server.stop()


def _node(space: int, identifier: str) -> ua.NodeId:
    return ua.NodeId.from_string(f"ns={space};{identifier}")


async def serve(lines: asyncio.StreamReader, port: int) -> None:
    """Be the device that ``lines`` describe until they end. Says ``ready PORT`` when it listens."""
    device = OpcuaDevice(json.loads(await lines.readline()))
    first = await lines.readline()
    taken = await device.start(port)
    try:
        if first:
            await device.show(json.loads(first))
        print("ready", taken, flush=True)
        while line := await lines.readline():
            await device.show(json.loads(line))
    finally:
        await device.stop()
