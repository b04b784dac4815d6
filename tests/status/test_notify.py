"""The line to systemd, against a real datagram socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgetwin.status.notify import Notifier


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(2)
        yield listening


@pytest.fixture
def notifier(supervisor: socket.socket) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": supervisor.getsockname(), "WATCHDOG_USEC": "10000000"})


def test_a_life_is_told_in_order(notifier: Notifier, supervisor: socket.socket) -> None:
    notifier.ready("2 devices")
    notifier.alive()
    notifier.status("1 device lost:\n  meter")
    notifier.stopping()
    assert [supervisor.recv(500).decode() for _ in range(4)] == [
        "READY=1\nSTATUS=2 devices",
        "WATCHDOG=1",
        "STATUS=1 device lost: meter",
        "STOPPING=1",
    ]


def test_an_abstract_socket_is_reached() -> None:
    name = f"edgetwin-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        listening.settimeout(2)
        Notifier({"NOTIFY_SOCKET": "@" + name}).alive()
        assert listening.recv(100) == b"WATCHDOG=1"


def test_without_a_supervisor_nothing_happens() -> None:
    notifier = Notifier({"WATCHDOG_USEC": "10000000"})
    notifier.ready("alone")
    assert notifier.watchdog_s == 0


def test_a_supervisor_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive()


def test_a_supervisor_that_does_not_read_does_no_harm(notifier: Notifier) -> None:
    for _ in range(2000):  # far more than the socket's buffer holds
        notifier.alive()


@pytest.mark.parametrize(
    ("watchdog", "seconds"),
    [
        ({"WATCHDOG_USEC": "10000000"}, 10.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_watchdog_interval_is_ours_and_in_seconds(watchdog: dict[str, str], seconds: float) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/nowhere", **watchdog}).watchdog_s == seconds
