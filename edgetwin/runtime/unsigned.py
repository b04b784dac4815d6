"""Commands of Sparkplug hosts as petitions: unsigned, so allowed only by name, and warned of.

The specification knows no signature: whoever may publish at the broker can send these. What is left
is what the gateway itself can hold: listed tags, a fresh time in the message, so many a second, and
then the same desk, disk and guard as for signed requests.
"""

from collections.abc import Callable
from typing import Any

from edgetwin.core.plan import RequestSettings, UpstreamPlan
from edgetwin.core.reading import Instant
from edgetwin.core.remote import State
from edgetwin.core.request import AHEAD_MS, Flaw, Reply, WriteWanted
from edgetwin.core.tags import TagTable
from edgetwin.runtime.desk import Desk, Petition
from edgetwin.runtime.tally import Bucket, Tally

WARNING = (
    "requests are unsigned: whoever may publish at this broker can write the tags listed below "
    "requests"
)
_RATE = 10  # a second: each costs a sync of the disk, and nobody has to own a key to send them
_MS = 1_000_000
_NOT_LISTED = "not listed"
_TOO_MANY = "too many at once"


class Unsigned:
    """The commands of one upstream's hosts. ``refused``: called with what was not done, and why."""

    def __init__(
        self,
        plan: UpstreamPlan,
        settings: RequestSettings,
        tags: TagTable,
        desk: Desk,
        now: Callable[[], Instant],
    ) -> None:
        self.name = plan.name
        self.tally = Tally(plan.name)
        self.refused: Callable[[str], None] = lambda _: None
        self._listed = frozenset(tags[index].name for index in settings.tags)
        self._expiry_ms = settings.expiry // _MS
        self._desk = desk
        self._now = now
        self._bucket = Bucket(_RATE, now)

    def take(self, tag: str, value: float, stamp: int) -> None:
        """A host wants a tag to have a value; ``stamp`` is the message's time, ms since 1970."""
        self.tally.heard += 1
        clock = self._now().wall // _MS
        if tag not in self._listed:
            self._refuse(_NOT_LISTED, f"{tag} is not listed below requests")
        elif not clock - self._expiry_ms < stamp <= clock + AHEAD_MS:
            self._refuse(Flaw.EXPIRED, f"{tag}: its time is {clock - stamp} ms before ours")
        elif not self._bucket.spend():
            self._refuse(_TOO_MANY, f"{tag}: more than {_RATE} in a second")
        else:
            self._desk.take(self._petition(tag, value, stamp))

    def status(self) -> dict[str, Any]:
        """For ``edgetwin status``: plain values only."""
        return {"unsigned": True, **self.tally.as_dict()}

    def _petition(self, tag: str, value: float, stamp: int) -> Petition:
        return Petition(
            upstream=self.name,
            key=f"unsigned/{self.name}",
            kid="unsigned",
            sequence=0,
            nonce="",
            issued=stamp,
            expires=(stamp + self._expiry_ms) * _MS,
            by="a Sparkplug host",
            wanted=WriteWanted(tag, value),
            answer=self._answered,
            tally=self.tally,
        )

    def _answered(self, reply: Reply) -> None:
        if reply.state not in (State.UPDATING, State.APPLIED):
            self.refused(f"{reply.state}: {reply.reason}")

    def _refuse(self, reason: str, text: str) -> None:
        self.tally.refused[reason] += 1
        self.refused(text)  # which also tells it
