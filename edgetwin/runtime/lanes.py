"""What one upstream has been sent and has acknowledged: two lanes over one log.

           past                      live
    ──●━━━━━━━━━━━━━━━━━━━━━━━━━│━━━━━━━━━━━━━━━━━━━▶ position
      acked        sent       split    sent

There is a past only while an upstream that has come back to a long backlog catches up. Each lane is
sent in order. ``acked`` moves over the unbroken front of the past, and over that of the live lane
once the past is done; what the live lane has ahead of it is ``beyond``, struck off one by one.

*Fresh* is what is acknowledged and not saved yet. Fresh and open ones together are never more than
a window: so many come twice, at most, when the process is killed.
"""

from dataclasses import dataclass, field

_LARGE = 10_000


@dataclass(slots=True)
class Lane:
    """Tokens to positions, in order of sending. ``until``: its last position, None: no end."""

    front: int
    until: int | None = None
    sent: int = 0
    ended: bool = False
    open: dict[int, int] = field(default_factory=dict)
    landed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.sent = self.front

    @property
    def done(self) -> bool:
        """Everything up to its end is acknowledged."""
        return self.ended and not self.open

    @property
    def open_count(self) -> int:
        """How many wait for their PUBACK."""
        return len(self.open) - len(self.landed)

    def take_off(self, token: int, position: int) -> None:
        """Note what has been sent."""
        self.open[token] = self.sent = position

    def land(self, token: int) -> int:
        """Note a PUBACK; the position it is for, 0 for one that is not of this lane."""
        position = self.open.get(token, 0)
        if position:
            self.landed.add(token)
            while self.open and (first := next(iter(self.open))) in self.landed:
                self.front = self.open.pop(first)
                self.landed.discard(first)
        return position


class Lanes:
    """Both lanes of one upstream. ``cursor`` is what is saved as acknowledged."""

    def __init__(self, cursor: int) -> None:
        self.past = Lane(cursor, cursor, ended=True)
        self.live = Lane(cursor)
        self._fresh: set[int] = set()
        self._beyond: set[int] = set()

    def restart(self, split: int = 0) -> None:
        """A new connection: what was not acknowledged is sent again.

        What lies behind ``split`` goes in the live lane, the rest in that of the past.
        """
        acked = self.acked
        self.past = Lane(acked, max(acked, split), ended=split <= acked)
        self.live = Lane(max(acked, split))

    @property
    def acked(self) -> int:
        """Up to this position everything is acknowledged."""
        return self.live.front if self.past.done else self.past.front

    @property
    def beyond(self) -> tuple[int, ...]:
        """What is acknowledged ahead of that, and not saved yet."""
        acked = self.acked
        return tuple(sorted(p for p in self._beyond if p > acked))

    @property
    def fresh(self) -> int:
        """How many are acknowledged and not saved yet."""
        return len(self._fresh)

    @property
    def out(self) -> int:
        """How many would come twice if the process were killed now."""
        return self.past.open_count + self.live.open_count + len(self._fresh)

    def is_known(self, position: int) -> bool:
        """Whether this one is acknowledged, though the disk does not know it yet."""
        return position in self._fresh

    def land(self, token: int) -> bool:
        """Note a PUBACK; whether it was for a record."""
        position = self.past.land(token)
        if not position:
            position = self.live.land(token)
            if position:
                self._beyond.add(position)
        if position:
            self._fresh.add(position)
        return bool(position)

    def saved(self, acked: int, beyond: tuple[int, ...]) -> None:
        """So much is on disk now."""
        told = set(beyond)
        self._fresh = {p for p in self._fresh if p > acked and p not in told}
        self._beyond = {p for p in self._beyond if p > acked and p not in told}


@dataclass(slots=True)
class Pace:
    """How fast the past may be sent: so many a second, in bursts of a fifth of a second.

    A large record counts for several, one for each 10 kB.
    """

    rate: float
    _spare: float = 0.0
    _at: float = 0.0

    def grant(self, now: float) -> int:
        """How many may be sent now, s on any clock."""
        burst = max(1.0, self.rate / 5)
        self._spare = min(burst, self._spare + (now - self._at) * self.rate)
        self._at = now
        return int(self._spare)

    def spend(self, count: int, size: int) -> None:
        """So many were, of so many bytes together."""
        self._spare -= max(count, size / _LARGE)
