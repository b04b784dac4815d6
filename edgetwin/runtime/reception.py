"""Where the cloud is received: one desk, and for each upstream that may ask a line to it."""

from collections.abc import Callable, Coroutine
from typing import Any

from edgetwin.core.frame import Frame, Input
from edgetwin.core.plan import GatewayPlan
from edgetwin.core.reading import Instant
from edgetwin.runtime.desk import Desk
from edgetwin.runtime.request_line import RequestLine
from edgetwin.runtime.unsigned import Unsigned
from edgetwin.storage.request_log import RequestLog


class Reception:
    """All of it. ``turn`` is the field's, ``unsigned`` are the Sparkplug upstreams by name."""

    def __init__(
        self, plan: GatewayPlan, turn: Callable[[Input], Frame], now: Callable[[], Instant]
    ) -> None:
        """Nothing is read or opened before ``load`` and the jobs."""
        self.desk = Desk(RequestLog(plan.state), turn, now)
        asked = [(u, u.requests) for u in plan.upstreams if u.requests is not None]
        self._lines = tuple(
            RequestLine(upstream, settings, plan.name, self.desk, now)
            for upstream, settings in asked
            if upstream.sparkplug is None
        )
        self.unsigned = {
            upstream.name: Unsigned(upstream, settings, plan.tags, self.desk, now)
            for upstream, settings in asked
            if upstream.sparkplug is not None
        }

    def load(self) -> None:
        """Read the keys.

        Raises:
            ConfigError: one of them cannot be used.
        """
        for line in self._lines:
            line.load()

    @property
    def jobs(self) -> list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]]:
        """What is to be kept running, by name."""
        lines = [(f"requests of {line.name}", line.run) for line in self._lines]
        return [("requests", self.desk.run), *lines]

    def status(self) -> dict[str, Any]:
        """For ``edgetwin status``, by upstream."""
        told = {line.name: line.status() for line in self._lines}
        return told | {name: each.status() for name, each in self.unsigned.items()}

    async def end(self) -> None:
        """Send the last replies, keep the last states. Never raises; at most two seconds."""
        for line in self._lines:
            await line.farewell()
        await self.desk.end()
