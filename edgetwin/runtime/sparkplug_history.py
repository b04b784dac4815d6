"""What an edge node must not lose: changes in doubt, changes on disk, and their way back.

    sent, not fenced ─▶ in doubt (memory, bounded) ─ line lost ─▶ outbox ─▶ replayed as history
    no session ───────────────────────────────────────────────▶ outbox ─┘

Records are deleted only after a fence behind their replay. So a change arrives at least once; one
that comes twice carries the same timestamp and is marked as history.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edgetwin.core.errors import StorageError
from edgetwin.core.sparkplug import history
from edgetwin.core.sparkplug.catalogue import Catalogue
from edgetwin.core.sparkplug.report import Change
from edgetwin.storage.outbox import Draft, Record
from edgetwin.storage.store import Store

log = logging.getLogger(__name__)

KIND = "sparkplug"
_BATCH = 20  # records sent between two fences
_PACE_S = 0.05  # between two batches: 400 records a second at most, for broker and control loops
_DISK_WAIT_S = 1.0
_DOUBTED = 600  # change sets in memory; the oldest go to the outbox, and may then be told twice

Changes = tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Records to replay: the owners they speak of; ``last`` when nothing waits behind them."""

    changes: tuple[Changes, ...]
    owners: frozenset[str]
    last: bool


class History:
    """The store-and-forward side of one edge node. ``keep`` takes drafts for the outbox.

    ``visiting``  devices that are not there and were born only so that their history can be told
    ``lost``      what can never be told: changes of tags no longer configured, records that a full
                  disk dropped before they were replayed, records of a face that was left
    """

    def __init__(
        self, name: str, catalogue: Catalogue, store: Store, keep: Callable[[Draft], None]
    ) -> None:
        self.visiting: set[str] = set()
        self.lost = 0
        self.landed = 0
        self._name = name
        self._catalogue = catalogue
        self._store = store
        self._keep = keep
        self._doubted: deque[tuple[Changes, int]] = deque()
        self._fenced = 0
        self._fence: asyncio.Future[None] | None = None
        self._log = ""
        self._position = 0
        self._sequence = 0

    @property
    def acked(self) -> int:
        """The position in the outbox's present log up to which the broker has everything."""
        return self._position if self._log == self._store.outbox.log else 0

    def store(self, changes: Changes, at: int) -> None:
        """Keep changes for later; ``at`` is ms since 1970."""
        if changes:
            body = history.write(changes, self._catalogue, at)
            draft = Draft(KIND, f"{KIND}-{self._name}", (self._name,), body, at * 1_000_000)
            self._keep(draft)

    # ------------------------------------------------------------ in doubt

    def doubt(self, changes: Changes, fence: "Callable[[], asyncio.Future[None]]") -> None:
        """These were sent just now; they stay in doubt until a fence behind them."""
        if changes:
            self._doubted.append((changes, changes[-1].timestamp))
        while len(self._doubted) > _DOUBTED:
            self._fenced = max(0, self._fenced - 1)
            self.store(*self._doubted.popleft())
        if self._doubted and self._fence is None:
            self._fenced = len(self._doubted)
            self._fence = fence()
            self._fence.add_done_callback(self._on_fence)

    def _on_fence(self, fence: "asyncio.Future[None]") -> None:
        lost = fence.cancelled() or fence.exception() is not None
        if fence is not self._fence:
            return
        self._fence = None
        if not lost:
            for _ in range(min(self._fenced, len(self._doubted))):
                self._doubted.popleft()

    def settle(self) -> None:
        """The broker has all that was sent."""
        self._doubted.clear()

    def give_up(self, at: int) -> None:
        """The line is gone: what is in doubt goes to the outbox."""
        self._fence = None
        self.visiting.clear()
        while self._doubted:
            self.store(self._doubted.popleft()[0], at)

    # ------------------------------------------------------------ replay

    async def replay(
        self, tell: Callable[[Batch], Awaitable[bool]], again: Callable[[], None]
    ) -> None:
        """Tell the next records, if any; ``again`` is called when more may wait.

        ``tell`` says whether it has: hosts may have asked for something else meanwhile.

        Raises:
            LinkLost: as ``tell`` does. The records stay.
        """
        try:
            records = await self._next()
        except StorageError as error:
            log.debug("upstream %s: %s", self._name, error)  # the office tells it once
            asyncio.get_running_loop().call_later(_DISK_WAIT_S, again)
            return
        if not records and not self.visiting:
            return
        batch, lost = self._read(records)
        if not await tell(batch) or not records:
            return
        if lost:
            self.lost += lost
            log.warning("upstream %s: %d changes are lost", self._name, lost)
        self._position, self._sequence = records[-1].position, records[-1].sequence
        self.landed += len(records)
        asyncio.get_running_loop().call_later(_PACE_S, again)

    async def _next(self) -> list[Record]:
        outbox = self._store.outbox
        if self._log != outbox.log:
            self._log, self._position = outbox.log, outbox.cursors.get(self._name, 0)
            self._sequence = 0
        if self._position >= outbox.head:
            return []
        return await self._store.read(self._name, self._position, _BATCH)

    def _read(self, records: list[Record]) -> tuple[Batch, int]:
        """The records as a batch, and how much of them can never be told."""
        sets: list[Changes] = []
        lost, before = 0, self._sequence
        for record in records:
            if record.kind != KIND:
                lost += 1  # made for another face of this upstream, before an edit
                continue
            changes, gone = history.read(record.body, self._catalogue.by_name)
            # Missing numbers were dropped on disk. Of those before the first nobody knows.
            lost += gone + (max(0, record.sequence - before - 1) if before else 0)
            before = record.sequence
            sets.append(changes)
        owners = {self._catalogue.entries[c.tag].owner for changes in sets for c in changes}
        return Batch(tuple(sets), frozenset(owners), last=len(records) < _BATCH), lost
