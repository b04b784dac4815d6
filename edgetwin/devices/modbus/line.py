"""One connection: which request goes when, which reply belongs to it, and when waiting is over.

::

    lane ─▶ urgent, waiting ┐                    ┌─▶ ask.good(frame)   in the turn the bytes came in
    lane ─▶ urgent, waiting ┼─▶ open: no. → ask ─┤
    lane ─▶ urgent, waiting ┘   (the window)     └─▶ ask.failed(why)   refused, wrong, silent, lost

Urgent requests of any lane go before all others; within a rank each lane has its turn. At most
``in_flight`` requests are open, on RTU one. One loop timer watches the request that expires first.

With transaction ids a reply that comes after its request expired finds no open id and is dropped;
ids go on counting over connections, because a gateway may still hold a reply from the one before.
RTU has no ids: there the line rests after every irregularity, and ``debts`` keeps replies apart. A
stream not to be trusted ends the connection, and with it the stay of every lane.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, cast

from edgetwin.devices.modbus import words
from edgetwin.devices.modbus.ask import Abandoned, Ask, Failure, Trouble, judge
from edgetwin.devices.modbus.framing import NotModbus
from edgetwin.devices.modbus.lane import Lane

_EARLY_S = 1e-4  # the loop may call a timer this much before its time
_NEVER = float("inf")


class Framing(Protocol):
    """How requests and replies lie in the byte stream.

    ``numbered``: replies carry the number of their request. ``silence_s``: what must be between a
    reply and the next request. ``settle_s``: how long the line must be still to be trusted again.
    """

    numbered: bool
    silence_s: float
    settle_s: float

    @property
    def is_dirty(self) -> bool:
        """Whether bytes have come that belong to no reply."""

    def request(self, number: int, ask: Ask) -> bytes:
        """The bytes of a request."""

    def air_s(self, ask: Ask) -> float:
        """How long request and reply are under way, where that counts."""

    def feed(self, data: bytes, awaited: Mapping[int, Ask]) -> Sequence[bytes]:
        """The frames that are whole now, with the header of Modbus TCP.

        Raises:
            NotModbus: the stream cannot be trusted.
        """

    def expired(self) -> None:
        """A request has had no reply in time."""

    def finding(self) -> str:
        """What came in the place of a reply; empty where nothing did."""


class Line(asyncio.Protocol):
    """A connection and the lanes it serves. Made for each connection anew."""

    def __init__(self, framing: Framing, numbers: Iterator[int]) -> None:
        """``numbers`` gives a transaction id for each request."""
        self._framing = framing
        self._numbers = numbers
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._lanes: deque[Lane] = deque()  # the next to be served first
        self._window = 1
        self._open: dict[int, Ask] = {}
        self._pumping = self._again = False
        self._heard_at = self._quiet_until = 0.0
        self._spoilt_at = _NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = _NEVER
        self._rest_timer: asyncio.TimerHandle | None = None
        self.closed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._transport is not None

    # ---------------------------------------------------------------- lanes

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The lanes served."""
        return tuple(self._lanes)

    def attach(self, lane: Lane) -> None:
        """Serve a lane."""
        self._lanes.append(lane)
        self._set_window()
        lane.begin(self)

    def detach(self, lane: Lane) -> list[Ask]:
        """Serve a lane no more; its requests that are on the wire are given back."""
        self._lanes.remove(lane)
        self._set_window()
        given = [(number, ask) for number, ask in self._open.items() if ask.lane is lane]
        for number, ask in given:
            if self._framing.numbered:
                del self._open[number]
            else:  # its reply still has to come and go, maybe on the next connection
                self._owe(ask)
                self._open[number] = Abandoned(ask)
        return [ask for _, ask in given]

    def _set_window(self) -> None:
        widest = min((lane.in_flight for lane in self._lanes), default=1)
        self._window = widest if self._framing.numbered else 1

    # ---------------------------------------------------------------- requests

    def pump(self) -> None:
        """Fill the window. What is asked for meanwhile is sent before this returns."""
        self._again = True
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._again:
                self._again = False
                self._fill()
        finally:
            self._pumping = False

    def send_now(self, ask: Ask) -> bool:
        """Send an urgent request at once, the way from a loop's reading to its write.

        Where the window is open and nobody rests, nothing urgent waits either: ``pump`` has seen to
        that. False: it has to wait for its turn.
        """
        transport = self._transport
        is_free = len(self._open) < self._window and not (self._pumping or self._quiet_until)
        if transport is None or not is_free:
            return False
        if ask.may_go():  # else it has answered itself
            transport.write(self._launch(ask))
        return True

    def _fill(self) -> None:
        frames = []
        while self._transport is not None and len(self._open) < self._window:
            if self._must_rest() or (ask := self._next()) is None:
                break
            frames.append(self._launch(ask))
        if frames and self._transport is not None:
            self._transport.write(b"".join(frames))

    def _next(self) -> Ask | None:
        for urgent in (True, False):
            for _ in range(len(self._lanes)):
                lane = self._lanes[0]
                self._lanes.rotate(-1)
                if (ask := lane.take(urgent=urgent)) is not None:
                    return ask
        return None

    def _launch(self, ask: Ask) -> bytes:
        number = next(self._numbers)
        lane, now = ask.lane, self._loop.time()
        air_s = 0.0 if self._framing.numbered else self._framing.air_s(ask)
        ask.deadline = deadline = now + lane.timeout_s + air_s
        lane.counters.requests += 1
        self._quiet_until = now + lane.pause_s if lane.pause_s else 0.0
        self._spoilt_at = _NEVER
        self._open[number] = ask
        if self._rings_at > deadline:
            self._watch()
        return self._framing.request(number, ask)

    def _must_rest(self) -> bool:
        """Whether line or device still want their rest; then this looks again when it is over."""
        if not self._quiet_until or self._loop.time() >= self._quiet_until - _EARLY_S:
            return False
        if self._rest_timer is None and any(lane.waits for lane in self._lanes):
            self._rest_timer = self._loop.call_at(self._quiet_until, self._rested)
        return True

    def _rested(self) -> None:
        self._rest_timer = None
        self.pump()

    # ---------------------------------------------------------------- replies

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop: the connection stands."""
        self._transport = cast("asyncio.Transport", transport)  # nothing else is opened

    def data_received(self, data: bytes) -> None:
        """Called by the loop: hand each reply to its request, now, in this turn."""
        if self._transport is None:
            return
        try:
            frames = self._framing.feed(data, self._open)
        except NotModbus as finding:
            for lane in self._lanes:
                lane.counters.bad_replies += 1
            cause = words.not_modbus(str(finding))
            self.end(cause, Failure(Trouble.WRONG_REPLY, cause))
            return
        if not self._framing.numbered:
            self._listen(len(frames))
        for frame in frames:
            self._take(frame)
        self.pump()

    def _listen(self, replies: int) -> None:
        """RTU: silence is all that parts one frame from the next."""
        self._heard_at = self._loop.time()
        is_clean = replies == 1 and not self._framing.is_dirty
        rest = self._framing.silence_s if is_clean else self._framing.settle_s
        self._quiet_until = self._heard_at + rest
        if self._open and not replies and self._framing.is_dirty:
            self._spoilt_at = self._heard_at + self._framing.settle_s
            self._watch()

    def _take(self, frame: bytes) -> None:
        number = frame[0] << 8 | frame[1]
        ask = self._open.get(number)
        if ask is None:
            self._count_late(frame[6])
            return
        lane = ask.lane
        is_right = (frame.startswith(ask.head, 2) and len(frame) == ask.size) or ask.fits(frame)
        if not is_right and lane.debts.owed and lane.debts.doubt(frame[7]):
            lane.counters.late += 1  # it may be for an older request; this one stays open
            return
        del self._open[number]
        if lane.pause_s:
            self._quiet_until = max(self._quiet_until, self._loop.time() + lane.pause_s)
        if is_right:
            lane.answered()
            ask.good(frame)
        else:
            lane.refused(ask, judge(ask, frame))

    def _count_late(self, unit: int) -> None:
        for lane in self._lanes:
            if lane.unit == unit or len(self._lanes) == 1:
                lane.counters.late += 1

    # ---------------------------------------------------------------- silence

    def _watch(self) -> None:
        """Have the timer ring when the first open request expires."""
        due = min((self._due(ask) for ask in self._open.values()), default=_NEVER)
        if self._timer is not None:
            if self._rings_at <= due:
                return  # it rings early, looks, and is set again: cheaper than setting it each time
            self._timer.cancel()
            self._timer, self._rings_at = None, _NEVER
        if due < _NEVER and self.is_open:
            self._timer, self._rings_at = self._loop.call_at(due, self._expire), due

    def _due(self, ask: Ask) -> float:
        """When waiting for this reply is over; early where one came that cannot be read."""
        return min(ask.deadline, self._spoilt_at)

    def _expire(self) -> None:
        """Whoever has waited long enough is told so, unless its reply came."""
        self._timer, self._rings_at = None, _NEVER
        over = self._loop.time() + _EARLY_S
        expired = [number for number, ask in self._open.items() if self._due(ask) <= over]
        asks = [self._open.pop(number) for number in expired]
        finding = ""
        if asks:
            finding = self._framing.finding()
            self._framing.expired()
        by_lane: dict[Lane, list[Ask]] = {}
        for ask in asks:
            by_lane.setdefault(ask.lane, []).append(ask)
            if not self._framing.numbered:
                self._owe(ask)
                self._quiet_until = max(self._quiet_until, self._heard_at + self._framing.settle_s)
        for lane, silent in by_lane.items():
            lane.unanswered(silent, finding)
        self.pump()
        self._watch()

    def _owe(self, ask: Ask) -> None:
        """Its reply may still come, up to a whole timeout late."""
        latest = max(ask.deadline, self._loop.time()) + ask.lane.timeout_s
        ask.lane.debts.owe(ask, latest)

    # ---------------------------------------------------------------- the end

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: the connection is gone."""
        if self._transport is not None:
            is_tls = self._transport.get_extra_info("sslcontext") is not None
            self.end(words.line_closed(exc, is_tls=is_tls))
        self.closed.set()

    def end(self, cause: str, of_open: Failure | None = None) -> None:
        """Give the connection up; every request without a reply fails. Later calls do nothing."""
        if self._transport is None:
            return
        transport, self._transport = self._transport, None
        transport.abort()
        for timer in (self._timer, self._rest_timer):
            if timer is not None:
                timer.cancel()
        for lane in self.lanes:
            lane.end(cause, of_open)
