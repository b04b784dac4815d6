"""What hosts say to an edge node, and what of it is still to be done."""

import asyncio
import logging

from edgetwin.core.sparkplug.catalogue import Catalogue
from edgetwin.core.sparkplug.command import judge
from edgetwin.core.sparkplug.host import PrimaryHost, Word
from edgetwin.core.sparkplug.metric import Verb
from edgetwin.runtime.unsigned import Unsigned
from edgetwin.upstream.sparkplug_wire import decode

log = logging.getLogger(__name__)

_REPORTED = 10  # refusals told one by one in the log; then they are only counted
_NODE_LEVELS = 4  # of spBv1.0/group/NCMD/node; a device is one more


class Hosts:
    """Listens to commands and to the primary host, if there is one.

    ``wake``     set when something is to be done
    ``rebirth``  births are due, and no data goes before them
    ``leave``    the primary host has gone during a session
    ``refused``  commands turned down since the start
    """

    def __init__(
        self, upstream: str, primary_host: str, catalogue: Catalogue, unsigned: Unsigned | None
    ) -> None:
        """Commands to write go to ``unsigned``; without it they are refused."""
        self.wake = asyncio.Event()
        self.rebirth = False
        self.leave = False
        self.refused = 0
        self._upstream = upstream
        self._primary = PrimaryHost(primary_host) if primary_host else None
        self._in_session = False
        self._asked_again = False
        self._unsigned = unsigned
        self._catalogue = catalogue if unsigned is not None else None
        if unsigned is not None:
            unsigned.refused = self._refuse

    @property
    def topics(self) -> list[str]:
        """Where the primary host speaks."""
        return [self._primary.topic] if self._primary is not None else []

    @property
    def may_be_born(self) -> bool:
        """Whether the primary host is online, or there is none."""
        return not self.leave and (self._primary is None or self._primary.online)

    def reconnected(self) -> None:
        """A new connection: what was asked for before is forgotten."""
        self.rebirth = self.leave = self._in_session = False
        if self._primary is not None:
            self._primary.reconnected()

    # ------------------------------------------------------------ births

    def begin_births(self) -> None:
        """Births are being told; data waits."""
        self.rebirth, self._asked_again, self._in_session = True, False, True

    def end_births(self) -> None:
        """They have been told; who has asked meanwhile may have missed the first."""
        self.rebirth = self._asked_again
        if self.rebirth:
            self.wake.set()

    def ask_rebirth(self) -> None:
        """No data from here on until births have been told (tck-id-…-rebirth-action-1)."""
        if self._in_session:
            self.rebirth = self._asked_again = True
            self.wake.set()

    # ------------------------------------------------------------ messages

    def hear(self, topic: str, content: bytes, retained: bool) -> None:  # noqa: FBT001 - as the link gives it
        """A message from the broker. Never raises."""
        if topic in self.topics:
            self._hear_state(topic, content)
        else:
            self._hear_command(topic, content, retained=retained)

    def _hear_state(self, topic: str, content: bytes) -> None:
        if self._primary is None:
            return
        word = self._primary.take(topic, content)
        if word is Word.OFFLINE and self._in_session:
            self.leave = True
        if word is not Word.IGNORED:
            self.wake.set()

    def _hear_command(self, topic: str, content: bytes, *, retained: bool) -> None:
        levels = topic.split("/")
        verb = Verb.DCMD if len(levels) > _NODE_LEVELS else Verb.NCMD
        device = "/".join(levels[_NODE_LEVELS:])
        payload = decode(content)
        command = judge(verb, device, payload, retained=retained, catalogue=self._catalogue)
        for reason in command.refused:
            self._refuse(reason)
        if self._unsigned is not None:
            for each in command.wanted:
                self._unsigned.take(each.tag, each.value, each.stamp)
        if command.rebirth:
            self.ask_rebirth()

    def _refuse(self, reason: str) -> None:
        self.refused += 1
        if self.refused <= _REPORTED:
            log.warning("upstream %s: refused: %s", self._upstream, reason)
