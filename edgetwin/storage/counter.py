"""A small number that outlives the process: written, synced and renamed into place."""

import os
from pathlib import Path

from edgetwin.core.errors import StorageError


class Counter:
    """Counts 0, 1 … below ``size``, then from 0 again. Blocks: call it from a thread."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._last: int | None = None

    def next(self) -> int:
        """The next number, kept before it is given out.

        Raises:
            StorageError: the disk refuses. The number is used up all the same.
        """
        before = self._read() if self._last is None else self._last
        self._last = (before + 1) % self._size
        try:
            self._write(self._last)
        except OSError as error:
            raise StorageError(f"{self._path}: {error.strerror or error}") from error
        return self._last

    @property
    def last(self) -> int:
        """The number given out last; 0 before the first."""
        return self._last or 0

    def _read(self) -> int:
        """The number before the next one; -1 where there is none, or none that makes sense."""
        try:
            number = int(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return -1
        return number if 0 <= number < self._size else -1

    def _write(self, number: int) -> None:
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="ascii") as file:
            file.write(f"{number}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
