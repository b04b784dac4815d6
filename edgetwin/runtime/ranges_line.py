"""One upstream that ranges of a fleet are taken from: a line of its own, listened to only.

What comes is checked in the order of its cost: size, form, header, key, signature, contents, type,
age. Ranges go to challengers and nowhere else, and challengers only count: so the worst that a
stolen key can do is to make this count worthless.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from edgetwin.core.challenger import Challenger
from edgetwin.core.plan import GatewayPlan, UpstreamPlan
from edgetwin.core.ranges import ChallengerSettings, NoRanges, Ranges, read
from edgetwin.core.reading import Instant
from edgetwin.runtime.listener import Listener
from edgetwin.runtime.tally import Bucket
from edgetwin.upstream.mqtt_listen import ListeningLink
from edgetwin.upstream.seal import Unsealed, Verifier

log = logging.getLogger(__name__)

LARGEST = 60_000  # bytes of a token: some hundred tags; the door takes no larger packet
_QOS = 0  # the broker keeps the newest, and more come: no message is worth a queue of its own
_CHECKS = 5  # signatures a second: ranges come now and then
_KEYS_S = 1.0  # so often key files are looked at, when something comes
_TOLD = 3


class RangesLine:
    """Listens for ranges below ``…/ranges/`` and gives them to the challengers of their type."""

    def __init__(
        self,
        plan: UpstreamPlan,
        settings: ChallengerSettings,
        challengers: Sequence[Challenger],
        now: Callable[[], Instant],
    ) -> None:
        """Nothing is read or opened before ``load`` and ``run``."""
        self.name = plan.name
        self.taken = 0
        self.refused: Counter[str] = Counter()
        self._challengers = challengers
        self._now = now
        bucket = Bucket(_CHECKS, now)
        self._verifier = Verifier(settings.keys, largest=LARGEST, spend=bucket.spend)
        self._looked = now().mono
        types = sorted({each.asset.type for each in challengers})
        self._topics = [f"{plan.topic}/ranges/{type_}" for type_ in types]
        broker = replace(plan.broker, client_id=f"{plan.broker.client_id}-ranges")
        link = ListeningLink(broker, self._hear)
        purpose = f"upstream {plan.name}, ranges"
        self._ear = Listener(purpose, link, self._topics, qos=_QOS)

    def load(self) -> None:
        """Read the keys.

        Raises:
            ConfigError: one of them cannot be used.
        """
        self._verifier.load()

    def status(self) -> dict[str, Any]:
        """For ``edgetwin status``: plain values only."""
        return {
            "connected": self._ear.connected,
            "error": self._ear.error,
            "taken": self.taken,
            "refused": dict(self.refused),
        }

    def close(self) -> None:
        """Hang up. Never raises."""
        self._ear.close()

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._ear.run()

    # ------------------------------------------------------------ what comes

    def _hear(self, topic: str, content: bytes, _retained: bool) -> None:  # noqa: FBT001 - as the link gives it
        """A message from the broker, retained or not. Never raises; who sent it is not known."""
        if topic not in self._topics or not content:
            return  # not asked for; or a retained one was cleared
        self._look_for_keys()
        try:
            ranges = read(self._verifier.open(content).payload)
        except Unsealed as error:
            self._refuse(str(error.flaw))
        except NoRanges as error:
            self._refuse("no ranges", str(error))
        else:
            self._give(ranges)

    def _give(self, ranges: Ranges) -> None:
        """To every challenger of the type."""
        own = [each for each in self._challengers if each.asset.type == ranges.type]
        if not own:
            self._refuse("other type", ranges.type)
            return
        if all(each.ranges == ranges for each in own):
            return  # the broker keeps them, and tells them at each connection
        installed = [each.install(ranges) for each in own]
        if not any(installed):
            self._refuse("not newer", f"made at {ranges.made}")
            return
        self.taken += 1
        log.info(
            "upstream %s: ranges of %s from %d machines", self.name, ranges.type, ranges.assets
        )

    def _refuse(self, reason: str, text: str = "") -> None:
        """Count a refusal; the first ones of each reason are told."""
        self.refused[reason] += 1
        if self.refused[reason] <= _TOLD:
            words = f"{reason}: {text:.100}" if text else reason
            log.warning("upstream %s: ranges refused: %s", self.name, words)

    def _look_for_keys(self) -> None:
        mono = self._now().mono
        if mono - self._looked >= _KEYS_S * 1e9:
            self._looked = mono
            self._verifier.refresh()


class RangesLines:
    """All upstreams that ranges are taken from, and what the challengers make of them."""

    def __init__(
        self, plan: GatewayPlan, challengers: Sequence[Challenger], now: Callable[[], Instant]
    ) -> None:
        """Nothing is read or opened before ``load`` and the jobs."""
        self._challengers = challengers
        self._lines = [
            RangesLine(each, each.challenger, challengers, now)
            for each in plan.upstreams
            if each.challenger
        ]
        self.jobs = [(f"ranges of {line.name}", line.run) for line in self._lines]

    def load(self) -> None:
        """Read the keys.

        Raises:
            ConfigError: one of them cannot be used.
        """
        for line in self._lines:
            line.load()

    def close(self) -> None:
        """Hang up. Never raises."""
        for line in self._lines:
            line.close()

    def status(self) -> dict[str, Any]:
        """For ``edgetwin status``: plain values only."""
        return {
            "ranges": {line.name: line.status() for line in self._lines},
            "challengers": {each.asset.name: _told(each) for each in self._challengers},
        }


def _told(challenger: Challenger) -> dict[str, Any]:
    """What it has found since the start."""
    ranges, total = challenger.ranges, challenger.total
    return {
        "type": challenger.asset.type,
        "assets": ranges.assets if ranges else 0,
        "made": ranges.made if ranges else 0,
        "windows": total.windows,
        "both": total.both,
        "challenger": total.challenger,
        "detector": total.detector,
    }
