"""A driver behind a wall: what it raises where nobody expects it reaches its supervisor alone.

Scans are started by the scheduler and writes by the engine's turn, which may have begun in another
device's callback. A bug in one driver must not end in either of them.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgetwin.core.errors import DeviceLost
from edgetwin.core.reading import WriteOutcome, WriteRequest, WriteResult
from edgetwin.devices.driver import Driver

_NOT_READ = float("nan")
_CLOSE_S = 10.0


class DriverFailed(Exception):
    """A driver broke its contract in a way that no exception tells."""


class GuardedDriver:
    """One driver. ``broken``: it has raised anything but DeviceLost, so make a new one."""

    def __init__(self, driver: Driver, written: Callable[[WriteResult], None]) -> None:
        self.broken: Exception | None = None
        self._driver = driver
        self._written = written
        self._failure = asyncio.Event()

    async def connect(self) -> None:
        """As the driver's own."""
        with self._noting():
            await self._driver.connect()

    async def lost(self) -> None:
        """Wait until the device is lost or the driver has failed.

        Raises:
            Exception: DeviceLost, or whatever the driver raised.
        """
        lost = asyncio.ensure_future(self._driver.lost())
        failed = asyncio.ensure_future(self._failure.wait())
        try:
            await asyncio.wait({lost, failed}, return_when=asyncio.FIRST_COMPLETED)
            if self.broken is not None:
                raise self.broken
            with self._noting():
                lost.result()
        finally:
            lost.cancel()
            failed.cancel()
            await asyncio.gather(lost, failed, return_exceptions=True)
        self.broken = DriverFailed("it returned from lost() without a word")
        raise self.broken

    def start_scan(self, group: int) -> bool:
        """As the driver's own; after a failure there is no scan to be late."""
        try:
            return self._driver.start_scan(group)
        except Exception as error:  # noqa: BLE001 (see above: it is the supervisor's to tell)
            self._fail(error)
            return True

    def give(self, request: WriteRequest, *others: WriteRequest) -> None:
        """Give the driver a write, or all elements of an array; a failure answers them.

        All writes to the plant pass here.
        """
        try:
            if others:
                self._driver.start_array((request, *others))
            else:
                self._driver.start_write(request)
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)
            why = f"the driver failed ({error!r}): the device may or may not have taken it"
            lost = WriteOutcome.NO_COMMUNICATION
            for each in (request, *others):
                result = WriteResult(each.number, each.tag, lost, _NOT_READ, why)
                asyncio.get_running_loop().call_soon(self._written, result)

    async def close(self) -> None:
        """Close the driver; one that raises here, or hangs, is broken."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._driver.close()
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except DeviceLost:
            raise
        except Exception as error:
            self._fail(error)
            raise

    def _fail(self, error: Exception) -> None:
        self.broken = self.broken or error
        self._failure.set()
