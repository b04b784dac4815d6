"""One unit's place on a line: what waits for it, how it has answered, what it still owes.

::

    driver, scan, writing ─▶ Lane ─┐
                             Lane ─┼─▶ Line: one connection, each lane in its turn
                             Lane ─┘

A lane lasts as long as its driver and is attached to one line after the other. Three times silence
in a row end its stay: the device is lost, while the line goes on for the others.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from edgetwin.core.plan import SECOND, ModbusSettings
from edgetwin.devices.modbus import words
from edgetwin.devices.modbus.ask import GATEWAY_CODES, Ask, Failure, Trouble
from edgetwin.devices.modbus.debts import Debts, Fence

SILENCES_UNTIL_LOST = 3

_NEVER_CONNECTED = Failure(Trouble.LINE_LOST, "it was never connected")


@dataclass(slots=True)
class Counters:
    """What one device's lane has seen since the start."""

    requests: int = 0
    timeouts: int = 0
    overruns: int = 0
    bad_replies: int = 0
    exceptions: int = 0
    late: int = 0


class Carrier(Protocol):
    """The line that a lane is attached to."""

    def pump(self) -> None:
        """Send what may be sent now."""

    def send_now(self, ask: Ask) -> bool:
        """Send it in this very turn, if nothing is before it. False: it has to wait for its."""

    def detach(self, lane: "Lane") -> list[Ask]:
        """Serve a lane no more; its requests that are on the wire are given back."""


class Lane:
    """One unit. ``lost`` is told why its stay on a line has ended, once for each stay."""

    def __init__(
        self, settings: ModbusSettings, counters: Counters, lost: Callable[[str], None]
    ) -> None:
        """Attached to nothing yet."""
        self.unit = settings.unit
        self.in_flight = settings.in_flight
        self.timeout_s = settings.timeout / SECOND
        self.pause_s = settings.pause / SECOND
        self.counters = counters
        self.debts = Debts()
        self.fell_silent = False
        self._lost = lost
        self._line: Carrier | None = None
        self._ended = _NEVER_CONNECTED
        self._silences = 0
        self._urgent: deque[Ask] = deque()  # bounded by the driver: MOST_WRITES
        self._waiting: deque[Ask] = deque()  # bounded: a block waits once, its group is out once

    # ---------------------------------------------------------------- requests

    def send(self, asks: Iterable[Ask]) -> None:
        """Send in turn, behind what waits already."""
        self._waiting.extend(asks)
        self._go()

    def send_first(self, ask: Ask) -> None:
        """Send ahead of every read on the line that is not yet on the wire."""
        ask.lane = self
        is_next = not self._urgent and not self.debts.owed
        if is_next and self._line is not None and self._line.send_now(ask):
            return
        self._urgent.append(ask)
        self._go()

    def _go(self) -> None:
        if self._line is not None:
            self._line.pump()
        else:
            self._refuse_waiting()

    @property
    def waits(self) -> bool:
        """Whether anything is to be sent."""
        return bool(self._urgent or self._waiting)

    def take(self, *, urgent: bool) -> Ask | None:
        """The next request to send; None: there is none."""
        queue = self._urgent if urgent else self._waiting
        while queue:
            ask = queue.popleft()
            if not ask.may_go():
                continue
            cleared = self._cleared(ask, queue) if self.debts.owed else ask
            if cleared is not None:
                cleared.lane = self
                return cleared
        return None

    def _cleared(self, ask: Ask, queue: deque[Ask]) -> Ask | None:
        """A request while replies are owed: itself, the fence before it, or none for now."""
        if not self.debts.bar(ask, asyncio.get_running_loop().time()):
            return ask
        if (fence := self.debts.fence(ask)) is not None:
            queue.appendleft(ask)
            return Fence(fence)
        ask.failed(Failure(Trouble.SILENT, words.HELD_BACK))
        return None

    # ---------------------------------------------------------------- how it answers

    def answered(self) -> None:
        """It has given the right reply, so it has nothing else left to give."""
        self._silences = 0
        if self.debts.owed:
            self.debts.settle()

    def refused(self, ask: Ask, failure: Failure) -> None:
        """It has answered, but not what was asked for."""
        self.debts.settle()
        if failure.trouble is Trouble.EXCEPTION:
            self.counters.exceptions += 1
        else:
            self.counters.bad_replies += 1
        self._silences = self._silences + 1 if failure.code in GATEWAY_CODES else 0
        ask.failed(failure)
        if self._silences >= SILENCES_UNTIL_LOST:
            self._fall(words.behind_gateway(self.unit, failure.words))

    def unanswered(self, asks: list[Ask], finding: str) -> None:
        """Requests of the same time have no answer; ``finding`` is what came instead."""
        self._silences += 1
        self.counters.timeouts += len(asks)
        failure = Failure(Trouble.SILENT, words.unanswered(self.timeout_s, self.in_flight))
        if finding:
            self.counters.bad_replies += len(asks)
            failure = Failure(Trouble.WRONG_REPLY, finding)
        for ask in asks:
            ask.failed(failure)
        if self._silences < SILENCES_UNTIL_LOST:
            return
        if finding:
            self._fall(words.unreadable(self.unit, self._silences, finding))
        else:
            self._fall(words.silent(self.unit, self._silences, self.timeout_s))

    # ---------------------------------------------------------------- its stay on a line

    def begin(self, line: Carrier) -> None:
        """Its requests go to this line from now on."""
        self._line = line
        self._silences = 0

    def end(self, cause: str, of_open: Failure | None = None) -> None:
        """Leave the line; every request without a reply fails. Later calls do nothing."""
        if self._line is None:
            return
        line, self._line = self._line, None
        opened = line.detach(self)
        self._ended = Failure(Trouble.LINE_LOST, cause)
        self._lost(cause)  # first, so that nobody asks for more while these fail
        for ask in opened:
            ask.failed(of_open or self._ended)
        self._refuse_waiting()
        line.pump()

    def _fall(self, cause: str) -> None:
        self.fell_silent = True
        self.end(cause)

    def _refuse_waiting(self) -> None:
        """Nothing waits without a line: not what waited when it ended, nor what comes after."""
        while self._line is None and self.waits:
            (self._urgent or self._waiting).popleft().failed(self._ended)
