"""A real OPC UA server with a tree: objects, arrays, methods, units; in a process of its own.

python tree_server.py PORT [--fillers N] [--most N] [--many N] [--without NAME] [--parts]
    [--arrays]

``--most``: more operations than this in one call are refused, and not announced. Prints "ready",
then obeys lines on stdin: "delete NAME", "add NAME VALUE", "set NAME VALUE", "list NAME
VALUE,VALUE", each answered "done". ``--arrays``: one more of three zeros for each type
of number, and two texts to write.
"""

import argparse
import asyncio
import copy
import sys
from datetime import UTC, datetime

from asyncua import Server, ua
from asyncua.server.internal_session import InternalSession

URI = "urn:edgetwin:test:tree"
V = ua.VariantType
NUMBERS = (V.Boolean, V.SByte, V.Byte, V.Int16, V.UInt16, V.Int32, V.UInt32, V.Int64, V.UInt64)
NUMBERS += (V.Float, V.Double)


class Plant:
    def __init__(self, server: Server, options: argparse.Namespace) -> None:
        self.server = server
        self.options = options
        self.space = 0
        self.fresh = 0

    async def build(self) -> None:
        for filler in range(self.options.fillers):
            other = await self.server.register_namespace(f"urn:edgetwin:test:filler{filler}")
            skid = await self.server.nodes.objects.add_object(other, "Skid")
            await skid.add_variable(other, "Flow", -999.0)
        self.space = await self.server.register_namespace(URI)
        objects = self.server.nodes.objects
        self.skid = await objects.add_object(self.name_id("Skid"), f"{self.space}:Skid")
        if self.options.without != "Flow":
            await self.add("Flow", 12.5)
        await self.add("Curve", ua.Variant([1.0, 2.0, 3.0], V.Double), writable=True)
        matrix = ua.Variant([[1, 2], [3, 4]], V.Int32, Dimensions=[2, 2])
        await self.add("Matrix", matrix, writable=True)
        await self.add("Names", ua.Variant(["a", "b"], V.String))
        large = ua.Variant([2**60 + 1, 7], V.Int64)
        await self.add("Large", large, writable=True)
        moments = [datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)]
        await self.add("Moments", ua.Variant(moments, V.DateTime))
        speed = await self.add("Speed", 100.0)
        await self._methods(speed)
        await self._analog()
        await self._enumerations()
        for kind in NUMBERS if self.options.arrays else ():
            zeros = [False] * 3 if kind is V.Boolean else [0] * 3
            await self.add(kind.name, ua.Variant(zeros, kind), writable=True)
        if self.options.arrays:
            await self.add("Word", ua.Variant("OFF", V.String), writable=True)
            label = ua.LocalizedText("OFF", "en")
            await self.add("Label", ua.Variant(label, V.LocalizedText), writable=True)
        for number in range(self.options.many):
            await self.add(f"Many {number}", float(number))

    def name_id(self, name: str) -> ua.NodeId:
        return ua.NodeId(name, self.space)

    async def add(self, name: str, value, *, writable: bool = False):
        title = ua.QualifiedName(name, self.space)
        self.fresh += 1
        node_id = self.name_id(name if name != "Pressure" else f"Pressure {self.fresh}")
        node = await self.skid.add_variable(node_id, title, value)
        if writable:
            await node.set_writable()
        return node

    async def _methods(self, speed) -> None:
        async def set_speed(parent, value):
            if value.Value > 1000:
                return ua.StatusCode(ua.StatusCodes.BadOutOfRange)
            await speed.write_value(value.Value, V.Double)
            return []

        async def start(parent):
            return []

        add = self.skid.add_method
        await add(self.name_id("SetSpeed"), f"{self.space}:SetSpeed", set_speed, [V.Double])
        await add(self.name_id("Start"), f"{self.space}:Start", start, [])

    async def _analog(self) -> None:
        level = await self.add("Level", 40.0)
        unit = ua.EUInformation(DisplayName=ua.LocalizedText("%"))
        await level.add_property(ua.NodeId("unit", self.space), "0:EngineeringUnits", unit)
        span = ua.Range(0.0, 80.0)
        await level.add_property(ua.NodeId("span", self.space), "0:EURange", span)

    async def _enumerations(self) -> None:
        """Three ways to name what a number means."""
        kinds = self.server.nodes.enum_data_type
        named = await kinds.add_data_type(self.name_id("Mode type"), f"{self.space}:ModeType")
        texts = [ua.LocalizedText(name) for name in ("off", "shadow", "auto")]
        await named.add_property(ua.NodeId("mode names", self.space), "0:EnumStrings", texts)
        defined = await kinds.add_data_type(self.name_id("Phase type"), f"{self.space}:PhaseType")
        fields = [ua.EnumField(Name="Fill", Value=10), ua.EnumField(Name="Empty", Value=20)]
        await defined.write_attribute(
            ua.AttributeIds.DataTypeDefinition,
            ua.DataValue(ua.Variant(ua.EnumDefinition(fields), V.ExtensionObject)),
        )
        for name, kind, value in (("Mode", named, 2), ("Phase", defined, 20)):
            title = ua.QualifiedName(name, self.space)
            node = await self.skid.add_variable(
                self.name_id(name), title, ua.Variant(value, V.Int32), datatype=kind.nodeid
            )
            await node.set_writable()
        valve = await self.add("Valve", True)
        for name, text in (("TrueState", "open"), ("FalseState", "closed")):
            title = ua.LocalizedText(text)
            await valve.add_property(ua.NodeId(name, self.space), f"0:{name}", title)

    async def obey(self, command: str, name: str, value: str) -> None:
        if command == "add":
            await self.add(name, float(value))
        elif command == "set":
            await self.server.get_node(self.name_id(name)).write_value(float(value))
        elif command == "list":
            values = [float(each) for each in value.split(",")]
            await self.server.get_node(self.name_id(name)).write_value(values, V.Double)
        elif command == "delete":
            node = await self.skid.get_child(ua.QualifiedName(name, self.space))
            await self.server.delete_nodes([node])


def cut(variant: ua.Variant, part: str) -> ua.DataValue:
    """The elements that an index range names, as an array or matrix of them alone."""
    if ":" in part:
        first, last = map(int, part.split(":"))
        return ua.DataValue(ua.Variant(variant.Value[first : last + 1], variant.VariantType))
    value, places = variant.Value, [int(index) for index in part.split(",")]
    for index in places:
        if index >= len(value):
            code = ua.StatusCodes.BadIndexRangeNoData
            return ua.DataValue(None, ua.StatusCode(code))
        value = value[index]
    alone = [value] if len(places) == 1 else [[value]]
    sides = [1, 1] if len(places) == 2 else None
    return ua.DataValue(ua.Variant(alone, variant.VariantType, Dimensions=sides))


def keep_index_ranges() -> None:
    """asyncua's server pays no heed to them."""
    read, write = InternalSession.read, InternalSession.write

    async def read_part(session, params):
        results = await read(session, params)
        return [
            cut(result.Value, asked.IndexRange) if asked.IndexRange else result
            for asked, result in zip(params.NodesToRead, results, strict=True)
        ]

    async def write_part(session, params):
        for item in params.NodesToWrite:
            if item.IndexRange:
                asked = ua.ReadParameters(NodesToRead=[ua.ReadValueId(item.NodeId, 13)])
                whole = copy.deepcopy((await read(session, asked))[0].Value)
                first, _, end = item.IndexRange.partition(":")
                if end:
                    whole.Value[int(first) : int(end) + 1] = item.Value.Value.Value
                    item.Value, item.IndexRange = ua.DataValue(whole), None
                    continue
                *outer, last = map(int, item.IndexRange.split(","))
                inner = whole.Value
                for index in outer:
                    inner = inner[index]
                inner[last] = item.Value.Value.Value[0]
                while isinstance(inner[last], list):
                    inner[last] = inner[last][0]
                item.Value, item.IndexRange = ua.DataValue(whole), None
        return await write(session, params)

    InternalSession.read, InternalSession.write = read_part, write_part


def limit(most: int) -> None:
    """Refuse longer calls, as small servers do that announce no limit."""

    def bound(name: str, field: str) -> None:
        inner = getattr(InternalSession, name)

        async def call(session, params, *more):
            items = getattr(params, field) if field else params
            if len(items) > most:
                raise ua.uaerrors.BadTooManyOperations
            return await inner(session, params, *more)

        setattr(InternalSession, name, call)

    bound("create_monitored_items", "ItemsToCreate")
    bound("read", "NodesToRead")
    bound("browse", "NodesToBrowse")
    bound("translate_browsepaths_to_nodeids", "")


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--fillers", type=int, default=0)
    parser.add_argument("--most", type=int, default=0)
    parser.add_argument("--many", type=int, default=0)
    parser.add_argument("--without", default="")
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--arrays", action="store_true")
    options = parser.parse_args()
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{options.port}/tree")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    plant = Plant(server, options)
    await plant.build()
    if options.parts:
        keep_index_ranges()
    if options.most:
        limit(options.most)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with server:
        say("ready")
        while line := await reader.readline():
            command, name, value = [*line.decode().split(), ""][:3]
            await plant.obey(command, name, value)
            say("done")


if __name__ == "__main__":
    asyncio.run(main())
