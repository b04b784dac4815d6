"""The door to nats-py: one member of a consumer group over what gateways sent by MQTT.

NATS answers an MQTT message with PUBACK when it stands in the stream ``$MQTT_msgs``, on a majority
of its replicas. So that is where the group reads: a durable pull consumer on this very stream. The
stream keeps a message until every consumer has acknowledged it, so there is no moment in which it
is nowhere. (A stream of one's own over the same subjects is filled beside that, and no PUBACK
answers for it: docs/fleet.md tells what it lost.)

    gateway ─PUBLISH─▶ $MQTT_msgs (3 replicas) ─▶ durable "ledger" ─▶ member 1, 2, 3 …
            ◀─PUBACK──                         └▶ durable "ranges" ─▶ member 1

Each message goes to one member of each group; one that is not acknowledged within ``ACK_WAIT_S``
goes to another. So a member acknowledges what it has kept, and not before.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Self

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.client import JetStreamContext

from edgetwin.core.errors import EdgetwinError

STREAM = "$MQTT_msgs"
PREFIX = "$MQTT.msgs."
ACK_WAIT_S = 10.0
_CONNECT_S = 2
_ANSWER_S = 5.0
_MOST_UNACKED = 20_000


class GroupLost(EdgetwinError):
    """The stream or its consumer cannot be used now; try again."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One message: the gateway's topic (``edgetwin/gw-7/event``), what it holds, and its receipt.

    ``again``: it has been given out before. Await ``done`` once the message is kept.
    """

    topic: str
    payload: bytes
    again: bool
    done: Callable[[], Awaitable[None]]


class Member:
    """One member of the group ``name``, connected to a cluster."""

    def __init__(self, client: Client, name: str, topics: str) -> None:
        """See ``join``."""
        self._client = client
        self._name = name
        self._subject = PREFIX + topics.replace("/", ".").replace("#", ">")
        self._js: JetStreamContext = client.jetstream(timeout=_ANSWER_S)
        self._pulling: JetStreamContext.PullSubscription | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def join(cls, servers: Sequence[str], name: str, topics: str) -> AsyncIterator[Self]:
        """Connect, and leave at the end. ``topics`` is an MQTT filter like ``edgetwin/#``.

        Raises:
            GroupLost: no node of the cluster can be reached.
        """
        try:
            client = await nats.connect(
                servers=list(servers),
                connect_timeout=_CONNECT_S,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,
                error_cb=_quiet,
            )
        except (NatsError, OSError) as error:
            raise GroupLost(f"{', '.join(servers)}: no node can be reached ({error})") from error
        try:
            yield cls(client, name, topics)
        finally:
            await client.close()

    async def prepare(self) -> None:
        """Make the durable consumer, or find it made. From here on nothing is let go unread.

        Raises:
            GroupLost: the stream is not there (no MQTT client has come yet), or has no leader.
        """
        wanted = ConsumerConfig(
            durable_name=self._name,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            filter_subject=self._subject,
            max_ack_pending=_MOST_UNACKED,
        )
        try:
            await self._js.add_consumer(STREAM, wanted)
            self._pulling = await self._js.pull_subscribe_bind(self._name, STREAM)
        except (NatsError, OSError, TimeoutError) as error:
            raise GroupLost(
                f"{STREAM}: the consumer {self._name} cannot be had: {error}"
            ) from error

    async def waiting(self) -> int:
        """How many messages this group has not acknowledged, given out or not.

        Raises:
            GroupLost: nobody can tell now.
        """
        try:
            info = await self._js.consumer_info(STREAM, self._name)
        except (NatsError, OSError, TimeoutError) as error:
            raise GroupLost(f"{self._name}: {error!r}") from error
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def take(self, most: int, wait_s: float) -> list[Taken]:
        """The next messages for this member, none if none come within ``wait_s``.

        Raises:
            GroupLost: the consumer has no leader now, or the line is down.
        """
        if self._pulling is None:
            raise GroupLost(f"{self._name}: prepare first")
        try:
            came = await self._pulling.fetch(most, timeout=wait_s)
        except (NatsTimeout, TimeoutError):
            return []
        except (NatsError, OSError) as error:
            raise GroupLost(f"{self._name}: {error!r}") from error
        return [
            Taken(
                m.subject.removeprefix(PREFIX).replace(".", "/"),
                m.data,
                (m.metadata.num_delivered or 1) > 1,
                m.ack,
            )
            for m in came
        ]


async def _quiet(_error: Exception) -> None:
    """The client connects again by itself; what is lost meanwhile ``take`` tells."""
