"""The seam every field protocol is behind.

A driver is pushed, not awaited: ``start_scan`` and ``start_write`` put requests on the wire and
return; when the bytes come back the driver hands decoded columns to the sink *in the same
event-loop turn*, so the engine can react and the next write can leave before anything else runs.

    connect ──▶ start_scan ──▶ sink.readings ─┐
       ▲        start_write ─▶ sink.written   │ until the device is lost
       └──────────── lost() raises DeviceLost ┘

Every driver passes ``tests/devices/conformance.py`` against a real server on loopback.
"""

from collections.abc import Sequence
from typing import Protocol

from edgetwin.core.reading import ReadingBatch, WriteRequest, WriteResult


class Sink(Protocol):
    """Where a driver leaves what it learns. Calls are cheap, synchronous and never raise."""

    def readings(self, batch: ReadingBatch) -> None:
        """Take readings that have just arrived."""

    def confirmed(self, tags: range) -> None:
        """Take the device's word that these tags have not changed since their last reading."""

    def written(self, result: WriteResult) -> None:
        """Take the end of a write."""


class Driver(Protocol):
    """One device.

    Made once by its supervisor, then connected, lost and connected again for years. Every driver is
    made the same way: ``Driver(device: DevicePlan, tags: TagTable, sink: Sink, now: Callable[[],
    Instant])``; its settings are ``device.settings``.
    """

    async def connect(self) -> None:
        """Reach the device and make ready to scan.

        Raises:
            DeviceLost: it cannot be reached or refuses us; the message says why and what to do.
        """

    async def lost(self) -> None:
        """Wait for as long as the device answers.

        Raises:
            DeviceLost: it stopped answering, or closed the line.
        """

    def start_scan(self, group: int) -> bool:
        """Ask for the readings of one scan group.

        False: the previous scan of it is still out (an overrun).
        """

    def start_write(self, request: WriteRequest) -> None:
        """Write ahead of any waiting read, read it back, and answer with one ``sink.written``."""

    def start_array(self, requests: Sequence[WriteRequest]) -> None:
        """Write all elements of an array, at one instant where the device can; answer each."""

    async def close(self) -> None:
        """Leave the device in good order.

        Never raises; open writes are answered NO_COMMUNICATION.
        """
