"""The driver: one OPC UA server behind the seam of ``devices.driver``.

It holds at most one ``Link``. A link is never mended: what goes wrong ends it, ``lost`` says so,
and the supervisor closes and connects anew, with a new client, new node ids and new subscriptions.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import numpy as np

from edgetwin.core.errors import DeviceLost
from edgetwin.core.plan import SECOND, DevicePlan, OpcuaSettings, Security
from edgetwin.core.reading import Instant, WriteOutcome, WriteRequest, WriteResult
from edgetwin.core.tags import TagTable
from edgetwin.devices.driver import Sink
from edgetwin.devices.opcua.counters import Counters
from edgetwin.devices.opcua.link import Link, Surroundings
from edgetwin.devices.opcua.resolve import Spaces
from edgetwin.devices.opcua.session import SessionRefused, open_session

_log = logging.getLogger(__name__)

_STEPS = 10


class OpcuaDriver:
    """Reads by polling or subscription, writes with read-back. ``counters`` is for the status."""

    def __init__(
        self, device: DevicePlan, tags: TagTable, sink: Sink, now: Callable[[], Instant]
    ) -> None:
        settings = device.settings
        if not isinstance(settings, OpcuaSettings):
            raise TypeError(f"{device.name}: {type(settings).__name__} are no OpcuaSettings")
        self.counters = Counters()
        self._around = Surroundings(device, settings, tags, sink, now, self.counters, Spaces())
        self._link: Link | None = None
        self._warned = False

    async def connect(self) -> None:
        """Open a session, find the nodes, prepare the groups.

        Each step has ``settings.timeout``, and all of them together ``patience_s``.

        Raises:
            DeviceLost: it cannot be reached or refuses us; the message says why and what to do.
        """
        await self.close()
        self._warn_once()
        patience = patience_s(self._around)
        try:
            async with asyncio.timeout(patience):
                await self._connect()
        except TimeoutError as error:
            raise self._lost(
                f"it answers, but so slowly that it was not ready within {patience:g} s. "
                "Is it overloaded?"
            ) from error

    async def _connect(self) -> None:
        around = self._around
        try:
            session = await open_session(around.settings, around.now)
        except SessionRefused as refused:
            raise self._lost(str(refused)) from refused
        link = Link(around, session)
        try:
            await link.open()
        except Exception as error:
            await link.close()
            raise self._lost(
                f"it was reached, but its nodes could not be read "
                f"({session.refusal or _short(error)}). "
                "Is it still starting, or overloaded?"
            ) from error
        except BaseException:
            await link.close()  # we are being stopped: leave no socket behind
            raise
        self._link = link

    async def lost(self) -> None:
        """Wait for as long as the server answers.

        Raises:
            DeviceLost: it stopped answering, or closed the line.
        """
        if self._link is None:
            raise self._lost("it is not connected")
        raise self._lost(await self._link.ended())

    def start_scan(self, group: int) -> bool:
        """Ask for one group (polling), or see that it still reports (subscription)."""
        return self._link.start_scan(group) if self._link else True

    def start_write(self, request: WriteRequest) -> None:
        """Write at once, ahead of the next read; read back; answer."""
        if self._link is None or not self._link.start_write(request):
            self._not_connected(request)

    def start_array(self, requests: Sequence[WriteRequest]) -> None:
        """Write all elements with one write, read them back, answer each."""
        if self._link is None or not self._link.start_array(requests):
            for request in requests:
                self._not_connected(request)

    def _not_connected(self, request: WriteRequest) -> None:
        text = f"{self._around.device.name} is not connected"
        lost = WriteOutcome.NO_COMMUNICATION
        self._around.sink.written(WriteResult(request.number, request.tag, lost, np.nan, text))

    async def close(self) -> None:
        """End the session: open writes are answered NO_COMMUNICATION, and then there is silence."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def _lost(self, cause: str) -> DeviceLost:
        return DeviceLost(f"{self._around.device.name} ({self._around.settings.url}): {cause}")

    def _warn_once(self) -> None:
        if self._around.settings.security is Security.NONE and not self._warned:
            self._warned = True
            _log.warning(
                "%s (%s): anybody on the network can read and change what is sent, because the "
                "configuration says 'security: none'",
                self._around.device.name,
                self._around.settings.url,
            )


def patience_s(around: Surroundings) -> float:
    """How long a connection may take: some slow steps, and 5 ms to find and set up each tag."""
    tags = sum(len(group.tags) for group in around.device.groups)
    return _STEPS * around.settings.timeout / SECOND + tags * 0.005


def _short(error: Exception) -> str:
    return str(error) or type(error).__name__
