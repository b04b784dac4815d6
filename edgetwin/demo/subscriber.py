"""An independent MQTT client: what the world outside gets to see of the gateway.

It speaks with the broker directly, never through the line that the demo cuts, and knows of the
gateway only what docs/upstream.md says: births, states, and records with stream and sequence.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TextIO, TypeAlias

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgetwin.core import received
from edgetwin.core.encoding import expand

Message: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class Received:
    """Everything that came, in order, and what it says about completeness.

    The lists hold messages as ``core.received.read`` gives them; a record that came twice is there
    once and counted in ``doubles``. ``captured`` counts the bytes of captures, ``size`` the rest.
    """

    messages: int = 0
    size: int = 0
    captured: int = 0
    doubles: int = 0
    states: list[Message] = field(default_factory=list)
    births: list[Message] = field(default_factory=list)
    events: list[Message] = field(default_factory=list)
    summaries: list[Message] = field(default_factory=list)
    gaps: list[Message] = field(default_factory=list)
    sequences: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def take(self, topic: str, raw: bytes) -> None:
        """Sort one message in. What is no message of edgetwin is left alone."""
        try:
            message = received.read(expand(raw))
        except ValueError:
            return
        self.messages += 1
        if topic.endswith("/capture"):
            self.captured += len(topic.encode()) + len(raw)
        else:
            self.size += len(topic.encode()) + len(raw)
        if "stream" in message:
            self._record(message)
        elif "tags" in message:
            self.births.append(message)
        elif "status" in message:
            self.states.append(message)

    def _record(self, message: Message) -> None:
        known = self.sequences[message["stream"]]
        if message["seq"] in known:
            self.doubles += 1
            return
        known.add(message["seq"])
        if "kind" in message:
            self.events.append(message)
        elif "gap" in message:
            self.gaps.append(message)
        elif "frames" in message:
            self.summaries.append(message)

    @property
    def records(self) -> int:
        """How many different records came."""
        return sum(map(len, self.sequences.values()))

    @property
    def missing(self) -> int:
        """How many sequence numbers are not there, between the first of a stream and its last."""
        return sum(max(s) - min(s) + 1 - len(s) for s in self.sequences.values())

    def unit(self, tag: str) -> str:
        """The unit of a tag by the last birth."""
        tags = self.births[-1]["tags"] if self.births else []
        return next((each.get("unit", "") for each in tags if each["name"] == tag), "")

    def table(self, summary: Message) -> dict[str, dict[str, Any]]:
        """A summary by the names of its birth; empty if that birth never came."""
        for birth in reversed(self.births):
            if birth["birth"] == summary["birth"]:
                return received.tabulate(summary, birth)
        return {}


class Subscriber:
    """Listens below one topic. Connect, then wait for what you expect to be received."""

    def __init__(self, topic: str, keep: TextIO | None = None) -> None:
        """Nothing is connected yet. Needs a running event loop.

        ``keep`` gets each message as a line: ``{"topic": …, "payload": …}``.
        """
        self.received = Received()
        self._keep = keep
        self._topic = topic
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._ready = asyncio.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id="demo-subscriber",
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe

    async def connect(self, port: int) -> None:
        """Connect to a broker on loopback and be subscribed.

        Raises:
            OSError, TimeoutError: it is not there, or does not answer.
        """
        await asyncio.to_thread(self._client.connect, "127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(self._topic, qos=1)
        async with asyncio.timeout(5.0):
            await self._ready.wait()

    async def until(self, fact: Callable[[Received], bool], seconds: float) -> bool:
        """Wait for messages until a fact holds. False: it did not within that time."""
        try:
            async with asyncio.timeout(seconds):
                while not fact(self.received):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    # These run in paho's thread: hand over to the loop, and do nothing else.

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self._take, message.topic, message.payload)

    def _on_subscribe(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ready.set)

    def _take(self, topic: str, raw: bytes | bytearray) -> None:
        self.received.take(topic, bytes(raw))
        if self._keep is not None:
            line = {"topic": topic, "payload": raw.decode(errors="backslashreplace")}
            self._keep.write(json.dumps(line) + "\n")
        self._news.set()
