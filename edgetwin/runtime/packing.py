"""Which messages of one upstream are compressed: those its readers have asked for, and no other.

    birth offers ─▶ a reader's retained message on TOPIC/accept ─▶ records of 1,000 bytes and more

Only MQTT 5 says what a message is, so only there. Birth and status are always plain: strangers
read them first. Each connection begins plain, until the broker has handed over what is retained.
"""

import asyncio
import logging
from collections.abc import Sequence

from edgetwin.core.encoding import GZIP, LEAST_BYTES, PLAIN, compress, read_accept

log = logging.getLogger(__name__)

_AT_ONCE = 16 << 10  # bytes: 0.3 ms; more is done beside the loop, which has other things to do


class Packing:
    """What is offered, what was asked for, and what comes of it.

    ``ignored`` counts the messages that asked in a way that means nothing.
    """

    def __init__(self, upstream: str, topic: str, *, offered: bool) -> None:
        self.topic = f"{topic}/accept"
        self.offered = offered
        self.ignored = 0
        self._upstream = upstream
        self._accepted = False

    @property
    def encodings(self) -> tuple[str, ...]:
        """What the birth offers; nothing where there is no choice."""
        return (PLAIN, GZIP) if self.offered else ()

    def begin(self) -> None:
        """A new connection: nobody has asked yet."""
        self._accepted = False

    def hear(self, topic: str, payload: bytes, _retained: bool) -> None:  # noqa: FBT001 as a link calls it
        """A message came. It may be from anybody who may publish there."""
        if topic != self.topic:
            return
        accepted = read_accept(payload)
        if accepted is None:
            self.ignored += 1
            if self.ignored == 1:
                shown = payload[:60]
                log.warning("upstream %s: %s says %r: ignored", self._upstream, topic, shown)
            return
        if self._accepted != (GZIP in accepted):
            self._accepted = not self._accepted
            word = "compressed" if self._accepted else "plain"
            log.info("upstream %s: records go out %s from now on", self._upstream, word)

    async def pack(self, payloads: Sequence[bytes]) -> list[tuple[bytes, str]]:
        """Each payload as it is to be sent, and its content type."""
        if not self._accepted:
            return [(each, PLAIN) for each in payloads]
        if sum(map(len, payloads)) <= _AT_ONCE:
            return [_packed(each) for each in payloads]
        return await asyncio.to_thread(lambda: [_packed(each) for each in payloads])


def _packed(payload: bytes) -> tuple[bytes, str]:
    if len(payload) >= LEAST_BYTES:
        smaller = compress(payload)
        if len(smaller) < len(payload):
            return smaller, GZIP
    return payload, PLAIN
