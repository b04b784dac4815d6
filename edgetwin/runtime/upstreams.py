"""All upstreams of one gateway, as the office sees them: one set over one log on disk.

``unsaved`` is what they have and the disk does not know yet, ``saved`` tells them that it does.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from edgetwin.core.payload import Gap
from edgetwin.core.plan import SECOND, GatewayPlan
from edgetwin.core.reading import Instant
from edgetwin.storage.outbox import Done, Draft
from edgetwin.storage.store import Store

if TYPE_CHECKING:
    from edgetwin.core.frame import Frame
    from edgetwin.runtime.forwarder import Forwarder
    from edgetwin.runtime.sparkplug import SparkplugForwarder
    from edgetwin.runtime.unsigned import Unsigned


def native_of(
    plan: GatewayPlan,
    store: Store,
    now: Callable[[], Instant],
    on_gap: Callable[[Gap], None],
    on_ready: Callable[[], None],
) -> "tuple[Forwarder, ...]":
    """A forwarder for each upstream that speaks our own contract."""
    native = [each for each in plan.upstreams if each.sparkplug is None]
    if not native:
        return ()  # and paho stays out of memory
    from edgetwin.runtime.forwarder import Forwarder  # noqa: PLC0415 - as above

    return tuple(Forwarder(each, plan, store, now, on_gap, on_ready) for each in native)


def faces_of(
    plan: GatewayPlan,
    store: Store,
    now: Callable[[], Instant],
    on_draft: Callable[[Draft], None],
    unsigned: "Mapping[str, Unsigned]",
) -> "tuple[SparkplugForwarder, ...]":
    """One for each that speaks Sparkplug; ``unsigned`` takes commands, by name."""
    spoken = [each for each in plan.upstreams if each.sparkplug is not None]
    if not spoken:
        return ()  # and protobuf stays out of memory
    from edgetwin.runtime.sparkplug import SparkplugForwarder  # noqa: PLC0415 - as above

    return tuple(
        SparkplugForwarder(each, plan, store, now, on_draft, unsigned.get(each.name))
        for each in spoken
    )


class Saver(Protocol):
    """Whoever has sent records."""

    @property
    def landed(self) -> int:
        """How many were acknowledged."""

    @property
    def acked(self) -> int:
        """The position in the outbox's present log up to which the broker has everything."""


class Upstreams:
    """Those that speak our own contract (``native``), and the faces that speak another's."""

    def __init__(
        self,
        store: Store,
        now: Callable[[], Instant],
        native: "tuple[Forwarder, ...]",
        faces: "tuple[SparkplugForwarder, ...]",
    ) -> None:
        self.all: tuple[Forwarder | SparkplugForwarder, ...] = (*native, *faces)
        self.faces = faces
        self._senders = {each.name: each.sender for each in native}
        self._savers: dict[str, Saver] = {**self._senders, **{each.name: each for each in faces}}
        self._store = store
        self._now = now
        self._landed: dict[str, int] = {}
        self._landing: dict[str, int] = {}

    def take(self, frame: "Frame") -> None:
        """Faces make records of their own of each frame."""
        for face in self.faces:
            face.take(frame)

    # ------------------------------------------------------------ what is saved

    @property
    def want_saving(self) -> bool:
        """Whether one sends nothing more until what it has is saved."""
        return any(each.wants_saving for each in self._senders.values())

    @property
    def is_ahead(self) -> bool:
        """Whether one has anything that the disk does not know yet."""
        return bool(self._upto()) or any(each.beyond for each in self._senders.values())

    def unsaved(self) -> Done:
        """What they have, and the disk does not know yet; asked right before it is saved."""
        self._landing = {name: each.landed for name, each in self._savers.items()}
        return Done(
            self._upto(),
            {name: each.beyond for name, each in self._senders.items() if each.beyond},
            close=any(each.wants_closing for each in self._senders.values()),
        )

    def _upto(self) -> dict[str, int]:
        saved = self._store.outbox.cursors
        return {n: each.acked for n, each in self._savers.items() if each.acked > saved.get(n, 0)}

    def saved(self, done: Done, *, new: bool) -> None:
        """So much is on disk now; ``new``: there are records that were not there before."""
        self._landed = self._landing
        for each in self._senders.values():
            each.saved(done)
        for face in self.faces if new or done.close else ():
            face.wake()

    # ------------------------------------------------------------ for people, and the end

    def status(self) -> dict[str, Any]:
        """For ``edgetwin status``: plain values only."""
        return {each.name: self._status(each) for each in self.all}

    def _status(self, forwarder: "Forwarder | SparkplugForwarder") -> dict[str, Any]:
        backlog = self._store.outbox.backlog.get(forwarder.name)
        landed = self._savers[forwarder.name].landed - self._landed.get(forwarder.name, 0)
        waiting = max(0, backlog.records - landed) if backlog else 0  # what landed is not saved yet
        age = (self._now().wall - backlog.oldest) / SECOND if backlog and waiting else 0.0
        return {
            "connected": forwarder.connected,
            "node": forwarder.node,
            "since": forwarder.since,
            "backlog": waiting,
            "oldest_age_s": round(max(0.0, age), 1),
            "error": forwarder.error,
            "warning": forwarder.warning,
            "refused": forwarder.refused,
        }

    def farewell(self) -> "asyncio.Future[list[None]]":
        """Each sends what a second allows, and says good-bye. Never raises."""
        return asyncio.gather(*(each.farewell() for each in self.all))
