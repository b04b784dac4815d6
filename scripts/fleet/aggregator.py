"""The aggregate twin: what is normal for each type of machine over all gateways, and back to them.

    aggregator.py FOLDER KEY EVERY LEAST MQTT-PORT[,PORT ...] URL [URL ...]

The one member of the group "ranges". Every EVERY seconds it computes the ranges of each type that
has LEAST machines, writes them to FOLDER/ranges-TYPE.json, signs them with KEY (Ed25519, PEM) and
publishes them, retained, to each gateway with such a machine: ``…/ranges/TYPE``. A gateway takes
them for a challenger only, and only if it is told to trust the key.
"""

import asyncio
import base64
import json
import signal
import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edgetwin.core import ranges, received
from edgetwin.core.plan import MqttSettings
from edgetwin.fleet.births import Births
from edgetwin.fleet.group import GroupLost, Member, Taken
from edgetwin.fleet.ranges import Gathering
from edgetwin.upstream.mqtt import MqttLink
from edgetwin.upstream.mqtt_dial import Message
from edgetwin.upstream.mqtt_refusal import LinkLost

GROUP, TOPICS = "ranges", "edgetwin/#"
_BATCH = 200
_WAIT_S = 1.0


class Fleet:
    """All that the births and summaries so far say of machines of a type."""

    def __init__(self) -> None:
        self.births = Births()
        self.gathered: dict[tuple[str, int], Gathering] = {}
        self.owners: dict[str, set[str]] = {}
        self.sick = 0

    def take(self, topic: str, raw: bytes) -> None:
        """Sort one message in; what is no message of a gateway is left alone."""
        gateway, _, kind = topic.rpartition("/")
        try:
            message = received.read(raw)
        except ValueError:
            return
        if kind == "birth":
            self.births.take(message)
        elif kind == "summary" and self.births.knows(message):
            self._summary(gateway, message)

    def _summary(self, gateway: str, message: dict[str, object]) -> None:
        window = round((int(message["to"]) - int(message["from"])) / 1000) * 1000  # type: ignore[call-overload]  # ms
        for machine in self.births.machines(gateway, message):
            if machine.sick:
                self.sick += 1
                continue
            key = machine.type, window
            self.gathered.setdefault(key, Gathering(*key)).take(machine.owner, machine.tags)
            self.owners.setdefault(machine.type, set()).add(gateway)


def seal(key: Ed25519PrivateKey, kid: str, content: bytes) -> bytes:
    """JWS in its compact form, as ``edgetwin.upstream.seal`` opens it."""
    header = json.dumps({"alg": "EdDSA", "kid": kid}, separators=(",", ":")).encode()
    signed = _base64(header) + b"." + _base64(content)
    return signed + b"." + _base64(key.sign(signed))


def _base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


class Sender:
    """Publishes ranges, and connects again when the line breaks."""

    def __init__(self, ports: list[int], key: Path) -> None:
        others = tuple(("127.0.0.1", port) for port in ports[1:])
        broker = MqttSettings(
            "127.0.0.1", ports[0], tls=False, client_id="fleet-ranges", others=others
        )
        self._link = MqttLink(broker, lambda _token: None)
        loaded = load_pem_private_key(key.read_bytes(), None)
        if not isinstance(loaded, Ed25519PrivateKey):
            raise SystemExit(f"{key} is no Ed25519 key")
        self._key, self._kid = loaded, key.stem

    async def send(self, told: ranges.Ranges, gateways: set[str]) -> bool:
        """One retained message for each gateway; whether all are acknowledged."""
        token = seal(self._key, self._kid, ranges.write(told))
        try:
            await self._link.connect(None)
            for n, gateway in enumerate(sorted(gateways), 1):
                self._link.publish(Message(f"{gateway}/ranges/{told.type}", token, retain=True))
                if n % self._link.window == 0:
                    await asyncio.wait_for(self._link.settled(), _WAIT_S * 10)
            await asyncio.wait_for(self._link.settled(), _WAIT_S * 10)
        except (LinkLost, TimeoutError) as error:
            print(error, file=sys.stderr)
            return False
        finally:
            self._link.close()
        return True


async def gather(member: Member, fleet: Fleet) -> None:
    """Take and acknowledge, for ever. What is known is rebuilt from the stream after a restart."""
    while True:
        try:
            taken: list[Taken] = await member.take(_BATCH, _WAIT_S)
        except GroupLost as lost:
            print(lost, file=sys.stderr)
            await asyncio.sleep(0.2)
            continue
        for each in taken:
            fleet.take(each.topic, each.payload)
            await each.done()


async def tell(fleet: Fleet, sender: Sender, folder: Path, every_s: float, least: int) -> None:
    """Compute, write down, sign, publish; for ever."""
    while True:
        await asyncio.sleep(every_s)
        for type_, window in list(fleet.gathered):
            made = fleet.gathered[type_, window].ranges(time.time_ns() // 1_000_000, least)
            if made is None:
                continue
            sent = await sender.send(made, fleet.owners[type_])
            (folder / f"ranges-{type_}.json").write_bytes(ranges.write(made))
            count = len(fleet.owners[type_])
            outcome = "acknowledged" if sent else "not all sent"
            print(f"ranges of {made.assets} machines to {count} gateways: {outcome}", flush=True)


async def main(folder: Path, key: Path, every_s: float, least: int, ports: list[int]) -> None:
    """Join, gather and tell until told to end."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    if task:
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    fleet = Fleet()
    async with Member.join(sys.argv[6:], GROUP, TOPICS) as member:
        await member.prepare()
        print("ready", flush=True)
        async with asyncio.TaskGroup() as group:
            group.create_task(gather(member, fleet))
            group.create_task(tell(fleet, Sender(ports, key), folder, every_s, least))


if __name__ == "__main__":
    try:
        where, signed_by, often, fewest, brokers = sys.argv[1:6]
        asyncio.run(
            main(
                Path(where),
                Path(signed_by),
                float(often),
                int(fewest),
                [int(port) for port in brokers.split(",")],
            )
        )
    except asyncio.CancelledError:
        sys.exit(0)
