"""The primary host: whether it is there, by its STATE messages.

A message counts only when it is not older than the one before, so that a last will that arrives
late cannot undo the host's return (tck-id-…-phid-wait-timestamp, …-host-offline-timestamp).
"""

import json
from enum import StrEnum

from edgetwin.core.sparkplug.metric import NAMESPACE

_LARGEST = 4096


class Word(StrEnum):
    """What a STATE message means to us."""

    ONLINE = "online"
    OFFLINE = "offline"
    IGNORED = "ignored"


class PrimaryHost:
    """One host, known by its id. ``online`` is what this connection has heard of it."""

    def __init__(self, host_id: str) -> None:
        self.id = host_id
        self.topic = f"{NAMESPACE}/STATE/{host_id}"
        self.online = False
        self._latest = -1

    def reconnected(self) -> None:
        """A new connection: wait for the host's word anew. What was heard keeps its time."""
        self.online = False

    def take(self, topic: str, payload: bytes) -> Word:
        """A STATE message."""
        said = _read(payload) if topic == self.topic else None
        if said is None or said[1] < self._latest:
            return Word.IGNORED
        self.online, self._latest = said
        return Word.ONLINE if self.online else Word.OFFLINE


def _read(payload: bytes) -> tuple[bool, int] | None:
    """``{"online": true, "timestamp": 1732278000123}``; None for anything else."""
    if len(payload) > _LARGEST:
        return None
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    online, when = said.get("online"), said.get("timestamp")
    if not isinstance(online, bool) or isinstance(when, bool) or not isinstance(when, int):
        return None
    return online, when
