"""The gateway as benches run it: ``edgetwin run`` in a process of its own, on a core of its own."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgetwin.core.errors import EdgetwinError
from edgetwin.status.control import ask

_READY_S = 60.0
_TRIES = 50


class Gateway:
    """The running daemon: its process, what it answers, and the log it writes."""

    def __init__(self, process: "subprocess.Popen[str]", state: Path, log: Path) -> None:
        self.process = process
        self.log = log
        self._state = state

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """An answer; a daemon that has too little of its core may need a second try.

        Raises:
            SystemExit: it does not answer; the end of its log says why.
        """
        for _ in range(_TRIES):
            try:
                return ask(self._state, request)
            except EdgetwinError:
                time.sleep(0.1)
        raise SystemExit(f"the gateway does not answer:\n{self.log.read_text()[-2000:]}")

    def status(self) -> dict[str, Any]:
        """What ``edgetwin status --json`` shows."""
        return self.ask({"do": "status"})

    def wait_good(self) -> None:
        """Until all tags are good, or a minute is over."""
        end = time.monotonic() + _READY_S
        while time.monotonic() < end:
            tags = self.status()["tags"]
            if tags["good"] == tags["total"]:
                return
            time.sleep(0.2)


@contextmanager
def daemon(tree: dict[str, Any], core: int | None = None, *words: str) -> Iterator[Gateway]:
    """Run a configuration (its state directory is added), on one core if one is named.

    ``words`` are more options of ``edgetwin run``.
    """
    with tempfile.TemporaryDirectory(prefix="edgetwin-bench-") as name:
        folder = Path(name)
        path, log, state = folder / "config.json", folder / "log", folder / "state"
        path.write_text(json.dumps({"state": str(state), **tree}))  # JSON is YAML too
        command = [sys.executable, "-m", "edgetwin", "run", str(path), *words]
        with log.open("w") as out, subprocess.Popen(command, stderr=out, text=True) as process:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            try:
                yield Gateway(process, state, log)
            finally:
                process.terminate()
                process.wait(20)


@contextmanager
def upstream() -> Iterator[dict[str, Any]]:
    """The ``upstream`` section for a mosquitto on loopback; empty where there is no mosquitto."""
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        yield {}
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = subprocess.DEVNULL
    with subprocess.Popen([program, "-p", str(port)], stdout=quiet, stderr=quiet) as process:
        try:
            yield {"upstream": {"cloud": {"broker": f"mqtt://127.0.0.1:{port}"}}}
        finally:
            process.terminate()


def modbus(port: int, tags: int, period_ms: int) -> dict[str, Any]:
    """A device of the fast plant: float32 tags side by side."""
    return {
        "driver": "modbus",
        "address": f"127.0.0.1:{port}",
        "scan": f"{period_ms} ms",
        "tags": {f"t{i}": {"at": f"holding:{2 * i}", "type": "float32"} for i in range(tags)},
    }


def loop(device: dict[str, Any], name: str, period_ms: int) -> dict[str, Any]:
    """Add a pv and an mv to a device; what the configuration needs for the loop between them."""
    fast = {"scan": f"{period_ms} ms", "type": "uint16"}
    limits = {"min": 0, "max": 65535, "read_back": False}
    device["tags"] |= {
        "pv": {"at": "input:60001", **fast},
        "mv": {"at": "holding:60002", **fast, "write": limits},
    }
    law = {"law": "formula", "is": "pv", "pv": f"{name}/pv", "sp": 0, "mv": f"{name}/mv"}
    return {
        "control": {"enabled": True},
        "loops": {"loop": {**law, "every": f"{period_ms} ms", "mode": "auto"}},
    }
