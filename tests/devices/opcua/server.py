"""A real OPC UA server in a process of its own, for tests and benchmarks.

python server.py PORT [--fillers N] [--many N] [--pki DIR] [--user NAME:PASSWORD] [--churn MS]

Prints "ready" when it answers, then obeys lines on stdin: "delete NAME".
"""

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.truststore import TrustStore
from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions

URI = "urn:edgetwin:test:plant"
MOMENT = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)

V = ua.VariantType
HOLDS = {
    "Boolean": (V.Boolean, True),
    "SByte": (V.SByte, -100),
    "Byte": (V.Byte, 200),
    "Int16": (V.Int16, -30_000),
    "UInt16": (V.UInt16, 60_000),
    "Int32": (V.Int32, -2_000_000_000),
    "UInt32": (V.UInt32, 4_000_000_000),
    "Int64": (V.Int64, -(2**62) - 1),
    "UInt64": (V.UInt64, 2**64 - 2),
    "Float": (V.Float, -12.375),
    "Double": (V.Double, 6.02214076e23),
    "String": (V.String, "Pumpe läuft"),
    "DateTime": (V.DateTime, MOMENT),
    "LocalizedText": (V.LocalizedText, ua.LocalizedText("running", "en")),
    "Small": (V.Int64, 42),
    "ByteString": (V.ByteString, b"\x01\xfe"),
    "Identity": (V.Guid, UUID("12345678-1234-5678-1234-567812345678")),
    "XmlElement": (V.XmlElement, ua.XmlElement("<a/>")),
    "QualifiedName": (V.QualifiedName, ua.QualifiedName("pump", 1)),
    "StatusCode": (V.StatusCode, ua.StatusCode(0x40910000)),
}
ODD = {
    "Array": ua.Variant([1.0, 2.0], V.Double),
    "Nan": ua.Variant(float("nan"), V.Double),
    "Null": ua.Variant(None, V.String),
    "Guid": ua.Variant(ua.NodeId(1, 0), V.NodeId),
}


class Users:
    def __init__(self, text: str) -> None:
        self.name, _, self.password = text.partition(":")

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if (username, password) == (self.name, self.password):
            return User(role=UserRole.User, name=username)
        return None


async def add(folder, space: int, name: str, variant: ua.Variant, number: int, *, writable=True):
    ids = (ua.NodeId(name, space), ua.NodeId(1000 + number, space))
    for node_id in ids:
        title = ua.QualifiedName(f"{name} {node_id.Identifier}", space)
        node = await folder.add_variable(node_id, title, variant)
        if writable:
            await node.set_writable()


async def fill(server: Server, options: argparse.Namespace) -> int:
    for filler in range(options.fillers):
        await server.register_namespace(f"urn:edgetwin:test:filler{filler}")
    space = await server.register_namespace(URI)
    folder = await server.nodes.objects.add_folder(ua.NodeId("Plant", space), "Plant")
    for number, (name, (kind, value)) in enumerate(HOLDS.items()):
        await add(folder, space, name, ua.Variant(value, kind), number)
    for number, (name, variant) in enumerate(ODD.items(), start=50):
        await add(folder, space, name, variant, number)
    fixed = ua.Variant(7.5, V.Double)
    await add(folder, space, "Fixed", fixed, 90, writable=False)
    # The same numeric and text id in another namespace: what a moved index would show instead.
    for other in range(2, space):
        decoy = ua.Variant(-999.0, V.Double)
        await folder.add_variable(ua.NodeId("Double", other), "decoy", decoy)
        await folder.add_variable(ua.NodeId(1010, other), "decoy", decoy)
    for number in range(options.many):
        value = ua.Variant(number + 0.5, V.Double)
        await folder.add_variable(ua.NodeId(f"Many.{number}", space), f"many {number}", value)
    return space


class Holders:
    """Lets in who holds the key of a certificate in a folder."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def get_user(self, iserver, username=None, password=None, certificate=None):
        known = [path.read_bytes() for path in self.folder.iterdir()]
        if certificate in known:
            return User(role=UserRole.User, name="holder")
        return None


async def secure(server: Server, options: argparse.Namespace) -> None:
    pki = Path(options.pki)
    certificate, key = pki / "server.der", pki / "server.pem"
    await server.load_certificate(str(certificate))
    await server.load_private_key(str(key))
    server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])


async def churn(server: Server, space: int, options: argparse.Namespace) -> None:
    """Give all "many" nodes new values again and again."""
    step = 0.0
    while options.churn:
        await asyncio.sleep(options.churn / 1000)
        step += 1.0
        stamp = datetime.now(UTC)
        for number in range(options.many):
            value = ua.DataValue(ua.Variant(number + step, V.Double), SourceTimestamp=stamp)
            await server.write_attribute_value(ua.NodeId(f"Many.{number}", space), value)


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


async def obey(server: Server, space: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command, name = line.decode().split()
        if command == "delete":
            await server.delete_nodes([server.get_node(ua.NodeId(name, space))])
        say("done")


def options_of(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--fillers", type=int, default=0)
    parser.add_argument("--many", type=int, default=0)
    parser.add_argument("--pki")
    parser.add_argument("--user")
    parser.add_argument("--users")
    parser.add_argument("--clients")
    parser.add_argument("--churn", type=int, default=0)
    return parser.parse_args(arguments)


async def main() -> None:
    options = options_of(sys.argv[1:])
    manager = Users(options.user) if options.user else None
    server = Server(user_manager=Holders(options.users) if options.users else manager)
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{options.port}/test")
    if options.pki:
        await server.set_application_uri("urn:edgetwin:test:server")
        await secure(server, options)
    else:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    if options.users:
        server.set_identity_tokens([ua.X509IdentityToken])
    if options.clients:
        store = TrustStore([Path(options.clients)], [])
        await store.load()
        server.set_certificate_validator(
            CertificateValidator(CertificateValidatorOptions.TRUSTED, store)
        )
    if options.user:
        server.set_identity_tokens([ua.UserNameIdentityToken])
    space = await fill(server, options)
    async with server:
        say("ready")
        changing = asyncio.create_task(churn(server, space, options))
        await obey(server, space)
        changing.cancel()


if __name__ == "__main__":
    asyncio.run(main())
