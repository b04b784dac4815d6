"""The Modbus driver: one unit, on a line of its own or among others, pushed by its supervisor."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.blocks import READ_FUNCTION, Block
from edgetwin.core.encode import DoesNotFit, encode
from edgetwin.core.errors import DeviceLost
from edgetwin.core.plan import SECOND, DevicePlan, ModbusSettings
from edgetwin.core.reading import Instant, WriteOutcome, WriteRequest, WriteResult
from edgetwin.core.tags import TagTable
from edgetwin.core.tuples import new
from edgetwin.devices.driver import Sink
from edgetwin.devices.modbus import words
from edgetwin.devices.modbus.arrays import Stretch, StretchWriting, stretches
from edgetwin.devices.modbus.ask import Exchange, read_exchange
from edgetwin.devices.modbus.lane import Counters, Lane
from edgetwin.devices.modbus.port import Port, port_of
from edgetwin.devices.modbus.probing import Probe
from edgetwin.devices.modbus.scan import GroupScan, Unit
from edgetwin.devices.modbus.writing import Target, WriteAsk, Writing, result_of

_log = logging.getLogger(__name__)

MOST_WRITES = 100
"""Writes under way at once; one more is answered NO_COMMUNICATION (architecture.md, Queues)."""

PROBE_S = 10.0
"""How long a probe may wait for its turn on a busy line."""


class ModbusDriver:
    """One Modbus unit. ``counters`` tells what its lane has seen since the start."""

    def __init__(
        self,
        device: DevicePlan,
        tags: TagTable,
        sink: Sink,
        now: Callable[[], Instant],
        port: Port | None = None,
    ) -> None:
        """Plan every request.

        Args:
            device: its settings are ModbusSettings.
            tags: the whole table; the device's own are those of its groups, and the writable ones.
            sink: where readings and write results go.
            now: both clocks.
            port: where the unit is reached, if not where its settings say.

        Raises:
            ConfigError: a tag cannot be read as it is configured.
        """
        if not isinstance(device.settings, ModbusSettings):
            raise TypeError(f"{device.name}: settings are {type(device.settings).__name__}")
        self._settings = device.settings
        self._now, self._sink, self._port = now, sink, port
        unit = Unit(device.name, self._settings.unit, tags, self._settings.limits, sink)
        self._where = f"{device.name} at {self._settings.place}"
        if self._settings.tls.any_certificate:
            _log.warning("%s: any certificate is accepted (`any_certificate`)", self._where)
        self._groups = {group.number: GroupScan(unit, group) for group in device.groups}
        self._tags = tags
        self._targets = _targets(self._settings, device, tags)
        self._arrays = stretches(tags, device.index, self._settings)
        self.counters = Counters()
        self._lane = Lane(self._settings, self.counters, self._end)
        self._shortest = _shortest(self._settings.unit, device, tags)
        self._writes = 0
        self._gone = asyncio.Event()
        self._gone.set()
        self._cause = self._why_silent = "it was never connected"

    # ---------------------------------------------------------------- the connection

    async def connect(self) -> None:
        """Join the line to the unit; a unit that fell silent has to answer a probe first.

        Raises:
            DeviceLost: the place or the unit does not answer, or not in time.
        """
        await self.close()
        port = self._port = self._port or port_of(self._settings)
        is_suspect = self._is_suspect(port)
        now = asyncio.get_running_loop().time()
        if is_suspect and not port.probing.may_ask(self._lane.unit, now):
            raise self._lost_by(self._why_silent)
        timeout_s = self._settings.timeout / SECOND
        try:
            async with asyncio.timeout(timeout_s):
                await port.join(self._lane)
        except TimeoutError:
            cause = words.unanswered_connect(timeout_s, self._settings.transport)
            raise self._lost_by(cause) from None
        except OSError as error:
            raise self._lost_by(words.unreachable(error, self._settings.transport)) from error
        if is_suspect:
            await self._prove(port)
        self._gone.clear()
        for group in self._groups.values():
            group.forgive()

    def _is_suspect(self, port: Port) -> bool:
        """Whether scanning the unit could cost others their time for nothing."""
        is_demoted = port.probing.is_demoted(self._lane.unit)
        return is_demoted and port.serves_others(self._lane)

    async def _prove(self, port: Port) -> None:
        """Ask the unit one short question, in its turn between the others."""
        loop = asyncio.get_running_loop()
        probe = Probe(self._shortest)
        self._lane.send([probe])
        try:
            async with asyncio.timeout(PROBE_S + self._settings.timeout / SECOND):
                is_there = await probe.done
        except TimeoutError:
            is_there = False
        if is_there:
            port.probing.answered(self._lane.unit, loop.time())
            return
        port.probing.unanswered(self._lane.unit, loop.time(), self._settings.timeout / SECOND)
        await port.leave(self._lane, self._why_silent)
        raise self._lost_by(self._why_silent)

    async def lost(self) -> None:
        """Wait for as long as the unit answers.

        Raises:
            DeviceLost: it fell silent, or the connection ended; the message names cause and cure.
        """
        await self._gone.wait()
        raise self._lost_by(self._cause)

    async def close(self) -> None:
        """Leave the line, if on one. Open writes are answered NO_COMMUNICATION."""
        if self._port is not None:
            await self._port.leave(self._lane, "edgetwin closed the connection")

    def _end(self, cause: str) -> None:
        """The lane's stay on the line has ended."""
        self._cause = cause
        self._gone.set()
        if self._lane.fell_silent and self._port is not None:
            self._why_silent = cause
            self._port.probing.fell_silent(self._lane.unit, asyncio.get_running_loop().time())

    def _lost_by(self, cause: str) -> DeviceLost:
        return DeviceLost(f"{self._where}: {cause}")

    # ---------------------------------------------------------------- requests

    def start_scan(self, group: int) -> bool:
        """Ask for all blocks of a group. False: its last scan is still out, nothing was sent."""
        scan = self._groups[group]
        if scan.is_out:
            self.counters.overruns += 1
            return False
        if not self._gone.is_set():
            scan.start(self._lane)
        return True

    def start_write(self, request: WriteRequest) -> None:
        """Write ahead of every read, read back, and answer with one ``sink.written``."""
        target = self._targets.get(request.tag)
        if target is None:
            self._refuse(request, WriteOutcome.REFUSED, "the tag is not one this device may write")
            return
        if self._gone.is_set():
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
        writing = new(Writing, (request, target, self._now, self._answer))
        self._lane.send_first(WriteAsk(writing, raw))

    def start_array(self, requests: Sequence[WriteRequest]) -> None:
        """Write neighbours with one request, or as few as the device takes; answer each."""
        array = self._tags[requests[0].tag].array
        parts = self._arrays.get(array, [])
        tags = [tag.index for part in parts for tag in part.tags]
        if tags != [request.tag for request in requests]:
            for request in requests:
                self.start_write(request)
            return
        if self._gone.is_set():
            self._refuse_all(requests, f"{self._where} is not connected")
        elif self._writes + len(requests) > MOST_WRITES:
            self._refuse_all(requests, f"more than {MOST_WRITES} writes would wait for it")
        else:
            self._send_array(parts, requests)

    def _send_array(self, parts: Sequence[Stretch], requests: Sequence[WriteRequest]) -> None:
        raws = []
        for request in requests:
            try:
                raws.append(encode(self._tags[request.tag], request.value))
            except DoesNotFit as reason:
                text = f"{self._tags[request.tag].name}: {reason}. No element was written"
                self._refuse_all(requests, text, WriteOutcome.REFUSED)
                return
        self._writes += len(requests)
        at = 0
        for part in parts:
            mine = slice(at, at := at + len(part.tags))
            own = tuple(requests[mine])
            writing = StretchWriting(own, part, self._now, self._answer)
            self._lane.send_first(WriteAsk(writing, part.join(raws[mine])))

    def _refuse_all(
        self,
        requests: Sequence[WriteRequest],
        detail: str,
        outcome: WriteOutcome = WriteOutcome.NO_COMMUNICATION,
    ) -> None:
        for request in requests:
            self._refuse(request, outcome, detail)

    def _refuse(self, request: WriteRequest, outcome: WriteOutcome, detail: str) -> None:
        self._sink.written(result_of(request, outcome, detail))

    def _answer(self, result: WriteResult) -> None:
        self._writes -= 1
        self._sink.written(result)


def _targets(settings: ModbusSettings, device: DevicePlan, tags: TagTable) -> dict[int, Target]:
    """The device's tags that may be written."""
    own = (tag for tag in tags if tag.device == device.index and tag.write is not None)
    return {tag.index: Target(tag, settings) for tag in own}


def _shortest(unit: int, device: DevicePlan, tags: TagTable) -> Exchange:
    """The shortest read that the device should answer: the first item of its first tag."""
    first = next((i for group in device.groups for i in group.tags), None)
    address = None if first is None else tags[first].address
    table, offset = (Table.HOLDING, 0)
    if isinstance(address, ModbusAddress):
        table, offset = address.table, address.offset
    return read_exchange(unit, Block(table, READ_FUNCTION[table], offset, 1, range(0)))
