"""A line that is listened to, kept up: connect, subscribe, and again when it is lost, for ever."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from edgetwin.upstream.mqtt_listen import ListeningLink
from edgetwin.upstream.mqtt_refusal import LinkLost, Refused, place

log = logging.getLogger(__name__)

_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 4.0
_REFUSED_WAIT_S = 30.0  # nobody mends a password in seconds
_ANSWER_S = 10.0


class Listener:
    """One line, and what is listened to on it.

    ``purpose`` is what it is for, in the log; ``begun`` is called on each new connection.
    """

    def __init__(
        self,
        purpose: str,
        link: ListeningLink,
        topics: Sequence[str],
        *,
        qos: int = 1,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        self.connected = False
        self.error = ""
        self._purpose = purpose
        self._link = link
        self._topics = topics
        self._qos = qos
        self._begun = begun
        self._wait = _FIRST_WAIT_S
        self._jitter = random.Random()  # noqa: S311 spreads reconnects; nothing secret

    async def run(self) -> None:
        """Connect, listen, and connect again, until cancelled; the line is then left open."""
        while True:
            lost = await self._live()
            if self.connected or str(lost) != self.error:
                log.warning("%s: %s", self._purpose, lost)
            self.connected, self.error = False, str(lost)
            self._link.close()
            await asyncio.sleep(self._pause(refused=isinstance(lost, Refused)))

    def close(self) -> None:
        """Hang up. Never raises."""
        self.connected = False
        self._link.close()

    async def _live(self) -> LinkLost:
        """One connection, from its start to its end; gives the cause of the end."""
        try:
            await self._link.connect(None)
            self._begun()
            async with asyncio.timeout(_ANSWER_S):
                await self._link.subscribe(self._topics, self._qos)
            self.connected, self.error, self._wait = True, "", _FIRST_WAIT_S
            log.info("%s: listens on %s", self._purpose, ", ".join(self._topics))
            await self._link.lost()
        except LinkLost as lost:
            return lost
        except TimeoutError:
            return LinkLost(f"{place(self._link.settings)} does not answer a subscription")
        raise AssertionError("a line does not end without a cause")

    def _pause(self, *, refused: bool) -> float:
        """How long to wait: twice as long each time, to seconds; half a minute when refused."""
        wait = _REFUSED_WAIT_S if refused else self._wait
        self._wait = min(2 * self._wait, _LONGEST_WAIT_S)
        return wait * self._jitter.uniform(0.75, 1.0)
