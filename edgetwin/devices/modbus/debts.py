"""Replies that a unit may still send: what makes Modbus RTU safe without transaction ids.

A reply of RTU names its unit, its function and its length, and nothing else. After a timeout the
reply may still come, and would answer the next request that looks like the first: then every later
value stands one request too late. Time alone cannot exclude that, but order can: a unit works off
what it was asked one after the other, and a serial line, or a gateway in front of it, keeps the
order. So whoever has answered a later request has no reply to an earlier one left to give.

::

    A  (3 registers) ─▶ no answer: A is owed
    A  again         ─▶ barred; in its place the fence: the same read, with a length not owed
       A's late reply ─▶ not the fence's length: dropped
       fence's reply  ─▶ nothing is owed any more
    A  again         ─▶ goes

A request whose reply has another look than all that is owed goes at once, and is a fence itself. An
echo, which carries the address written to, is never barred. Where no fence exists (a block of one
register), the request waits until the debt is a whole ``timeout`` overdue. That is the one place
where time has to do, and what cannot be excluded: from a block of one register, a reply later than
twice the timeout; and a reply sent twice, the second time just when its like is awaited.
"""

import struct
from dataclasses import replace

from edgetwin.core.blocks import READ_FUNCTION, Block
from edgetwin.devices.modbus.ask import Ask, Exchange, read_exchange

_TABLES = {function: table for table, function in READ_FUNCTION.items()}
_UNIT = 4  # where the unit stands in ``Ask.head`` and ``Ask.tail``; its function follows
_NAMELESS = 7  # the length of a ``head`` that ends with a byte count: what follows is data


class Debts:
    """What one unit owes: ``owed`` holds what the replies look like."""

    __slots__ = ("_until", "owed")

    def __init__(self) -> None:
        self.owed: set[bytes] = set()  # bounded: one for each request that is planned
        self._until = 0.0

    def owe(self, ask: Ask, until: float) -> None:
        """This request has no answer yet; after ``until`` none is expected any more."""
        self.owed.add(ask.head[_UNIT:])
        self._until = max(self._until, until)

    def settle(self) -> None:
        """The unit has answered a later request."""
        self.owed.clear()

    def doubt(self, function: int) -> bool:
        """Whether an exception to this function may be meant for an older request."""
        return any(look[1] == function & 0x7F for look in self.owed)

    def bar(self, ask: Ask, now: float) -> bool:
        """Whether the reply to this request could not be told from one that is owed."""
        if now >= self._until:
            self.owed.clear()
        return len(ask.head) == _NAMELESS and ask.head[_UNIT:] in self.owed

    def fence(self, ask: Ask) -> Exchange | None:
        """A shorter read of the same place whose reply looks like none that is owed."""
        unit, function = ask.tail[_UNIT : _UNIT + 2]
        if function not in _TABLES:
            return None
        first, count = struct.unpack_from(">HH", ask.tail, _UNIT + 2)
        block = Block(_TABLES[function], function, first, count, range(0))
        for shorter in range(1, count):
            exchange = read_exchange(unit, replace(block, count=shorter))
            if exchange.head[_UNIT:] not in self.owed:
                return exchange
        return None


class Fence(Ask):
    """A read for the sake of its reply alone: see above."""

    __slots__ = ()

    def good(self, frame: bytes) -> None:
        """The line has noted that the unit answers."""

    def failed(self, failure: object) -> None:
        """The line has noted that it does not."""
