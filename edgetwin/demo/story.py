"""The story of the demo, told from what the gateway says of itself, and from nothing else.

The narrator knows what we do to the plant ("the valve clogs now"). That it was noticed, which
tags, how much and when comes from the MQTT subscriber and from the daemon's status. What was
promised and is not to be seen ends the story.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

from edgetwin.demo.findings import Span, largest_changes, pressure_span, record_table
from edgetwin.demo.gateway import Status
from edgetwin.demo.narrator import Narrator, NotSeen
from edgetwin.demo.pace import Pace
from edgetwin.demo.stage import Stage
from edgetwin.demo.subscriber import Message, Received

LOOP = "pressure"
PRESSURE = "skid/discharge_pressure"
NO_BREAK = "\u00a0"


class Story:
    """One telling."""

    def __init__(self, stage: Stage, narrator: Narrator, pace: Pace) -> None:
        """The stage is set and everything on it runs."""
        self._stage = stage
        self._say = narrator
        self._pace = pace
        self._seen = stage.subscriber.received
        self._shadow: Span | None = None

    async def tell(self, *, keep: bool = False) -> None:
        """From the start to the table; with ``keep`` the daemon is left running.

        Raises:
            NotSeen: something promised was not to be seen.
        """
        telling = asyncio.create_task(self._chapters(keep=keep), name="story")
        died = asyncio.create_task(self._stage.gateway.died(), name="daemon")
        try:
            await asyncio.wait({telling, died}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (telling, died):
                task.cancel()
            await asyncio.gather(telling, died, return_exceptions=True)
        if not died.cancelled():
            raise NotSeen(f"the daemon goes on running (it ended with exit code {died.result()})")
        telling.result()

    # ------------------------------------------------------------ chapters

    async def _chapters(self, *, keep: bool) -> None:
        await self._starts()
        await self._learns()
        await self._steers()
        await self._valve_clogs()
        await self._sensor_freezes()
        await self._broker_goes()
        status = await self._status(lambda _: True, 5, "the daemon answers")
        if not keep:
            await self._ends()
        self._say.chapter("What it came to")
        self._say.table(record_table(status, self._seen))

    async def _starts(self) -> None:
        await self._received(lambda r: bool(r.births), 30, "the gateway tells its birth over MQTT")
        birth = self._seen.births[-1]
        measured = sum(tag["kind"] == "measured" for tag in birth["tags"])
        self._say.good(
            f"{birth['gateway']} is online: {len(birth['tags'])} tags, {measured} of them measured"
        )
        status = await self._status(_all_good, 20, "all devices answer and all their tags are good")
        for device in status["devices"]:
            self._say.good(
                f"{device['name']} ({device['driver']}): {device['good']} of {device['tags']} "
                f"tags good"
            )

    async def _learns(self) -> None:
        self._say.chapter("It learns what normal is, and watches the loop in shadow")
        for part in range(1, 4):
            status = await self._status(_rows_learned(part * 50), 20, "the model learns")
            self._say.fact(f"{status['detectors'][0]['name']}: {status['detectors'][0]['state']}")
            loop = status["loops"][0]
            self._say.fact(
                f"loop {loop['name']}: {loop['state']}; pv {loop['pv']:.2f}, it would set "
                f"{loop['out']:.0f} 1/min, the skid's own switch has {loop['mv']:.0f}"
            )
        learned = await self._event("learned", 60, "the model has learned")
        self._say.good(learned["text"])
        self._shadow = await self._span(0, 1, "the pressure is told in summaries")
        self._say.fact(f"pressure meanwhile, by the skid's own switch: {self._shadow}")

    async def _steers(self) -> None:
        self._say.chapter("The loop may act")
        self._say.deed(f"$ edgetwin loop {LOOP} auto")
        code, printed = await self._stage.gateway.command("loop", LOOP, "auto")
        if code:
            raise NotSeen(f"the loop goes to auto ({printed})")
        for line in printed.splitlines():
            self._say.good(line)
        await asyncio.sleep(self._pace.lasts(4.0))
        held = await self._hold(self._pace.lasts(14.0) + self._pace.extra_s / 2)
        status = await self._status(lambda s: s["writes"] > 0, 5, "the loop writes setpoints")
        self._say.good(f"pressure in auto: {held}; {status['writes']} setpoints written")

    async def _hold(self, seconds: float) -> Span:
        first = len(self._seen.summaries)
        await asyncio.sleep(seconds)
        held = await self._span(first, 2, "the pressure in auto is told in summaries")
        if self._shadow is None or held.width >= self._shadow.width:
            raise NotSeen(f"the pressure is held closer in auto ({held}) than by the switch")
        return held

    async def _valve_clogs(self) -> None:
        self._say.chapter("Something is not normal")
        before = self._seen.summaries[-1]
        known = len(self._seen.events)
        began = self._deed("we clog the discharge valve; it still reports its position", "clog")
        anomaly = await self._event("anomaly", 30, "the clog is found", since=known)
        after = self._say.seconds - began
        self._say.alarm(f"anomaly after {after:.1f} s: {_shares(anomaly)}")
        settled = len(self._seen.summaries) + 2
        await self._received(lambda r: len(r.summaries) >= settled, 15, "summaries go on")
        changes = largest_changes(self._seen, before, self._seen.summaries[-1])
        self._say.fact(f"since then: {changes}")
        began = self._deed("we clean the valve", "heal")
        over = await self._event("anomaly cleared", 60, "the alarm ends", since=known)
        self._say.good(f"after {self._say.seconds - began:.1f} s: {over['text']}")

    async def _sensor_freezes(self) -> None:
        self._say.chapter("A sensor lies")
        known = len(self._seen.events)
        began = self._deed("we freeze the pressure sensor: it shows one value for ever", "freeze")
        stuck = await self._event("tag bad", 20, "the frozen sensor is noticed", since=known)
        self._say.alarm(f"after {self._say.seconds - began:.1f} s: {stuck['text']}")
        fault = await self._event("loop fault", 10, "the loop goes to its fail-safe", since=known)
        self._say.alarm(fault["text"])
        blind = await self._event("model unavailable", 10, "the model says so too", since=known)
        self._say.fact(f"{blind['text']}: no false answer")
        self._deed("we let the sensor live again", "heal")
        back = await self._event("loop back", 30, "the loop comes back by itself", since=known)
        self._say.good(back["text"])

    async def _broker_goes(self) -> None:
        lasts = self._pace.lasts(15.0) + self._pace.extra_s / 2
        self._say.chapter(f"The line to the broker is gone for {lasts:.0f} s")
        before = await self._status(_connected, 10, "the gateway is connected")
        states = len(self._seen.states)
        self._deed("we cut the line")
        self._stage.line.cut()
        await self._received(
            lambda r: any(s["status"] == "offline" for s in r.states[states:]),
            10,
            "the last will tells the subscriber",
        )
        self._say.alarm("the broker tells the subscriber: the gateway is offline (last will)")
        for _ in range(2):
            await asyncio.sleep(lasts / 2)
            away = await self._status(lambda s: _backlog(s) > 0, 5, "records wait in the outbox")
            self._say.fact(
                f"{_backlog(away)} records wait on disk; the field side went on: "
                f"{away['readings']['taken'] - before['readings']['taken']} readings, "
                f"{away['writes'] - before['writes']} writes"
            )
        began = self._deed("we mend the line")
        self._stage.line.mend()
        await self._status(lambda s: _connected(s) and _backlog(s) == 0, 40, "the outbox drains")
        self._say.good(f"outbox empty again after {self._say.seconds - began:.1f} s")
        self._nothing_lost()

    async def _ends(self) -> None:
        self._say.chapter("The daemon is asked to end")
        code = await self._stage.gateway.stop()
        if code:
            raise NotSeen(f"the daemon ends cleanly (exit code {code})")
        await self._received(
            lambda r: r.states[-1].get("cause") == "stopped", 10, "the gateway says goodbye"
        )
        self._say.good("it said goodbye over MQTT and ended with exit code 0")
        self._nothing_lost()

    # ------------------------------------------------------------ looking

    def _deed(self, text: str, word: str = "") -> float:
        """Say what we do, tell the plant if it is concerned, and say when that was."""
        self._say.deed(text)
        if word:
            self._stage.plant.send(word)
        return self._say.seconds

    async def _received(
        self, fact: Callable[[Received], bool], seconds: float, promise: str
    ) -> None:
        if not await self._stage.subscriber.until(fact, seconds):
            raise NotSeen(promise)

    async def _event(self, kind: str, seconds: float, promise: str, *, since: int = 0) -> Message:
        """The first event of a kind among those that came after the first ``since``."""

        def found() -> Message | None:
            return next((e for e in self._seen.events[since:] if e["kind"] == kind), None)

        await self._received(lambda _: found() is not None, seconds, promise)
        event = found()
        if event is None:
            raise NotSeen(promise)
        return event

    async def _status(self, fact: Callable[[Status], bool], seconds: float, promise: str) -> Status:
        status = await self._stage.gateway.until(fact, seconds)
        if status is None:
            raise NotSeen(promise)
        return status

    async def _span(self, first: int, count: int, promise: str) -> Span:
        """Where the pressure was, by the summaries after the first ``first``."""
        await self._received(lambda r: len(r.summaries) >= first + count, 20, promise)
        span = pressure_span(self._seen, self._seen.summaries[first:], PRESSURE)
        if span is None:
            raise NotSeen(promise)
        return span

    def _nothing_lost(self) -> None:
        seen = self._seen
        if seen.missing or seen.gaps:
            raise NotSeen(f"nothing is lost ({seen.missing} missing, {len(seen.gaps)} gaps)")
        doubles = f"{seen.doubles} came twice and are known" if seen.doubles else "none doubled"
        self._say.good(
            f"{seen.records} records of {len(seen.sequences)} streams received so far, by their "
            f"sequence none missing, {doubles}"
        )


def _rows_learned(rows: int) -> Callable[[Status], bool]:
    """Whether the model has seen so many rows, and the loop has an output to show."""

    def fact(status: Status) -> bool:
        detector, loop = status["detectors"][0], status["loops"][0]
        found = re.search(r"(\d+) of \d+ rows", detector["state"])
        shown = None not in (loop["pv"], loop["out"], loop["mv"])
        return shown and (found is None or int(found[1]) >= rows)

    return fact


def _all_good(status: Status) -> bool:
    return all(d["up"] and d["good"] == d["tags"] for d in status["devices"])


def _upstream(status: Status) -> dict[str, Any]:
    upstream: dict[str, Any] = next(iter(status["office"]["upstreams"].values()))
    return upstream


def _connected(status: Status) -> bool:
    return bool(_upstream(status)["connected"])


def _backlog(status: Status) -> int:
    return int(_upstream(status)["backlog"])


def _shares(anomaly: Message) -> str:
    """The three tags that say most of it, and the score."""
    facts = dict(anomaly["facts"])
    score, limit = facts.pop("score"), facts.pop("limit")
    tags = sorted(facts.items(), key=lambda item: -item[1])[:3]
    named = ", ".join(f"{name} {share:.0%}".replace("%", NO_BREAK + "%") for name, share in tags)
    return f"{named}; score {score:.2f}, limit {limit:g}"
