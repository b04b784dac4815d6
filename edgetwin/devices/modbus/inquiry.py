"""Looking at a device that nobody has configured yet: which units answer, and what they hold.

Only ever reads, one request after the other, with a pause behind each; and each run is bounded. An
exception is an answer as well: it says that somebody is there.

Who does not answer a read of holding registers may still answer another: some devices are silent
where they should refuse a function. To ask them all takes four times as long, for each unit that is
not there; so it is done only on request.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace

from edgetwin.core.address import ModbusAddress, Table
from edgetwin.core.blocks import READ_FUNCTION, Block
from edgetwin.core.errors import DeviceLost
from edgetwin.core.plan import SECOND, ModbusSettings
from edgetwin.devices.modbus import words
from edgetwin.devices.modbus.ask import (
    DATA_AT,
    GATEWAY_CODES,
    ILLEGAL_FUNCTION,
    Ask,
    Exchange,
    Failure,
    Trouble,
    read_exchange,
)
from edgetwin.devices.modbus.identity import (
    Identity,
    extent,
    identity_exchange,
    identity_of,
    objects,
)
from edgetwin.devices.modbus.lane import Counters, Lane
from edgetwin.devices.modbus.port import Port

TABLES = (Table.HOLDING, Table.INPUT, Table.DISCRETE, Table.COIL)

STARTS = (0, 1, 10, 100, 256, 1000, 3000, 4096, 8192, 10000, 30000, 40000)
"""Where makers like to begin: tried in turn until the device has something there."""

_HEADER = 6
_MOST_PARTS = 4  # requests for one identity: the three basic objects fit into one, or say so
_GRACE_S = 0.5  # beside the timeout, for a fence or a pause of the line before the request goes


class _Question(Ask):
    """A read whose answer is awaited."""

    __slots__ = ("answer",)

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.answer: asyncio.Future[bytes | Failure] = asyncio.get_running_loop().create_future()

    def good(self, frame: bytes) -> None:
        """The data."""
        self._settle(frame[DATA_AT:])

    def failed(self, failure: Failure) -> None:
        """Why there is none."""
        self._settle(failure)

    def _settle(self, answer: bytes | Failure) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


class _WhoQuestion(_Question):
    """A question for the identity; its reply is as long as it says itself."""

    __slots__ = ()

    def extent(self, reply: bytes) -> int:
        """By the lengths of the objects."""
        return extent(reply)

    def fits(self, frame: bytes) -> bool:
        """By what was asked, and these lengths."""
        return frame.startswith(self.head[4:], _HEADER) and extent(frame[_HEADER:]) == (
            len(frame) - _HEADER
        )

    def good(self, frame: bytes) -> None:
        """The reply from its unit on."""
        self._settle(frame[_HEADER:])


class Inquiry:
    """Asks the units at one place. Use as an async context manager; ``requests`` were sent."""

    def __init__(self, settings: ModbusSettings, pause_s: float) -> None:
        """Nothing is opened yet.

        Args:
            settings: the place and the timeout; the unit is named with each question.
            pause_s: the rest after each answer.
        """
        self.requests = 0
        self._settings = settings
        self._pause_s = pause_s
        self._port = Port(settings)
        self._keeper = self._lane(0)  # holds the line while one unit after the other comes and goes

    def _lane(self, unit: int) -> Lane:
        return Lane(replace(self._settings, unit=unit), Counters(), lambda _: None)

    async def __aenter__(self) -> "Inquiry":
        """Open the line.

        Raises:
            DeviceLost: the place cannot be reached; the message says why.
        """
        await self._join(self._keeper)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the line."""
        await self._port.leave(self._keeper, "the inquiry is over")

    @property
    def place(self) -> str:
        """Where it asks, for people."""
        return self._settings.place

    @property
    def timeout_s(self) -> float:
        """How long it waits for each answer."""
        return self._settings.timeout / SECOND

    async def _join(self, lane: Lane) -> None:
        timeout_s = self._settings.timeout / SECOND
        try:
            async with asyncio.timeout(max(timeout_s, 1.0)):
                await self._port.join(lane)
        except TimeoutError:
            cause = words.unanswered_connect(timeout_s)
            raise DeviceLost(f"{self._settings.place}: {cause}") from None
        except OSError as error:
            cause = words.unreachable(error, self._settings.transport)
            raise DeviceLost(f"{self._settings.place}: {cause}") from error

    async def read(self, unit: int, at: ModbusAddress, count: int) -> bytes | Failure:
        """The bytes of some items, or why there are none.

        Raises:
            DeviceLost: the place can no longer be reached.
        """
        block = Block(at.table, READ_FUNCTION[at.table], at.offset, count, range(0))
        return await self._ask(unit, _Question(read_exchange(unit, block)))

    async def identity(self, unit: int) -> Identity:
        """Who a unit says it is; empty where it does not say.

        Raises:
            DeviceLost: the place can no longer be reached.
        """
        found: dict[int, str] = {}
        first = 0
        for _ in range(_MOST_PARTS):
            answer = await self._ask(unit, _WhoQuestion(identity_exchange(unit, first)))
            if isinstance(answer, Failure):
                break
            more, first = objects(answer)
            found |= more
            if not first:
                break
        return identity_of(found)

    async def _ask(self, unit: int, question: _Question) -> bytes | Failure:
        lane = self._lane(unit)
        await self._join(lane)
        self.requests += 1
        try:
            lane.send([question])
            async with asyncio.timeout(self._settings.timeout / SECOND + _GRACE_S):
                return await question.answer
        except TimeoutError:
            return Failure(Trouble.SILENT, "did not answer in time")
        finally:
            lane.end("the question is answered")
            await asyncio.sleep(self._pause_s)  # the device has other work to do


@dataclass(frozen=True, slots=True)
class UnitFinding:
    """What a unit has shown: where each table begins to answer, and which it does not know."""

    unit: int
    identity: Identity
    begins: dict[Table, int] = field(default_factory=dict)
    unknown: tuple[Table, ...] = ()
    words: str = ""


async def present_units(
    inquiry: Inquiry, units: Iterable[int], tables: Sequence[Table] = TABLES[:1]
) -> AsyncIterator[int]:
    """The units that answer one of these tables, with data or with an exception of their own."""
    for unit in units:
        for table in tables:
            answer = await inquiry.read(unit, ModbusAddress(table, 0), 1)
            if isinstance(answer, bytes) or _is_own(answer):
                yield unit
                break
            if answer.trouble is Trouble.EXCEPTION:
                break  # a gateway has said that nobody is there


async def look_at(inquiry: Inquiry, unit: int, places: Sequence[ModbusAddress] = ()) -> UnitFinding:
    """Who a unit is and which of its tables answer.

    Args:
        inquiry: asks.
        unit: whom.
        places: where to look; without any, where makers like to begin.
    """
    finding = UnitFinding(unit, await inquiry.identity(unit))
    unknown: list[Table] = []
    said = ""
    for table in TABLES:
        for start in [p.offset for p in places if p.table is table] if places else STARTS:
            answer = await inquiry.read(unit, ModbusAddress(table, start), 1)
            if isinstance(answer, bytes):
                finding.begins[table] = start
                break
            said = answer.words
            if not answer.is_illegal:
                if answer.code == ILLEGAL_FUNCTION:
                    unknown.append(table)
                break
    return replace(finding, unknown=tuple(unknown), words=said)


def _is_own(failure: Failure) -> bool:
    """A refusal by the unit itself, not by a gateway in its place."""
    return failure.trouble is Trouble.EXCEPTION and failure.code not in GATEWAY_CODES
