"""One upstream that speaks Sparkplug B: births, changes as they happen, and what was missed.

    frames ─▶ Reporter ─▶ in session: sent at once, QoS 0 ─▶ in doubt until the next fence
                       └▶ else: a draft for the outbox ─────▶ replayed as history, fenced, deleted

A fence (upstream.sparkplug_link) proves that the broker has all that was sent before it. What is in
doubt when the line breaks goes to the outbox as history: told twice perhaps, lost never.
"""

import asyncio
import functools
import logging
import random
from collections.abc import Callable
from importlib.metadata import version

from edgetwin.core.errors import StorageError
from edgetwin.core.frame import Frame
from edgetwin.core.plan import GatewayPlan, SparkplugSettings, UpstreamPlan
from edgetwin.core.reading import Instant, Scalar
from edgetwin.core.sparkplug.catalogue import Catalogue
from edgetwin.core.sparkplug.metric import NUMBERS, Outgoing, Verb, topic
from edgetwin.core.sparkplug.report import Reporter
from edgetwin.core.sparkplug.session import Session
from edgetwin.runtime.sparkplug_history import Batch, Changes, History
from edgetwin.runtime.sparkplug_hosts import Hosts
from edgetwin.runtime.unsigned import WARNING, Unsigned
from edgetwin.storage.counter import Counter
from edgetwin.storage.outbox import Draft
from edgetwin.storage.store import Store
from edgetwin.upstream.mqtt_dial import Message, exposed, in_thread
from edgetwin.upstream.mqtt_refusal import LinkLost, Refused, place
from edgetwin.upstream.sparkplug_link import SparkplugLink
from edgetwin.upstream.sparkplug_wire import encode

log = logging.getLogger(__name__)

SOFTWARE, REFUSED, LOST = "Properties/Software", "Gateway/Commands refused", "Gateway/Changes lost"
_FACTS = (SOFTWARE, REFUSED, LOST)
_SOFTWARE = f"edgetwin {version('edgetwin')}"
_MS = 1_000_000
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 30.0
_ANSWER_S = 10.0
_DEVICES_S = 5.0  # how long the first birth waits for devices to be found or missed
_BETWEEN_BIRTHS_S = 1.0  # a host that asks without end gets one birth sequence a second
_FAREWELL_S = 1.0
_PART = 250  # changes told in one go: a millisecond


class HostAway(LinkLost):
    """The primary host has gone offline: start again, and wait for it."""


class SparkplugForwarder:
    """The gateway as an edge node of one broker. ``keep`` takes drafts for the outbox."""

    def __init__(
        self,
        plan: UpstreamPlan,
        gateway: GatewayPlan,
        store: Store,
        now: Callable[[], Instant],
        keep: Callable[[Draft], None],
        unsigned: Unsigned | None = None,
    ) -> None:
        if plan.sparkplug is None:
            raise ValueError(f"upstream {plan.name} does not speak Sparkplug")
        self.plan = plan
        self.name = plan.name
        self.connected = False
        self.since = 0
        self.error = ""
        named = WARNING if unsigned is not None else ""
        self.warning = ". ".join(filter(None, (exposed(plan.broker), named)))
        self._settings: SparkplugSettings = plan.sparkplug
        self._now = now
        devices = (device.name for device in gateway.devices)
        self._catalogue = Catalogue(gateway.tags, devices, gateway.assets)
        self._reporter = Reporter(self._catalogue)
        self._session = Session(self._catalogue, _FACTS)
        self._hosts = Hosts(plan.name, self._settings.primary_host, self._catalogue, unsigned)
        self._link = SparkplugLink(plan.broker, self._hosts.hear)
        self._history = History(plan.name, self._catalogue, store, keep)
        self._counter = Counter(gateway.state / f"sparkplug-{plan.name}.bdseq", NUMBERS)
        self._told: dict[str, Scalar] = {}
        self._heard = asyncio.Event()
        self._due = 0
        self._born_at = 0.0
        self._wait = _FIRST_WAIT_S
        self._jitter = random.Random()  # noqa: S311 spreads reconnects; nothing secret

    # ------------------------------------------------------------ for the office

    @property
    def node(self) -> str:
        """The node of the broker that is, or was last, spoken to."""
        return f"{self._link.settings.host}:{self._link.settings.port}"

    @property
    def acked(self) -> int:
        """The position in the outbox up to which the broker has everything."""
        return self._history.acked

    @property
    def landed(self) -> int:
        """How many records the broker has taken since the start."""
        return self._history.landed

    @property
    def refused(self) -> int:
        """How many commands were turned down since the start."""
        return self._hosts.refused

    def wake(self) -> None:
        """There may be something new in the outbox."""
        self._hosts.wake.set()

    def take(self, frame: Frame) -> None:
        """Follow a frame; tell what has changed when it is time, deaths and returns at once."""
        self._reporter.follow(frame)
        if self._reporter.heard:
            self._heard.set()
        due = frame.at.mono >= self._due
        if due:
            self._due = frame.at.mono + self._settings.every
        if due or self._session.born:
            self._look(due=due)

    def _look(self, *, due: bool) -> None:
        """A part of the changes at a time, so that control never waits for all of them."""
        if not self._session.born or self._births_go_first:
            if due:
                self._keep(self._part())
        elif not self._link.busy:
            self._tell(due=due)

    def _part(self) -> Changes:
        changes = self._reporter.changes(_PART)
        if len(changes) == _PART:
            asyncio.get_running_loop().call_soon(functools.partial(self._look, due=True))
        return changes

    def _keep(self, changes: Changes) -> None:
        self._history.store(changes, self._ms())

    @property
    def _births_go_first(self) -> bool:
        """Whether no data may go out, though changes come: a disk that was slow has them in bursts.

        (One that comes in the middle of a birth sequence would be told by nothing else.)
        """
        return self._hosts.rebirth or self._hosts.leave

    @property
    def _may_tell(self) -> bool:
        return not (self._births_go_first or self._link.busy)

    # ------------------------------------------------------------ the line

    async def run(self) -> None:
        """Connect, be born, tell, and connect again, for ever.

        Cancelled, it leaves the line open for ``farewell``.
        """
        while True:
            lost = await self._live()
            self._down(lost)
            await asyncio.sleep(self._pause(refused=isinstance(lost, Refused)))

    async def _live(self) -> LinkLost:
        """One connection, from its start to its end; gives the cause of the end."""
        try:
            await self._link.join(self._next_will)
            self._hosts.reconnected()
            async with asyncio.timeout(_ANSWER_S):
                await self._link.subscribe(self._topics())
        except LinkLost as lost:
            return lost
        except TimeoutError:
            return LinkLost(f"{place(self._link.settings)} does not answer a subscription")
        return await self._work_until_lost()

    async def _work_until_lost(self) -> LinkLost:
        causes: list[BaseException] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._link.lost(), name=f"{self.name} line")
                group.create_task(self._work(), name=f"{self.name} work")
        except* LinkLost as lost:
            causes += lost.exceptions
        return next(cause for cause in causes if isinstance(cause, LinkLost))

    async def _next_will(self) -> Message:
        """The will of the next CONNECT, with a bdSeq of its own (kept on disk first)."""
        try:
            number = await in_thread(self._counter.next, "bdseq")
        except StorageError as error:
            log.warning("upstream %s: bdSeq is not kept (%s)", self.name, error)
            number = self._counter.last
        self._session.open(number)
        return self._message(self._session.death(self._ms()), qos=1)

    def _topics(self) -> list[str]:
        group, node = self._settings.group, self._settings.node
        devices = [topic(group, Verb.DCMD, node, d) for d in self._catalogue.writable]
        return [topic(group, Verb.NCMD, node), *devices, *self._hosts.topics]

    async def _work(self) -> None:
        """Be born when host and devices are there; then serve what is asked for."""
        if not self._reporter.heard:
            try:
                await asyncio.wait_for(self._heard.wait(), _DEVICES_S)
            except TimeoutError:
                log.debug("upstream %s: not all devices are known yet", self.name)
        self._hosts.wake.set()
        while True:
            await self._hosts.wake.wait()
            self._hosts.wake.clear()
            if self._hosts.leave:
                await self._leave()
            if self._hosts.rebirth or (self._hosts.may_be_born and not self._session.born):
                await self._be_born()
            if self._session.born and self._may_tell:
                await self._history.replay(self._replayed, self._hosts.wake.set)

    # ------------------------------------------------------------ births, changes

    async def _be_born(self) -> None:
        loop = asyncio.get_running_loop()
        rest = self._born_at + _BETWEEN_BIRTHS_S - loop.time()
        if self._session.born and rest > 0:
            loop.call_later(rest, self._hosts.wake.set)
            return
        self._born_at = loop.time()
        self._told = self._facts()
        self._hosts.begin_births()
        self._bear("")
        for device in sorted(self._reporter.present):
            await asyncio.sleep(0)  # control goes first
            self._bear(device)
        self._history.visiting.clear()
        self._hosts.end_births()
        self._wait = _FIRST_WAIT_S
        if not self.connected:
            self.connected, self.since, self.error = True, self._now().wall, ""
            log.info("upstream %s: born with bdSeq %d", self.name, self._session.bd_seq)
            if self.warning:
                log.warning("upstream %s: %s", self.name, self.warning)

    def _bear(self, owner: str) -> None:
        """A birth. What has changed is told by it, and in doubt like all else."""
        changes = self._reporter.changes_of(self._catalogue.owners.get(owner, ()))
        try:
            if owner:
                self._send(self._session.device_birth(owner, self._reporter, self._ms()))
            else:
                self._send(self._session.node_birth(self._reporter, self._told, self._ms()))
            self._history.doubt(changes, self._fence)
        except LinkLost:
            self._keep(changes)
            raise

    def _tell(self, *, due: bool, everything: bool = False) -> None:
        """Deaths and returns of devices at once, changes when it is time."""
        alive = self._session.alive - self._history.visiting
        present = self._reporter.present
        if alive == present and not due:
            return
        changes = self._reporter.changes() if everything else self._part()
        if self._reporter.redefined:  # a text where numbers were: only a birth can say so
            self._keep(changes)
            self._hosts.ask_rebirth()
            return
        try:
            self._tell_presence(alive, present)
            fresh = present - alive  # their births have told it all
            told = [c for c in changes if self._catalogue.entries[c.tag].owner not in fresh]
            self._send_all(self._session.values(told, self._reporter.types, self._ms()))
            self._send_facts()
            self._history.doubt(changes, self._fence)
        except LinkLost:
            self._keep(changes)

    def _tell_presence(self, alive: set[str], present: set[str]) -> None:
        for device in sorted(alive - present):
            self._send(self._session.device_death(device, self._ms()))
        for device in sorted(present - alive):
            self._history.visiting.discard(device)
            self._send(self._session.device_birth(device, self._reporter, self._ms()))

    def _send_facts(self) -> None:
        facts = self._facts()
        news = {name: value for name, value in facts.items() if value != self._told.get(name)}
        if news:
            self._told = facts
            self._send(self._session.news(news, self._ms()))

    async def _replayed(self, records: Batch) -> bool:
        """Send records as history and wait until the broker has them. False: births go first."""
        if not self._may_tell:
            return False
        for device in records.owners - self._session.alive - {""}:
            self._history.visiting.add(device)
            self._send(self._session.device_birth(device, self._reporter, self._ms()))
        for changes in records.changes:
            types = self._reporter.types
            told = self._session.values(changes, types, self._ms(), is_historical=True)
            self._send_all(told)
        if records.last:
            for device in sorted(self._history.visiting - self._reporter.present):
                self._send(self._session.device_death(device, self._ms()))
            self._history.visiting.clear()
        await self._fence()
        return True

    def _facts(self) -> dict[str, Scalar]:
        return {
            SOFTWARE: _SOFTWARE,
            REFUSED: self.refused,
            LOST: self._history.lost,
        }

    def _send_all(self, messages: tuple[Outgoing, ...]) -> None:
        for message in messages:
            self._send(message)

    def _send(self, outgoing: Outgoing) -> None:
        qos = 1 if outgoing.verb is Verb.NDEATH else 0
        self._link.publish(self._message(outgoing, qos))

    def _message(self, outgoing: Outgoing, qos: int) -> Message:
        where = topic(self._settings.group, outgoing.verb, self._settings.node, outgoing.device)
        return Message(where, encode(outgoing.payload), qos=qos)

    def _fence(self) -> "asyncio.Future[None]":
        never_subscribed = topic(self._settings.group, Verb.NDATA, self._settings.node)
        return self._link.fence(never_subscribed)

    def _ms(self) -> int:
        return self._now().wall // _MS

    # ------------------------------------------------------------ the end of a line

    async def _leave(self) -> None:
        """The primary host is offline: die in order, and let the office connect anew."""
        await self._die()
        raise HostAway(f"the primary host {self._settings.primary_host} is offline")

    async def _die(self) -> None:
        """NDEATH, then DISCONNECT; its PUBACK also settles what was in doubt."""
        try:
            self._send(self._session.death(self._ms()))
            await asyncio.wait_for(self._link.settled(), _FAREWELL_S)
            self._history.settle()
        except (LinkLost, TimeoutError) as error:
            log.info("upstream %s: left without a word (%s)", self.name, error)
        self._link.close()

    def _down(self, why: LinkLost) -> None:
        if self.connected or str(why) != self.error:
            log.warning("upstream %s: %s. Changes wait on disk", self.name, str(why).rstrip("."))
            self.since = self._now().wall
        self.connected, self.error = False, str(why)
        self._session.close()
        if isinstance(why, HostAway):
            self._wait = _FIRST_WAIT_S
        else:
            self._link.drop()  # the broker publishes the will
        self._history.give_up(self._ms())

    def _pause(self, *, refused: bool) -> float:
        """How long to wait: twice as long each time, to half a minute; that long when refused."""
        wait = _LONGEST_WAIT_S if refused else self._wait
        self._wait = min(2 * self._wait, _LONGEST_WAIT_S)
        return wait * self._jitter.uniform(0.75, 1.0)

    async def farewell(self) -> None:
        """Die in order where there was a birth; what is in doubt stays in the outbox.

        Never raises.
        """
        if self._session.born and self._may_tell:
            self._tell(due=True, everything=True)
        if self._session.born:
            await self._die()
        self._keep(self._reporter.changes())
        self.connected = False
        self._session.close()
        self._link.drop()
        self._history.give_up(self._ms())
