"""Tells systemd how the daemon is: ready, alive, stopping (sd_notify(3), the protocol in full).

Each call is one datagram to the socket that systemd names in ``NOTIFY_SOCKET``. Where nobody asked
to be told (a terminal, a test) the calls do nothing. They never block and never raise: a daemon
must not stop because its supervisor does not listen.
"""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """One daemon's line to its supervisor.

    ``watchdog_s`` is how often systemd wants to hear ``alive``, 0 when it does not watch. Call it
    at half that, and only while scans and control make progress.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        # A leading @ is the notation for Linux's abstract namespace, which begins with a zero byte.
        self._address = "\0" + name[1:] if name.startswith("@") else name
        self.watchdog_s = _watchdog_s(environment) if name else 0.0

    def ready(self, status: str) -> None:
        """The daemon does its job from now on."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}")

    def status(self, status: str) -> None:
        """Say in one line how things are; ``systemctl status`` shows it."""
        self._send(f"STATUS={_one_line(status)}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon leaves in good order."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as line:
            try:
                line.sendto(message.encode(), self._address)
            except OSError:  # a full or missing socket: the next message tells more than this one
                return


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """The interval, where it is meant for this process and not for the one that started it."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    own_pid = str(os.getpid())
    if environment.get("WATCHDOG_PID", own_pid) != own_pid or not microseconds.isdigit():
        return 0.0
    return int(microseconds) / 1e6
