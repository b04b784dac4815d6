"""A cluster of nats-server on loopback: JetStream for keeping, MQTT for the gateways.

The nodes are ended by their own process, never by name.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PROGRAM = "nats-server"
READY_S = 30.0
_POLL_S = 0.1


def find_server() -> str | None:
    """Debian keeps it in /usr/sbin, which is on nobody's path but root's."""
    return shutil.which(PROGRAM, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Node:
    """One nats-server. ``client``, ``mqtt``, ``monitor`` are its ports."""

    def __init__(self, name: str, folder: Path, ports: list[int]) -> None:
        self.name = name
        self.client, self.mqtt, self.monitor, self.route = ports
        self._folder = folder / name
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For clients of NATS."""
        return f"nats://127.0.0.1:{self.client}"

    @property
    def pid(self) -> int:
        """Of the running process; 0 when there is none."""
        return self._process.pid if self._process else 0

    def start(self, routes: list[int]) -> None:
        """Write its configuration and start it; see ``NatsCluster.start``."""
        program = find_server()
        if program is None:
            raise SystemExit(f"{PROGRAM} is missing. Debian: apt install {PROGRAM}")
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "server.conf"
        peers = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        config.write_text(
            f'server_name: "{self.name}"\n'
            f"listen: 127.0.0.1:{self.client}\nhttp: 127.0.0.1:{self.monitor}\n"
            f'jetstream {{ store_dir: "{self._folder}" }}\n'
            f"mqtt {{ listen: 127.0.0.1:{self.mqtt}, stream_replicas: {len(routes)} }}\n"
            + (
                f"cluster {{ name: fleet, listen: 127.0.0.1:{self.route}, routes: [{peers}] }}\n"
                if len(routes) > 1
                else ""
            )
        )
        log = str(self._folder / "server.log")
        self._process = subprocess.Popen([program, "-c", str(config), "-l", log])

    def end(self, how: signal.Signals) -> None:
        """Send the process a signal and wait until it is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(timeout=READY_S)

    @property
    def cpu_s(self) -> float:
        """User and system time of the running process so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_mb(self) -> float:
        """Memory of the running process."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def ask(self, what: str) -> dict[str, Any]:
        """One page of its monitoring; empty when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}/{what}", timeout=2) as r:
                found: dict[str, Any] = json.load(r)
                return found
        except (urllib.error.URLError, OSError, ValueError):
            return {}

    @property
    def ready(self) -> bool:
        """Whether it answers, and its JetStream has caught up with the leader."""
        return self.ask("healthz").get("status") == "ok"


class NatsCluster:
    """Some nodes of one cluster; one alone is a server without a cluster."""

    def __init__(self, folder: Path, nodes: int) -> None:
        ports = free_ports(4 * nodes)
        self.nodes = [Node(f"n{i + 1}", folder, ports[4 * i : 4 * i + 4]) for i in range(nodes)]
        self._routes = [node.route for node in self.nodes]

    def start(self) -> None:
        """Start all nodes and wait until they agree on a leader."""
        for node in self.nodes:
            node.start(self._routes)
        self.await_ready()

    def restart(self, node: Node) -> None:
        """Start a node that was killed; it takes part again when it has caught up."""
        node.start(self._routes)

    def await_ready(self) -> None:
        """Wait until each node says that it is well."""
        until = time.monotonic() + READY_S
        while not (all(node.ready for node in self.nodes) and self.leader):
            if time.monotonic() > until:
                raise SystemExit("the cluster did not get ready; see server.log of its nodes")
            time.sleep(_POLL_S)

    @property
    def leader(self) -> str:
        """The node that leads JetStream: it decides where streams lie. "" while there is none."""
        for node in self.nodes:
            if node.pid and (found := node.ask("jsz")):
                if len(self.nodes) == 1:
                    return node.name
                if name := found.get("meta_cluster", {}).get("leader", ""):
                    return str(name)
        return ""

    def stream_leader(self, stream: str) -> Node | None:
        """The node that leads a stream, and so takes what is stored in it."""
        for node in (n for n in self.nodes if n.pid):
            for account in node.ask("jsz?streams=1&accounts=1").get("account_details", ()):
                for each in account.get("stream_detail", ()):
                    name = each.get("cluster", {}).get("leader", self.nodes[0].name)
                    if each["name"] == stream:
                        return next((n for n in self.nodes if n.name == name), None)
        return None

    def stop(self) -> None:
        """End what runs."""
        for node in self.nodes:
            node.end(signal.SIGTERM)
