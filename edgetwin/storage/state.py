"""The state directory: one daemon at a time owns it."""

import fcntl
import os
from pathlib import Path
from typing import BinaryIO

from edgetwin.core.errors import AlreadyRunning, StorageError

_LOCK = "lock"


class StateDirectory:
    """Made if missing, readable by its owner only, locked as long as this object is open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: BinaryIO | None = None

    def open(self) -> None:
        """Make the directory and take its lock.

        Raises:
            AlreadyRunning: another process holds it; the message names its pid.
            StorageError: it cannot be made or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(
                f"{self.path}: the state directory cannot be used ({error.strerror}). "
                "Name another with 'state:' in the configuration, or give this user the right to it"
            ) from error
        lock = os.fdopen(descriptor, "r+b")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = lock.read(20).decode(errors="replace").strip() or "unknown"
            lock.close()
            raise AlreadyRunning(
                f"{self.path}: another edgetwin (pid {holder}) runs on this state directory. "
                f"Stop it first, or give this one its own 'state:'"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n".encode())
        lock.flush()
        self._lock = lock

    def close(self) -> None:
        """Let another process have it."""
        if self._lock:
            self._lock.close()
            self._lock = None
