"""The Modbus TCP driver: one unit behind one connection, pushed by its supervisor."""

import asyncio
import socket
from collections.abc import Callable

from edgetwin.core.encode import DoesNotFit, encode
from edgetwin.core.errors import DeviceLost
from edgetwin.core.plan import SECOND, DevicePlan, ModbusSettings
from edgetwin.core.reading import Instant, WriteOutcome, WriteRequest, WriteResult
from edgetwin.core.tags import TagTable
from edgetwin.devices.driver import Sink
from edgetwin.devices.modbus import words
from edgetwin.devices.modbus.line import SILENCES_UNTIL_LOST, Counters, Line
from edgetwin.devices.modbus.scan import GroupScan, Unit
from edgetwin.devices.modbus.writing import Target, Writing, result_of

MOST_WRITES = 100
"""Writes under way at once; one more is answered NO_COMMUNICATION (architecture.md, Queues)."""

CLOSE_S = 1.0


class ModbusDriver:
    """One Modbus TCP unit. ``counters`` tells what its lane has seen since the start."""

    def __init__(
        self, device: DevicePlan, tags: TagTable, sink: Sink, now: Callable[[], Instant]
    ) -> None:
        """Plan every request.

        Args:
            device: its settings are ModbusSettings.
            tags: the whole table; the device's own are those of its groups, and the writable ones.
            sink: where readings and write results go.
            now: both clocks.

        Raises:
            ConfigError: a tag cannot be read as it is configured.
        """
        if not isinstance(device.settings, ModbusSettings):
            raise TypeError(f"{device.name}: settings are {type(device.settings).__name__}")
        self._settings = device.settings
        self._now = now
        self._sink = sink
        unit = Unit(device.name, self._settings.unit, tags, self._settings.limits, sink)
        self._where = f"{device.name} at {self._settings.host}:{self._settings.port}"
        self._groups = {group.number: GroupScan(unit, group) for group in device.groups}
        self._targets = {
            tag.index: Target(tag, self._settings)
            for tag in tags
            if tag.device == device.index and tag.write is not None
        }
        self.counters = Counters()
        self._line: Line | None = None
        self._writes = 0
        self._gone = asyncio.Event()
        self._gone.set()
        self._cause = "it was never connected"

    # ---------------------------------------------------------------- the connection

    async def connect(self) -> None:
        """Open the connection.

        Raises:
            DeviceLost: nobody answers, or not in time.
        """
        await self.close()
        line = Line(self._settings, self.counters, self._end)
        timeout_s = self._settings.timeout / SECOND
        try:
            async with asyncio.timeout(timeout_s):
                await self._reach(line)
        except TimeoutError:
            raise self._lost_by(words.unanswered_connect(timeout_s)) from None
        except OSError as error:
            raise self._lost_by(words.unreachable(error)) from error
        self._gone.clear()
        self._line = line
        for group in self._groups.values():
            group.forgive()

    async def _reach(self, line: Line) -> None:
        """Try each address of the host in turn, so that a failure has one reason."""
        loop = asyncio.get_running_loop()
        host, port = self._settings.host, self._settings.port
        error: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
        for family, *_, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                transport, _ = await loop.create_connection(
                    lambda: line, str(address[0]), port, family=family
                )
            except OSError as failed:
                error = failed
            else:
                _tune(transport.get_extra_info("socket"), self._settings.timeout)
                return
        raise error

    async def lost(self) -> None:
        """Wait for as long as the unit answers.

        Raises:
            DeviceLost: it fell silent, or the connection ended; the message names cause and cure.
        """
        await self._gone.wait()
        raise self._lost_by(self._cause)

    async def close(self) -> None:
        """End the connection, if there is one. Open writes are answered NO_COMMUNICATION."""
        line, self._line = self._line, None
        if line is None:
            return
        self._cause = "edgetwin closed the connection"
        self._gone.set()
        line.end(self._cause)
        try:
            async with asyncio.timeout(CLOSE_S):
                await line.closed.wait()
        except TimeoutError:
            return  # aborted already: the loop will still drop it

    def _end(self, line: Line, cause: str) -> None:
        if line is not self._line:
            return  # closed by us, or never in use
        self._cause = cause
        self._gone.set()

    def _lost_by(self, cause: str) -> DeviceLost:
        return DeviceLost(f"{self._where}: {cause}")

    # ---------------------------------------------------------------- requests

    def start_scan(self, group: int) -> bool:
        """Ask for all blocks of a group. False: its last scan is still out, nothing was sent."""
        scan = self._groups[group]
        if scan.is_out:
            self.counters.overruns += 1
            return False
        if self._line is not None and not self._gone.is_set():
            scan.start(self._line)
        return True

    def start_write(self, request: WriteRequest) -> None:
        """Write ahead of every read, read back, and answer with one ``sink.written``."""
        target = self._targets.get(request.tag)
        if target is None:
            self._refuse(request, WriteOutcome.REFUSED, "the tag is not one this device may write")
            return
        if self._line is None or self._gone.is_set():
            self._refuse(request, WriteOutcome.NO_COMMUNICATION, f"{self._where} is not connected")
            return
        if self._writes >= MOST_WRITES:
            detail = f"{MOST_WRITES} writes are waiting for {self._where} already"
            self._refuse(request, WriteOutcome.NO_COMMUNICATION, detail)
            return
        try:
            raw = encode(target.tag, request.value)
        except DoesNotFit as reason:
            self._refuse(request, WriteOutcome.REFUSED, f"{target.tag.name}: {reason}")
            return
        self._writes += 1
        Writing(request, target, self._line, self._now, self._answer).start(raw)

    def _refuse(self, request: WriteRequest, outcome: WriteOutcome, detail: str) -> None:
        self._sink.written(result_of(request, outcome, detail))

    def _answer(self, result: WriteResult) -> None:
        self._writes -= 1
        self._sink.written(result)


def _tune(sock: socket.socket, timeout: int) -> None:
    """Small frames at once; a dead network is noticed by the kernel even when nothing is asked."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        patience_ms = SILENCES_UNTIL_LOST * timeout // 1_000_000
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience_ms)
