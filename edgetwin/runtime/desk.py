"""The desk: where requests of all upstreams become inputs of the field, and states become replies.

    line (authentic, for us, now) ─▶ take ─▶ tray (bounded) ─▶ on disk, synced ─▶ Field.turn
    reply ◀── answer ◀── events of kind "request" ◀── put ◀── frame ◀──────────────┘

Only what the disk has kept is carried out: so none is carried out twice, whatever is sent again
and whenever the process is killed. A disk that refuses or hangs refuses the request. One task
serves the tray, so requests are carried out in the order in which they came.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from edgetwin.core.errors import StorageError
from edgetwin.core.event import Event, EventKind
from edgetwin.core.frame import CloudMode, CloudWrite, Frame, Input
from edgetwin.core.reading import Instant, Scalar
from edgetwin.core.remote import State, in_words
from edgetwin.core.request import Flaw, ModeWanted, Reply, WriteWanted
from edgetwin.runtime.tally import Tally
from edgetwin.storage.request_log import Claim, Outcome, RequestLog, Standing

log = logging.getLogger(__name__)

TRAY = 100
_DISK_S = 0.5
_OUTCOMES = 1000
_RETRY_S = 1.0
_BESIDE = frozenset({"request", "upstream", "state", "reason"})  # told by the reply itself


@dataclass(frozen=True, slots=True)
class Petition:
    """A request that is authentic, for this gateway and fresh.

    ``key`` is the thumbprint of what signed it, ``kid`` the key's name; ``expires`` is ns since
    1970. ``answer`` must not wait. ``sequence`` 0 and ``nonce`` "": it is given both.
    """

    upstream: str
    key: str
    kid: str
    sequence: int
    nonce: str
    issued: int
    expires: int
    by: str
    wanted: WriteWanted | ModeWanted
    answer: Callable[[Reply], None]
    tally: Tally = field(repr=False)

    @property
    def id(self) -> str:
        """What it is called everywhere."""
        return f"{self.kid}/{self.sequence}"

    @property
    def words(self) -> str:
        """What is wanted, for people."""
        if isinstance(self.wanted, ModeWanted):
            return f"loop {self.wanted.loop} to {self.wanted.mode}"
        return f"{self.wanted.tag} to {in_words(self.wanted.value)}"

    def as_input(self) -> CloudWrite | CloudMode:
        """What the engine is asked."""
        wanted = self.wanted
        if isinstance(wanted, ModeWanted):
            return CloudMode(self.id, self.upstream, self.by, wanted.loop, wanted.mode)
        return CloudWrite(self.id, self.upstream, self.by, wanted.tag, wanted.value)


class Desk:
    """Serves petitions. ``turn`` is the field's; ``put`` is given every frame."""

    def __init__(
        self, kept: RequestLog, turn: Callable[[Input], Frame], now: Callable[[], Instant]
    ) -> None:
        """Nothing is opened before ``run``. ``begun``: set when the disk has answered."""
        self.begun = asyncio.Event()
        self._log = kept
        self._turn = turn
        self._now = now
        self._tray: deque[Petition] = deque()  # TRAY at most: see ``take``
        self._open: dict[tuple[str, str], Petition] = {}  # bounded by Remote.PATIENCE
        self._outcomes: deque[Outcome] = deque(maxlen=_OUTCOMES)  # the oldest go: their rows stay
        self._wake = asyncio.Event()
        self._writing: asyncio.Future[list[Standing]] | None = None
        self._late: list[Petition] = []  # given up, while the disk still has them
        self._why = "the gateway starts"

    # ------------------------------------------------------------ for lines and field

    def take(self, petition: Petition) -> None:
        """Lay a petition into the tray. When it is full, this one is refused."""
        if self._why:
            self._refuse(petition, Flaw.DISK, f"nothing was done: {self._why}")
        elif len(self._tray) >= TRAY:
            self._refuse(petition, Flaw.OVERFLOW, f"{TRAY} requests wait already. Send it again")
        else:
            self._tray.append(petition)
            self._wake.set()

    def put(self, frame: Frame) -> None:
        """Look at a frame: it may hold states of requests. As cheap as can be for all others."""
        if frame.events:
            for event in frame.events:
                if event.kind is EventKind.REQUEST:
                    self._told(event)

    def close(self) -> None:
        """From here on nothing reaches the field."""
        self._why = "the gateway ends"
        while self._tray:
            self._refuse(self._tray.popleft(), Flaw.DISK, f"nothing was done: {self._why}")

    # ------------------------------------------------------------ work

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            StorageError: the disk refuses. Until it is run again, requests are refused.
        """
        self._why = "the disk has not answered yet"
        try:
            await self._log.open(self._now().wall)
        except StorageError as error:
            self._why = str(error)
            raise
        else:
            self._why = ""
        finally:
            self.begun.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._serve()

    async def end(self) -> None:
        """Keep the last outcomes, and let go of the file."""
        try:
            async with asyncio.timeout(_DISK_S):
                await self._log.keep((), tuple(self._outcomes), self._now().wall)
                await self._log.close()
        except (StorageError, TimeoutError) as error:
            log.warning("the last states of requests are not kept (%s)", error)
        finally:
            self._log.end()

    async def _serve(self) -> None:
        """All that lies in the tray: kept with one sync, then carried out one by one."""
        batch, self._tray = list(self._tray), deque()
        outcomes = list(self._outcomes)
        self._outcomes.clear()
        standings = await self._keep(batch, outcomes)
        for petition, standing in zip(batch, standings, strict=False):
            if standing.taken:
                self._carry_out(replace(petition, sequence=standing.sequence))
            else:
                self._answer_again(petition, standing)
            await asyncio.sleep(0)  # the field goes first

    async def _keep(self, batch: list[Petition], outcomes: list[Outcome]) -> list[Standing]:
        """How each stands, by the disk; if that does not answer in time, all are refused."""
        if self._writing is not None and not self._writing.done():
            self._outcomes.extend(outcomes)
            self._give_up(batch, "the disk does not answer")
            return []
        now = self._now().wall
        claims = [_claim(petition, now) for petition in batch]
        self._writing = asyncio.ensure_future(self._log.keep(claims, outcomes, now))
        self._writing.add_done_callback(self._written)
        await asyncio.wait((self._writing,), timeout=_DISK_S)
        if not self._writing.done():
            self._late = batch
            self._give_up(batch, "the disk does not answer")
            return []
        error = self._writing.exception()
        if error is None:
            return self._writing.result()
        if not isinstance(error, StorageError):
            raise error
        self._outcomes.extendleft(reversed(outcomes))
        self._give_up(batch, str(error))
        return []

    def _written(self, done: "asyncio.Future[list[Standing]]") -> None:
        """What came too late is kept, but was not carried out: the log shall say so."""
        late, self._late = self._late, []
        if done.cancelled() or done.exception() is not None:
            return  # told to those who wait, or given up by them
        for petition, standing in zip(late, done.result(), strict=False):
            if standing.taken:
                kept = replace(petition, sequence=standing.sequence)
                self._remember(kept, State.FAILED, "nothing was done: the disk was too slow")
        if self._outcomes or self._tray:
            self._wake.set()

    def _give_up(self, batch: Sequence[Petition], why: str) -> None:
        for petition in batch:
            self._refuse(petition, Flaw.DISK, f"nothing was done: {why}")

    # ------------------------------------------------------------ one petition

    def _carry_out(self, petition: Petition) -> None:
        petition.tally.taken += 1
        if self._why or self._now().wall >= petition.expires:
            text = "nothing was done: it expired while it waited for the disk, or the gateway ends"
            self._end(petition, State.FAILED, text)
            return
        self._open[petition.upstream, petition.id] = petition
        self._turn(petition.as_input())

    def _told(self, event: Event) -> None:
        facts = dict(event.facts)
        key = str(facts["upstream"]), str(facts["request"])
        state, reason = State(str(facts["state"])), str(facts["reason"])
        petition = self._open.get(key)
        if petition is None:
            return
        more = tuple((name, value) for name, value in event.facts if name not in _BESIDE)
        if state is State.UPDATING:
            self._reply(petition, state, reason, more)
        else:
            del self._open[key]
            self._end(petition, state, reason, more)

    def _end(
        self,
        petition: Petition,
        state: State,
        reason: str,
        more: tuple[tuple[str, Scalar], ...] = (),
    ) -> None:
        petition.tally.ended[str(state)] += 1
        self._remember(petition, state, reason)
        self._reply(petition, state, reason, more)

    def _remember(self, petition: Petition, state: State, reason: str) -> None:
        outcome = Outcome(petition.key, petition.sequence, state, reason, self._now().wall)
        self._outcomes.append(outcome)
        self._wake.set()

    def _answer_again(self, petition: Petition, standing: Standing) -> None:
        """A replay: never carried out; who asks the same again is told how it stands."""
        petition.tally.refuse(Flaw.REPLAY, standing.reason or petition.id)
        if standing.state == "open":
            self._reply(petition, State.UPDATING, "it came before, and is being carried out")
        elif standing.state:
            text = f"it came before: {standing.reason}"
            self._reply(petition, State(standing.state), text)
        else:
            text = standing.reason or "its number or nonce has been used already"
            self._reply(petition, State.INVALID, f"{Flaw.REPLAY}: {text}")

    def _refuse(self, petition: Petition, flaw: Flaw, text: str) -> None:
        petition.tally.refuse(flaw, text)
        self._reply(petition, State.FAILED, text)

    def _reply(
        self,
        petition: Petition,
        state: State,
        reason: str,
        more: tuple[tuple[str, Scalar], ...] = (),
    ) -> None:
        reply = Reply(petition.kid, petition.sequence, petition.nonce, state, reason, more)
        asyncio.get_running_loop().call_soon(petition.answer, reply)  # control goes first


def _claim(petition: Petition, wall: int) -> Claim:
    return Claim(
        key=petition.key,
        sequence=petition.sequence,
        nonce=petition.nonce,
        issued=petition.issued,
        at=wall,
        upstream=petition.upstream,
        by=petition.by,
        wanted=petition.words,
    )
