"""All that somebody who owns the broker, or a key, can do with requests; and what came of it.

A real daemon, a real mosquitto, a real Modbus server, each a process of its own. What is sent:

    forged     without a key: flipped bits, cuts, additions, junk, other algorithms, other keys
    stolen     tokens that were signed for another time, place or occasion: replays, other gateways
    betrayed   signed by the right key, but wrong: types, numbers, depth, tags, limits

Loaded by path: by ``test_hostile_requests.py`` and by ``scripts/campaigns/hostile_requests``.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from edgetwin.core.remote import State
from edgetwin.status.control import ask

ROOT = Path(__file__).resolve().parents[2]
DEVICE = ROOT / "tests" / "e2e" / "modbus_device.py"
GATEWAY = "besieged"
REQUEST, REPLY = f"edgetwin/{GATEWAY}/request", f"edgetwin/{GATEWAY}/reply"
CHECKS = 180  # signatures a second: the gateway checks 200
CHUNK = 400
STALE_S = 8
DEADLINE_S = 30
CONFIG = """\
gateway: besieged
state: {state}
control: {{enabled: true}}
devices:
  skid:
    driver: modbus
    address: 127.0.0.1:{device}
    scan: 100 ms
    tags:
      n: {{at: 4x0001, type: float32, write: {{min: 600, max: 1750}}}}
      m: {{at: 4x0003, type: float32, write: {{min: 0, max: 10}}}}
loops:
  pressure: {{law: pid, pv: skid/n, sp: 2, mv: skid/m, gain: 1, mode: shadow}}
upstream:
  cloud:
    broker: "mqtt://127.0.0.1:{broker}"
    requests: {{keys: [{key}], tags: [skid/n]}}
"""


# ---------------------------------------------------------------- what is sent


@dataclass(frozen=True)
class Attack:
    """One message. ``reason``: what it must be counted as ("": any); ``checked``: by signature.

    ``nonce``: of what is authentic, so that a reply must come.
    """

    kind: str
    token: bytes
    reason: str = ""
    checked: bool = True
    nonce: str = ""


class Attacks:
    """Makes attacks of every kind, one after the other, by a seed."""

    def __init__(self, signer: Any, thief: Any, seed: int) -> None:
        self.signer = signer
        self._thief = thief
        self._dice = random.Random(seed)
        self.stolen: list[tuple[bytes, str]] = []  # tokens that were carried out, and their nonces
        self._makers: list[Callable[[], Attack]] = [
            *(self._flipped, self._cut, self._longer, self._spliced, self._junk, self._deep),
            *(self._none, self._hs256, self._other_key, self._unknown_key, self._resigned),
            *(self._other_gateway, self._expired, self._future, self._too_long, self._replayed),
            *(self._number, self._typed, self._twice, self._extra, self._nested, self._large),
            *(self._unlisted, self._outside, self._loop, self._misfit),
        ]

    def make(self, count: int) -> list[Attack]:
        """So many, all kinds in turn."""
        return [self._makers[n % len(self._makers)]() for n in range(count)]

    def good(self, **more: object) -> tuple[bytes, str]:
        """A request that is carried out if it arrives as it is, and its nonce."""
        wanted = {"write": {"tag": "skid/n", "value": self._dice.uniform(600, 1750)}, **more}
        content = self.signer.content(GATEWAY, **wanted)
        return self.signer.sign_content(content), str(content["nonce"])

    # forged

    def _flipped(self) -> Attack:
        token = bytearray(self.good()[0])
        token[self._dice.randrange(len(token))] ^= 1 << self._dice.randrange(8)
        return Attack("bit flip", bytes(token))

    def _cut(self) -> Attack:
        token = self.good()[0]
        return Attack("cut", token[: self._dice.randrange(len(token))])

    def _longer(self) -> Attack:
        return Attack("addition", self.good()[0] + self._dice.choice([b"=", b".", b"A", b"\0"]))

    def _spliced(self) -> Attack:
        (head, _, mark), (_, body, _) = (self.good()[0].split(b".") for _ in range(2))
        return Attack("two spliced", b".".join([head, body, mark]), "wrong signature")

    def _junk(self) -> Attack:
        content = self._dice.randbytes(self._dice.randrange(3000))
        return Attack("junk", content.replace(b".", b""), "no signed request", checked=False)

    def _deep(self) -> Attack:
        depth = self._dice.choice([1_000, 10_000, 60_000])
        return Attack("deep JSON", b"[" * depth, checked=False)

    def _none(self) -> Attack:
        head, body, mark = self.good()[0].split(b".")
        head = _b64(json.dumps({"alg": "none", "kid": self.signer.kid}).encode())
        token = b".".join([head, body, self._dice.choice([b"", mark])])
        return Attack("alg none", token, "wrong header", checked=False)

    def _hs256(self) -> Attack:
        _, body, _ = self.good()[0].split(b".")
        head = _b64(json.dumps({"alg": "HS256", "kid": self.signer.kid}).encode())
        mac = hmac.new(self.signer.public, head + b"." + body, hashlib.sha256).digest()
        token = b".".join([head, body, _b64(mac)])
        return Attack("alg HS256", token, "wrong header", checked=False)

    def _other_key(self) -> Attack:
        token = self._thief.sign_content(self.signer.content(GATEWAY, write=_WANTED))
        return Attack("another key of the name", token, "wrong signature")

    def _unknown_key(self) -> Attack:
        head = json.dumps({"alg": "EdDSA", "kid": "../../etc/passwd"}).encode()
        token = self._thief.sign(json.dumps(self.signer.content(GATEWAY)).encode(), head)
        return Attack("unknown key", token, "unknown key", checked=False)

    def _resigned(self) -> Attack:
        head, body, _ = self.good()[0].split(b".")
        token = b".".join([head, body, _b64(self._dice.randbytes(64))])
        return Attack("random signature", token, "wrong signature")

    # stolen

    def _other_gateway(self) -> Attack:
        token = self.signer.request(f"{GATEWAY}2", write=_WANTED)
        return Attack("another gateway", token, "for another gateway")

    def _expired(self) -> Attack:
        now = time.time_ns() // 1_000_000
        return self._signed("expired", "expired", issued=now - 25_000, expires=now - 1)

    def _future(self) -> Attack:
        now = time.time_ns() // 1_000_000
        late = {"issued": now + 10_000, "expires": now + 20_000}
        return self._signed("future", "issued in the future", **late)

    def _too_long(self) -> Attack:
        now = time.time_ns() // 1_000_000
        return self._signed(
            "valid too long", "valid for too long", issued=now, expires=now + 30_001
        )

    def _replayed(self) -> Attack:
        token, nonce = self._dice.choice(self.stolen)
        return Attack("replay", token, nonce=nonce)

    # betrayed

    def _number(self) -> Attack:
        value = self._dice.choice([b"NaN", b"Infinity", b"-Infinity", b"1e400", b"1" + b"0" * 500])
        content = json.dumps(self.signer.content(GATEWAY, write=_WANTED)).encode()
        token = self.signer.sign(content.replace(b"700.5", value))
        return Attack("no number", token, "unreadable")

    def _typed(self) -> Attack:
        name = self._dice.choice(["sequence", "nonce", "issued", "expires", "by", "gateway"])
        value = self._dice.choice([True, [], {}, "", 1.5, "1", -1])
        if name in ("by", "gateway") and value == "1":
            value = 1
        content = {**self.signer.content(GATEWAY, write=_WANTED), name: value}
        token = self.signer.sign_content(content)
        return Attack("wrong type", token, "unreadable")

    def _twice(self) -> Attack:
        content = json.dumps(self.signer.content(GATEWAY, write=_WANTED)).encode()
        token = self.signer.sign(content.replace(b'"by"', b'"by": "Bob", "by"'))
        return Attack("a member twice", token, "unreadable")

    def _extra(self) -> Attack:
        token = self.signer.request(GATEWAY, write=_WANTED, force=True)
        return Attack("a member more", token, "unreadable")

    def _nested(self) -> Attack:
        depth = self._dice.choice([3, 100, 1400])
        token = self.signer.sign(b"[" * depth + b"]" * depth)
        return Attack("signed and deep", token, "unreadable")

    def _large(self) -> Attack:
        token = self.signer.request(GATEWAY, write=_WANTED, by="x" * 4000)
        return Attack("signed and large", token, "too large", checked=False)

    def _unlisted(self) -> Attack:
        tag = self._dice.choice(["skid/m", "skid/nowhere", "loop/pressure.out", "../n"])
        return self._signed("unlisted tag", "taken", write={"tag": tag, "value": 5})

    def _outside(self) -> Attack:
        value = self._dice.choice([599.9, 1750.1, -1e300, 2**53])
        return self._signed("outside limits", "taken", write={"tag": "skid/n", "value": value})

    def _misfit(self) -> Attack:
        value = self._dice.choice([[700.5], [700.5] * 100, "700.5", "AUTO"])
        return self._signed("no single number", "taken", write={"tag": "skid/n", "value": value})

    def _loop(self) -> Attack:
        wanted = {"loop": "pressure", "mode": "auto"}
        return self._signed("unlisted loop", "taken", write=None, loop=wanted)

    def _signed(self, kind: str, reason: str, **more: object) -> Attack:
        token, nonce = self.good(**more)
        return Attack(kind, token, reason, nonce=nonce)


_WANTED = {"tag": "skid/n", "value": 700.5}


def _b64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


# ---------------------------------------------------------------- who is attacked


@dataclass
class Report:
    """What came of it."""

    sent: Counter[str] = field(default_factory=Counter)
    expected: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    heard: int = 0
    applied: int = 0
    written: list[float] = field(default_factory=list)
    unanswered: set[str] = field(default_factory=set)
    replies: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    tracebacks: int = 0
    rss_mb: tuple[float, float] = (0.0, 0.0)

    def faults(self) -> list[str]:
        """What must not be; empty if the gateway has held."""
        found = {
            f"{len(self.written)} writes at the device, {self.applied} were allowed": (
                len(self.written) == self.applied
            ),
            f"{self.applied} carried out, {self.sent['allowed']} were allowed": (
                self.applied == self.sent["allowed"]
            ),
            f"{self.heard} heard of {sum(self.sent.values())} sent": (
                self.heard == sum(self.sent.values())
            ),
            f"{sum(self.counted.values())} counted of {self.heard} heard": (
                sum(self.counted.values()) == self.heard
            ),
            f"{len(self.unanswered)} authentic ones without a reply": not self.unanswered,
            f"{self.tracebacks} exceptions escaped": not self.tracebacks,
            f"memory went from {self.rss_mb[0]} to {self.rss_mb[1]} MB": (
                self.rss_mb[1] <= self.rss_mb[0] + 20
            ),
        }
        for reason, count in self.expected.items():
            found[f"{reason}: {self.counted[reason]} counted, {count} or more expected"] = (
                self.counted[reason] >= count
            )
        return [words for words, good in found.items() if not good]


class Siege:
    """A daemon, a device and a broker; and the cloud application that attacks."""

    def __init__(self, folder: Path, broker: int, signer_module: Any, seed: int) -> None:
        self.signer = signer_module.Signer("control-room")
        key = self.signer.save(folder)
        self.signer.public = key.read_bytes()
        self.attacks = Attacks(self.signer, signer_module.Signer("control-room"), seed)
        self.report = Report()
        self._folder, self._broker, self._key = folder, broker, key
        self._waiting: dict[str, float] = {}
        self._news = asyncio.Event()
        self._ended: dict[str, str] = {}
        self.applied_values: set[float] = set()
        self._heard = 0
        self._stolen_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="attacker")
        self._client.max_inflight_messages_set(0)
        self._client.max_queued_messages_set(0)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", broker)
        self._client.subscribe(REPLY, 1)
        self._client.loop_start()

    def _take(self, _client: Client, _data: object, message: Any) -> None:
        said = json.loads(message.payload)
        self._loop.call_soon_threadsafe(self._keep, said)

    def _keep(self, said: dict[str, Any]) -> None:
        self.report.replies[said["state"]] += 1
        begun = self._waiting.pop(said["nonce"], None)
        if said["state"] != State.UPDATING:
            self._ended[said["nonce"]] = said["state"]
        if said["state"] == State.APPLIED:
            self.applied_values.add(said.get("read_back", 0.0))
        self._news.set()
        if begun is not None:
            self.report.slowest_s = max(self.report.slowest_s, time.monotonic() - begun)

    # ------------------------------------------------------------ the gateway

    @asynccontextmanager
    async def device(self):
        """The Modbus server; at the end the report has what was written to it."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(DEVICE), "0"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        port = int((await process.stdout.readline()).split()[1])
        process.stdin.write(b'{"held": [1000.0, 5.0]}\n')
        await process.stdout.readline()
        try:
            yield port
            process.stdin.write(b"{}\n")
            self.report.written = json.loads(await process.stdout.readline())["written"]
        finally:
            process.kill()
            await process.communicate()

    @asynccontextmanager
    async def gateway(self, device: int, end: int = signal.SIGTERM, *, settled: bool = True):
        """The daemon, from when it listens to its end; its counts go to the report.

        Not ``settled``: it ends in the middle of whatever it does.
        """
        file = self._folder / "siege.yaml"
        text = {"state": self._folder / "state", "device": device, "broker": self._broker}
        file.write_text(CONFIG.format(**text, key=self._key))
        self._heard = 0
        with (self._folder / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edgetwin", "run", str(file)), stderr=log, cwd=self._folder
            )
            try:
                await self._until(lambda s: _told(s)["connected"] and s["tags"]["good"] >= 2)
                yield process
                if settled:
                    status = await self._until(self._is_settled)
                    self._collect(_told(status), status)
            finally:
                process.send_signal(end)
                await asyncio.wait_for(process.wait(), DEADLINE_S)
        self.report.tracebacks = (self._folder / "log").read_text().count("Traceback")

    async def _until(self, fact: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask for status until a fact holds: the control socket answers and does not push."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    status = await asyncio.to_thread(ask, self._folder / "state", {"do": "status"})
                except Exception:  # noqa: BLE001 - it does not run yet
                    status = {}
                if status and fact(status):
                    return status
                await asyncio.sleep(0.05)

    def _is_settled(self, status: dict[str, Any]) -> bool:
        """All that was sent is heard, and nothing waits in the tray any more."""
        told = _told(status)
        return self._heard <= told["heard"] == told["taken"] + sum(told["refused"].values())

    def _collect(self, told: dict[str, Any], status: dict[str, Any]) -> None:
        self.report.heard += told["heard"]
        self.report.counted.update(told["refused"])
        self.report.counted["taken"] += told["taken"]
        self.report.applied += told["ended"].get("applied", 0)
        first, _ = self.report.rss_mb
        self.report.rss_mb = (first or status["rss_mb"], status["rss_mb"])

    # ------------------------------------------------------------ the attacks

    def _send(self, attack: Attack) -> None:
        self.report.sent[attack.kind] += 1
        self._heard += 1
        if attack.reason:
            self.report.expected[attack.reason] += 1
        if attack.nonce:
            self._waiting[attack.nonce] = time.monotonic()
        self._client.publish(REQUEST, attack.token, 1)

    def send_plain(self, token: bytes) -> None:
        """Send what is not accounted for."""
        self._client.publish(REQUEST, token, 1)

    async def allowed(self) -> None:
        """A good request: carried out, and stolen from then on."""
        token, nonce = self.attacks.good()
        self._send(Attack("allowed", token, "taken", nonce=nonce))
        state = await self._end_of(nonce)
        assert state == State.APPLIED, state
        self.attacks.stolen = [*self.attacks.stolen[-2:], (token, nonce)]
        self._stolen_at = self._loop.time()

    async def applied_at_last(self) -> None:
        """Ask until nothing else is under way: what was asked before has then ended."""
        state = ""
        while state != State.APPLIED:
            token, nonce = self.attacks.good()
            self.send_plain(token)
            state = await self._end_of(nonce)

    async def _end_of(self, nonce: str) -> str:
        async with asyncio.timeout(DEADLINE_S):
            while nonce not in self._ended:
                self._news.clear()
                await self._news.wait()
        return self._ended[nonce]

    async def judged(self, count: int) -> None:
        """So many attacks, no faster than each is looked at."""
        status = await self._until(bool)
        if not self.report.rss_mb[0]:
            self.report.rss_mb = (status["rss_mb"], 0.0)
        while count > 0:
            if self._loop.time() - self._stolen_at > STALE_S:
                await self.allowed()  # what has expired would not be refused as a replay
            begun = self._loop.time()
            chunk = self.attacks.make(min(count, CHUNK // 2))
            count -= len(chunk)
            for attack in chunk:
                self._send(attack)
            await self._until(lambda s: _told(s)["heard"] >= self._heard)
            rest = begun + sum(a.checked for a in chunk) / CHECKS - self._loop.time()
            await asyncio.sleep(max(0.0, rest))
        await self._answered()

    async def flood(self, count: int) -> None:
        """So many as fast as they go: what is not looked at is counted all the same."""
        while count > 0:
            chunk = self.attacks.make(min(count, 5 * CHUNK))
            count -= len(chunk)
            for attack in chunk:
                self._send(Attack("flood", attack.token))
            await self._until(lambda s: _told(s)["heard"] >= self._heard)

    async def retained(self) -> None:
        """A fresh request, retained while nobody listens; it must be sent before the gateway."""
        self._client.publish(REQUEST, self.attacks.good()[0], 1, retain=True)

    async def met_retained(self) -> None:
        """The gateway has been given it: on its first connection, and on each later one."""
        for life in range(3):
            self.report.sent["retained"] += 1
            self.report.expected["retained"] += 1
            self._heard += 1
            await self._until(lambda s: _told(s)["heard"] >= self._heard)
            if life < 2:  # whoever takes the client id hangs up on the gateway, which comes back
                await self._until(lambda s: _told(s)["connected"])
                usurper = Client(CallbackAPIVersion.VERSION2, f"edgetwin-{GATEWAY}-cloud-requests")
                usurper.connect("127.0.0.1", self._broker)
                usurper.loop_start()
                await self._until(lambda s: not _told(s)["connected"])
                usurper.disconnect()
                usurper.loop_stop()
        self._client.publish(REQUEST, b"", 1, retain=True)  # clears it, and is heard as a live one
        self._heard += 1
        self.report.sent["empty"] += 1
        await self._until(lambda s: _told(s)["connected"] and _told(s)["heard"] >= self._heard)

    async def huge(self) -> None:
        """100 MB: a broker that keeps the gateway's limit does not even pass it on."""
        self._client.publish(REQUEST, b"[" * 100_000_000, 1).wait_for_publish(DEADLINE_S)

    async def _answered(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while self._waiting:
                self._news.clear()
                await self._news.wait()

    def close(self) -> None:
        """Hang up."""
        self.report.unanswered = set(self._waiting)
        self._client.disconnect()
        self._client.loop_stop()


def _told(status: dict[str, Any]) -> dict[str, Any]:
    return status["office"]["requests"]["cloud"]


async def kill_and_repeat(
    kills: int, folder: Path, broker: int, signer_module: Any, *, seed: int = 1
) -> tuple[Counter[float], set[float]]:
    """Ask while the gateway is killed again and again, and ask all of it again after each kill.

    Gives how often each value was written, and those that were said to be applied.
    """
    siege = Siege(folder, broker, signer_module, seed)
    dice, sent = random.Random(seed), []

    async def ask_for(count: int) -> None:
        for _ in range(count):
            wanted = {"tag": "skid/n", "value": 600 + len(sent) / 8}  # each once, exact in float32
            sent.append((siege.attacks.good(write=wanted)[0], wanted["value"]))
            for token in (sent[-1][0], dice.choice(sent[-20:])[0]):
                siege.send_plain(token)
            await asyncio.sleep(dice.uniform(0, 0.03))

    try:
        async with siege.device() as device:
            for _ in range(kills):
                async with siege.gateway(device, signal.SIGKILL, settled=False):
                    for token, _ in sent[-100:]:
                        siege.send_plain(token)
                    await ask_for(dice.randrange(5, 40))
            async with siege.gateway(device, settled=False):
                for token, _ in sent[-200:]:
                    siege.send_plain(token)
                await siege.applied_at_last()
    finally:
        siege.close()
    return Counter(siege.report.written), siege.applied_values


async def besiege(
    count: int, folder: Path, broker: int, signer_module: Any, *, seed: int = 1, huge: bool = True
) -> Report:
    """Attack: in two lives of a gateway, one of them ended by SIGKILL."""
    siege = Siege(folder, broker, signer_module, seed)
    flood = count // 5
    try:
        async with siege.device() as device:
            async with siege.gateway(device, signal.SIGKILL):
                for _ in range(3):
                    await siege.allowed()
                await siege.judged((count - flood) // 2)
                await siege.allowed()  # stolen just before the end, and sent again after it
            await siege.retained()
            async with siege.gateway(device):
                await siege.met_retained()
                await siege.judged(count - flood - (count - flood) // 2)
                if huge:
                    await siege.huge()
                await siege.flood(flood)
    finally:
        siege.close()
    return siege.report
