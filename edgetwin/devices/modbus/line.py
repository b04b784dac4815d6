"""One connection: which request goes when, which reply belongs to it, and when waiting is over.

::

    writes  ─▶ urgent  ┐                     ┌─▶ ask.good(frame)     in the turn the bytes came in
                       ├─▶ open: tid → ask ──┤
    reads   ─▶ waiting ┘   (the window)      └─▶ ask.failed(why)     exception, wrong, silent, lost

At most ``in_flight`` requests are open. ``urgent`` goes first. One loop timer watches the oldest
open request (all have the same patience, so the oldest is the first to expire). A reply that comes
after its request expired finds no open transaction id and is dropped: it can never answer the next
request. Nor can one that a gateway still holds from the connection before: ids go on counting over
connections. Three times silence in a row, or a stream not to be trusted, end the connection.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

from edgetwin.core.plan import SECOND, ModbusSettings
from edgetwin.devices.modbus import words
from edgetwin.devices.modbus.ask import GATEWAY_CODES, Ask, Failure, Trouble, judge
from edgetwin.devices.modbus.framing import Framer, NotModbus

SILENCES_UNTIL_LOST = 3
_EARLY_S = 1e-4  # the loop may call a timer this much before its time


@dataclass(slots=True)
class Counters:
    """What one device's lane has seen since the start."""

    requests: int = 0
    timeouts: int = 0
    overruns: int = 0
    bad_replies: int = 0
    exceptions: int = 0
    late: int = 0


class Line(asyncio.Protocol):
    """The connection to one unit. Made for each connection anew; ``lost`` is told why it ended."""

    def __init__(
        self, settings: ModbusSettings, counters: Counters, lost: "Callable[[Line, str], None]"
    ) -> None:
        self._settings = settings
        self._timeout_s = settings.timeout / SECOND
        self._pause_s = settings.pause / SECOND
        self._counters = counters
        self._lost = lost
        self._framer = Framer(settings.unit)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._open: dict[int, Ask] = {}
        self._urgent: deque[Ask] = deque()  # bounded by the driver: MOST_WRITES
        self._waiting: deque[Ask] = deque()  # bounded: a block waits once, its group is out once
        self._tid = counters.requests % 0xFFFF  # goes on where the last connection ended: see above
        self._silences = 0
        self._quiet_until = 0.0
        self._ended: Failure | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pause_timer: asyncio.TimerHandle | None = None
        self.closed = asyncio.Event()

    # ---------------------------------------------------------------- requests

    def send(self, asks: Iterable[Ask]) -> None:
        """Send in turn, behind what waits already."""
        self._waiting.extend(asks)
        self._pump()
        self._refuse_if_ended()

    def send_first(self, ask: Ask) -> None:
        """Send ahead of every read that is not yet on the wire."""
        self._urgent.append(ask)
        self._pump()
        self._refuse_if_ended()

    def _pump(self) -> None:
        """Fill the window."""
        frames = []
        while self._transport is not None and len(self._open) < self._settings.in_flight:
            if self._must_pause() or (ask := self._next()) is None:
                break
            frames.append(self._launch(ask))
        if frames and self._transport is not None:
            self._transport.write(b"".join(frames))

    def _next(self) -> Ask | None:
        while self._urgent or self._waiting:
            ask = (self._urgent or self._waiting).popleft()
            if ask.may_go():
                return ask
        return None

    def _launch(self, ask: Ask) -> bytes:
        self._tid = tid = self._tid % 0xFFFF + 1  # 1 to 65535: some devices answer 0 to anything
        now = self._loop.time()
        ask.deadline = now + self._timeout_s
        self._quiet_until = now + self._pause_s
        self._open[tid] = ask
        self._counters.requests += 1
        if self._timer is None:
            self._timer = self._loop.call_at(ask.deadline, self._expire)
        return tid.to_bytes(2, "big") + ask.tail

    def _must_pause(self) -> bool:
        """Whether the device still wants its rest; then this looks again when it is over."""
        if not self._pause_s or self._loop.time() >= self._quiet_until - _EARLY_S:
            return False
        if self._pause_timer is None and (self._urgent or self._waiting):
            self._pause_timer = self._loop.call_at(self._quiet_until, self._rested)
        return True

    def _rested(self) -> None:
        self._pause_timer = None
        self._pump()

    # ---------------------------------------------------------------- replies

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop: the connection stands."""
        self._transport = cast("asyncio.Transport", transport)  # create_connection gives no other

    def data_received(self, data: bytes) -> None:
        """Called by the loop: hand each reply to its request, now, in this turn."""
        if self._transport is None:
            return
        try:
            frames = self._framer.feed(data, self._open)
        except NotModbus as finding:
            self._counters.bad_replies += 1
            cause = words.not_modbus(str(finding))
            self.end(cause, Failure(Trouble.WRONG_REPLY, cause))
            return
        for frame in frames:
            self._take(frame)
        self._pump()

    def _take(self, frame: bytes) -> None:
        ask = self._open.pop(frame[0] << 8 | frame[1], None)
        if ask is None:
            self._counters.late += 1
            return
        if self._pause_s:
            self._quiet_until = self._loop.time() + self._pause_s
        if frame.startswith(ask.head, 2) and len(frame) == ask.size:
            self._silences = 0
            ask.good(frame)
            return
        failure = judge(ask, frame)
        if failure.trouble is Trouble.EXCEPTION:
            self._counters.exceptions += 1
        else:
            self._counters.bad_replies += 1
        self._silences = self._silences + 1 if failure.code in GATEWAY_CODES else 0
        ask.failed(failure)
        if self._silences >= SILENCES_UNTIL_LOST:
            self.end(words.behind_gateway(self._settings.unit, failure.words))

    def _expire(self) -> None:
        """The oldest request has waited long enough, unless its reply came."""
        self._timer = None
        over = self._loop.time() + _EARLY_S
        expired = [tid for tid, ask in self._open.items() if ask.deadline <= over]
        asks = [self._open.pop(tid) for tid in expired]
        self._counters.timeouts += len(asks)
        self._silences += bool(asks)
        failure = Failure(
            Trouble.SILENT, words.unanswered(self._timeout_s, self._settings.in_flight)
        )
        for ask in asks:
            ask.failed(failure)
        if self._silences >= SILENCES_UNTIL_LOST:
            self.end(words.silent(self._settings.unit, self._silences, self._timeout_s))
            return
        self._pump()
        if self._open and self._timer is None:
            first = next(iter(self._open.values()))
            self._timer = self._loop.call_at(first.deadline, self._expire)

    # ---------------------------------------------------------------- the end

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: the connection is gone."""
        self.end(words.line_closed(exc))
        self.closed.set()

    def end(self, cause: str, of_open: Failure | None = None) -> None:
        """Give the connection up; every request without a reply fails. Later calls do nothing."""
        if self._transport is None:
            return
        transport, self._transport = self._transport, None
        transport.abort()
        for timer in (self._timer, self._pause_timer):
            if timer is not None:
                timer.cancel()
        self._lost(self, cause)  # first, so that nobody asks this line for more while it fails
        self._ended = Failure(Trouble.LINE_LOST, cause)
        opened = list(self._open.values())
        self._open.clear()
        for ask in opened:
            ask.failed(of_open or self._ended)
        self._refuse_if_ended()

    def _refuse_if_ended(self) -> None:
        """Nothing waits on an ended line: not what waited when it ended, nor what comes after."""
        while self._ended is not None and (self._urgent or self._waiting):
            (self._urgent or self._waiting).popleft().failed(self._ended)
