"""When a unit that fell silent is asked again, while others are served on the same line.

Each request to a dead unit costs the line a whole timeout. So it is scanned no more, and asked one
short question instead: after 5 s, then 10, 20, 40 and every 60 s; and all dead units of a line
together take at most a fiftieth of its time. One that comes back brings the others forward: what
took several away (a cable, a supply) mostly took them together.
"""

import asyncio
from dataclasses import dataclass

from edgetwin.devices.modbus.ask import GATEWAY_CODES, Ask, Exchange, Failure, Trouble

FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 60.0
SHARE = 50
"""A line gives one part in this many of its time to units that do not answer."""


@dataclass(slots=True)
class _Standing:
    """How a silent unit stands: its wait, since when, and whether it has answered meanwhile."""

    wait: float
    since: float
    due: float
    is_back: bool = False


class Probing:
    """The silent units of one line. Times are the event loop's."""

    def __init__(self) -> None:
        self._units: dict[int, _Standing] = {}
        self._free_at = 0.0

    def fell_silent(self, unit: int, now: float) -> None:
        """A unit has been silent so often that it counts as lost.

        One that was back for a short time only goes on with the wait it had: it may answer a probe
        and no more.
        """
        was = self._units.get(unit)
        is_again = was is not None and now < was.since + was.wait + LONGEST_WAIT_S
        wait = min(2 * was.wait, LONGEST_WAIT_S) if was and is_again else FIRST_WAIT_S
        self._units[unit] = _Standing(wait, now, now + wait)

    def is_demoted(self, unit: int) -> bool:
        """Whether a unit has to answer a probe before it is scanned."""
        standing = self._units.get(unit)
        return standing is not None and not standing.is_back

    def may_ask(self, unit: int, now: float) -> bool:
        """Whether the time for the next probe has come."""
        return now >= max(self._units[unit].due, self._free_at)

    def unanswered(self, unit: int, now: float, cost: float) -> None:
        """A probe was in vain and cost the line so many seconds."""
        standing = self._units[unit]
        standing.wait = min(2 * standing.wait, LONGEST_WAIT_S)
        standing.since, standing.due = now, now + standing.wait
        self._free_at = now + SHARE * cost

    def answered(self, unit: int, now: float) -> None:
        """A demoted unit is there again."""
        self._free_at = now
        self._units[unit].is_back = True
        for standing in self._units.values():
            standing.due = now


class Probe(Ask):
    """One short read. ``done`` is whether the unit is there: it is with any answer of its own."""

    __slots__ = ("done",)

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def good(self, frame: bytes) -> None:  # noqa: ARG002  what it holds is read by the next scan
        """It is there."""
        self._settle(is_there=True)

    def failed(self, failure: Failure) -> None:
        """A refusal is an answer too, unless a gateway gave it in the unit's place."""
        own = failure.trouble is Trouble.EXCEPTION and failure.code not in GATEWAY_CODES
        self._settle(is_there=own)

    def _settle(self, *, is_there: bool) -> None:
        if not self.done.done():
            self.done.set_result(is_there)
