"""A real broker, a line to it that can be spoiled, and an independent subscriber that keeps count.

Tests have no packages, so this is loaded by path: by ``tests/conftest.py`` (fixtures ``mosquitto``,
``upstream_rig``) and by ``scripts/campaigns/kill_upstream``. Nothing here uses edgetwin.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

DEADLINE_S = 10.0


def find_mosquitto() -> str | None:
    """Debian keeps it in /usr/sbin, which is on nobody's path but root's."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """One broker on loopback; it remembers sessions and messages over a restart.

    Stopped by its own pid.
    """

    def __init__(self, folder: Path, extra: str = "", *, anonymous: bool = True) -> None:
        self.port = free_port()
        self.host = "127.0.0.1"
        self._process: subprocess.Popen[str] | None = None
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"user root\npersistence true\npersistence_location {folder}/\n"
            f"listener {self.port} 127.0.0.1\nallow_anonymous {str(anonymous).lower()}\n"
            f"max_queued_messages 0\nmax_inflight_messages 0\nconnection_messages false\n"
            f"log_dest stderr\nlog_type error\nlog_type information\n{extra}\n"
        )

    def start(self) -> None:
        """Start, and wait until it says that it runs."""
        program = find_mosquitto()
        assert program, "mosquitto is missing"
        self._process = subprocess.Popen(
            [program, "-c", str(self._config)], stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr
        said = ""
        too_late = threading.Timer(DEADLINE_S, self._process.kill)
        too_late.start()
        try:
            for line in self._process.stderr:
                said += line
                if line.rstrip().endswith("running"):
                    return
        finally:
            too_late.cancel()
        raise AssertionError(f"mosquitto did not start: {said}")

    def stop(self) -> None:
        """End it as a service manager does; it saves what it holds."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.communicate(timeout=DEADLINE_S)


class Ledger:
    """Everything a subscriber saw, by stream and sequence."""

    def __init__(self) -> None:
        self.raw = 0
        self.records: dict[str, dict[int, str]] = defaultdict(dict)
        self.retained: dict[str, dict] = {}
        self.gaps: list[dict] = []
        self.conflicts: list[tuple[str, int]] = []
        self.reordered = 0
        self._highest: Counter[str] = Counter()
        self._line = 0
        self._by: dict[tuple[str, int], int] = {}
        self._cost: Counter[int] = Counter()

    def begin(self) -> None:
        """The subscriber's own line is new: what it missed, nobody knows."""
        self._line += 1

    @property
    def most_again(self) -> int:
        """Of what one connection of the sender had delivered, so much came once more, at most.

        It may come much later: who is killed while it catches up leaves what was new then behind
        all that is old.
        """
        return max(self._cost.values(), default=0)

    def add(self, topic: str, payload: bytes, *, repeated: bool = False) -> None:
        """Take a message; ``repeated`` says that the broker gives it a second time, of itself."""
        message = json.loads(payload)
        if "stream" not in message:
            if not repeated and message.get("status") == "online":
                self._line += 1  # a connection begins: what it sends comes behind this
            self.retained[topic.rpartition("/")[2]] = message
            return
        self.raw += 1
        stream, sequence = message["stream"], message["seq"]
        seen = self.records[stream]
        text = payload.decode()
        if sequence in seen:
            if seen[sequence] != text:
                self.conflicts.append((stream, sequence))
            self._cost[self._by[stream, sequence]] += not repeated
            self._by[stream, sequence] = self._line
            return
        self._by[stream, sequence] = self._line
        self.reordered += sequence < self._highest[stream]
        self._highest[stream] = max(self._highest[stream], sequence)
        seen[sequence] = text
        if "gap" in message:
            self.gaps.append(message["gap"])

    def holes(self) -> dict[str, list[int]]:
        """What is missing below the highest number of a stream, and told by no gap record."""
        told = {
            (gap["stream"], number)
            for gap in self.gaps
            if gap["from_seq"]
            for number in range(gap["from_seq"], gap["to_seq"] + 1)
        }
        missing = {
            stream: [n for n in range(1, max(seen)) if n not in seen and (stream, n) not in told]
            for stream, seen in self.records.items()
        }
        return {stream: numbers for stream, numbers in missing.items() if numbers}

    def doubles(self) -> list[str]:
        """Things said twice under different numbers, by all that follows the envelope."""
        bodies = Counter(
            text.partition('"at":')[2] or text.partition('"birth":')[2]
            for seen in self.records.values()
            for text in seen.values()
        )
        return [body for body, times in bodies.items() if times > 1]

    def messages(self, kind: str) -> list[dict]:
        """All records of streams that begin with a word, in order of their numbers."""
        return [
            json.loads(seen[number])
            for stream, seen in self.records.items()
            if stream.startswith(kind)
            for number in sorted(seen)
        ]

    @property
    def text(self) -> str:
        """Everything, as it was said."""
        return "".join(text for seen in self.records.values() for text in seen.values())

    @property
    def duplicates(self) -> int:
        """Messages delivered again under the number they had: allowed, and counted."""
        return self.raw - sum(map(len, self.records.values()))


class Subscriber:
    """An MQTT client of its own, in its own thread, with a session that the broker keeps."""

    def __init__(
        self, port: int, topics: str = "#", name: str = "independent", qos: int = 1
    ) -> None:
        self.ledger = Ledger()
        self._qos = qos
        self._news = threading.Condition()
        self._topics = topics
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            protocol=MQTTProtocolVersion.MQTTv311,
            clean_session=False,
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda *_: self._begin()
        self._client.on_subscribe = lambda *_: self._tell()
        self._client.on_message = self._take
        self._subscribed = False
        self._client.connect("127.0.0.1", port, keepalive=60)
        self._client.loop_start()
        with self._news:
            assert self._news.wait_for(lambda: self._subscribed, DEADLINE_S)

    def _begin(self) -> None:
        with self._news:
            self.ledger.begin()
        self._client.subscribe(self._topics, self._qos)

    def _tell(self) -> None:
        with self._news:
            self._subscribed = True
            self._news.notify_all()

    def _take(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        with self._news:
            repeated = message.dup or message.retain
            self.ledger.add(message.topic, message.payload, repeated=repeated)
            self._news.notify_all()

    def wait(self, until: Callable[[Ledger], bool], deadline_s: float = DEADLINE_S) -> bool:
        """Wait in this thread until the ledger looks as wanted."""
        with self._news:
            return self._news.wait_for(lambda: until(self.ledger), deadline_s)

    async def saw(self, until: Callable[[Ledger], bool], deadline_s: float = DEADLINE_S) -> bool:
        """The same, without holding up an event loop."""
        return await asyncio.to_thread(self.wait, until, deadline_s)

    def go_deaf(self) -> None:
        """Read nothing any more, and keep the line."""
        self._client._thread_terminate = True

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Proxy:
    """A line to a broker that can be cut, or made to swallow everything."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.swallow = False
        self.port = 0
        self.connections = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                if not self.swallow:
                    sink.write(data)
                    await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def close(self) -> None:
        self.cut()
        if self._server:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
