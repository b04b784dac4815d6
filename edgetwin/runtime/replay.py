"""Replay: the recorded inputs into a new engine, and every frame compared with the one recorded.

The engine is pure, so nothing but the recording is needed: its header holds the configuration, and
the model that took over a detector is an input like any other.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from edgetwin.core import payload
from edgetwin.core.codec import decode, encode
from edgetwin.core.engine import Engine, ScorerLoader
from edgetwin.core.frame import Frame
from edgetwin.core.plan import GatewayPlan
from edgetwin.core.reading import ReadingBatch
from edgetwin.core.summary import Summariser
from edgetwin.storage.recording import RecordingReader

_SHOWN = 3


@dataclass(slots=True)
class Outcome:
    """What a replay found. The digests are SHA-256 over everything of that kind, in order."""

    frames: int = 0
    readings: int = 0
    seconds: float = 0.0
    truncated: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    different: int = 0
    writes: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    verdicts: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    summaries: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    @property
    def identical(self) -> bool:
        """Whether every frame came out as it was recorded."""
        return not self.different

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "frames": self.frames,
            "readings": self.readings,
            "seconds": self.seconds,
            "truncated": self.truncated,
            **{kind: self.counts[kind] for kind in ("writes", "events", "summaries")},
            "different": self.different,
            "differences": self.differences,
            "sha256": {
                "writes": self.writes.hexdigest(),
                "verdicts": self.verdicts.hexdigest(),
                "summaries": self.summaries.hexdigest(),
            },
        }


def replay(reader: RecordingReader, plan: GatewayPlan, load: ScorerLoader) -> Outcome:
    """Run a recording again.

    Raises:
        RecordingError: it is damaged, or was not made with this plan.
    """
    engine, outcome = Engine(plan, load), Outcome()
    summarisers = [Summariser(plan.tags, u.window, plan.classes) for u in plan.upstreams]
    first = 0
    for data in reader.frames():
        recorded = decode(data)
        frame = engine.turn(recorded.input, recorded.at)
        again = encode(frame)
        first = first or recorded.at.mono
        outcome.seconds = (recorded.at.mono - first) / 1e9
        _count(outcome, frame)
        for summariser in summarisers:
            for window in summariser.take(frame):
                outcome.counts["summaries"] += 1
                outcome.summaries.update(payload.summary(window, ""))
        if again != data:
            outcome.different += 1
            if outcome.different <= _SHOWN:
                outcome.differences.append(_difference(recorded, frame))
    outcome.truncated = reader.truncated
    return outcome


def _count(outcome: Outcome, frame: Frame) -> None:
    outcome.frames += 1
    if isinstance(frame.input, ReadingBatch):
        outcome.readings += len(frame.input.values)
    for write in frame.writes:
        outcome.counts["writes"] += 1
        outcome.writes.update(repr(write).encode())
    for event in frame.events:
        outcome.counts["events"] += 1
        outcome.verdicts.update(repr(event).encode())
    for batch in frame.inner:
        outcome.verdicts.update(batch.values.tobytes())


def _difference(recorded: Frame, again: Frame) -> str:
    """The first part in which two frames differ, in words."""
    where = f"frame {recorded.number} ({type(recorded.input).__name__})"
    if recorded.number != again.number:
        return f"{where}: number {again.number} now; frames are missing from the recording"
    for part in ("writes", "events", "lessons"):
        before, now = getattr(recorded, part), getattr(again, part)
        if repr(before) != repr(now):
            return f"{where}: {part} were {before!r}, are {now!r}"
    return f"{where}: tags of edgetwin's own were {recorded.inner!r}, are {again.inner!r}"
