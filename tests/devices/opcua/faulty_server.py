"""A real server in a process of its own that breaks on command, for the campaign of returns.

python faulty_server.py PORT COUNT

COUNT nodes ``Count.N`` are one higher every 50 ms, as many ``Still.N`` change when they are told
to. It says "ready", then obeys lines on stdin and answers each with "done":

    mute NAME       its monitored item reports nothing any more, the others go on
    set NAME VALUE  a new value
    drop            the server deletes all subscriptions
    expire          all sessions time out
    remove          all nodes are gone
    restore         they are back, in a namespace with another index
"""

import asyncio
import itertools
import sys
from datetime import UTC, datetime

from asyncua import Server, ua

URI = "urn:edgetwin:test:faulty"
STEP_S = 0.05


class Plant:
    """The nodes, and what may happen to them."""

    def __init__(self, server: Server, count: int) -> None:
        self.server = server
        self.names = [f"{kind}.{n}" for n in range(count) for kind in ("Count", "Still")]
        self.space = 0
        self.there = False
        self._fillers = itertools.count()

    async def restore(self) -> None:
        if self.space:  # the old index stays, as it would with a server that only adds namespaces
            array = self.server.get_node(ua.NodeId(ua.ObjectIds.Server_NamespaceArray))
            uris = [f"{uri}:old" if uri == URI else uri for uri in await array.read_value()]
            await array.write_value([*uris, f"urn:filler:{next(self._fillers)}"])
        self.space = await self.server.register_namespace(URI)
        folder = ua.NodeId("Plant", self.space)
        plant = await self.server.nodes.objects.add_folder(folder, "Plant")
        for name in self.names:
            value = ua.Variant(0.0, ua.VariantType.Double)
            await plant.add_variable(ua.NodeId(name, self.space), name, value)
        self.there = True

    async def remove(self) -> None:
        self.there = False
        nodes = [self.server.get_node(ua.NodeId(n, self.space)) for n in ("Plant", *self.names)]
        await self.server.delete_nodes(nodes)

    async def set(self, name: str, value: str) -> None:
        await self._write(name, float(value))

    async def mute(self, name: str) -> None:
        node, service = ua.NodeId(name, self.space), self.server.iserver.subscription_service
        for subscription in service.subscriptions.values():
            items = subscription.monitored_item_srv
            for handle, number in items._monitored_datachange.items():
                mapped = service.aspace._handle_to_attribute_map.get(handle)
                if number in items._monitored_items and mapped and mapped[0] == node:
                    service.aspace.delete_datachange_callback(handle)

    async def drop(self) -> None:
        service = self.server.iserver.subscription_service
        await service.delete_subscriptions(list(service.subscriptions))

    async def expire(self) -> None:
        for session in list(self.server.iserver._external_sessions.values()):
            await session.close_session(True)

    async def count(self) -> None:
        for step in itertools.count(1):
            await asyncio.sleep(STEP_S)
            for name in self.names[::2] if self.there else ():
                await self._write(name, float(step))

    async def _write(self, name: str, number: float) -> None:
        variant = ua.Variant(number, ua.VariantType.Double)
        value = ua.DataValue(variant, SourceTimestamp=datetime.now(UTC))
        await self.server.write_attribute_value(ua.NodeId(name, self.space), value)


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


async def obey(plant: Plant) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command, *arguments = line.decode().split()
        await getattr(plant, command)(*arguments)
        say("done")


async def main() -> None:
    port, count = map(int, sys.argv[1:])
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/test")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    plant = Plant(server, count)
    await plant.restore()
    async with server:
        say("ready")
        counting = asyncio.create_task(plant.count())
        await obey(plant)
        counting.cancel()


if __name__ == "__main__":
    asyncio.run(main())
