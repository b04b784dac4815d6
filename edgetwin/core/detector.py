"""A detector: one asset, one model, and what is said about it.

    learning ──▶ lesson out ──▶ model installed ──▶ window fills ──▶ normal ◀─▶ anomaly
                                      ▲                 ▲               │
                                      │                 │  tags good    │ a tag bad for too long,
                                      │                 │  again        ▼ or the model fails
                                      └── a new model ──┴───────── unavailable (never "normal")

Every ``plan.every`` a row of all tags is taken, on a grid of the monotonic clock. A row with bad
tags takes their last good values, at most ``CARRY`` rows running; then there is no verdict until
the window has filled with good rows again. An alarm that is on stays on meanwhile: only a score,
or a new model, can end it. While learning, rows with bad tags are left out.

When learning has failed, it begins anew after ``LEARN_AGAIN``: rows that cannot be learned, or a
machine with no time to learn them, need nobody to restart the daemon. A model that was given, or
kept, and is refused is another matter: that needs a person, and nothing is learned over it.

Nothing here reads a clock or a file: the same history of the twin gives the same events, lessons
and outputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.anomaly import Alarm, AlarmRule, Score
from edgetwin.core.errors import ModelError
from edgetwin.core.event import Event, EventKind
from edgetwin.core.frame import Lesson, ModelInstalled
from edgetwin.core.plan import SECOND, DetectorPlan
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Floats, Instant, ReadingBatch, Scalar
from edgetwin.core.schedule import next_due
from edgetwin.core.tags import TagTable
from edgetwin.core.twin import Twin
from edgetwin.core.window import Window

CARRY = 3
LEARN_AGAIN = 600 * SECOND
WORTH_NAMING = 0.1
LARGEST = float(np.finfo(np.float32).max)


class Scorer(Protocol):
    """A model that is ready to run."""

    def score(self, window: NDArray[np.float32]) -> Score:
        """Score a full window, float32[window, tags], oldest row first.

        Raises:
            ModelError: the model fails, or its answer is no number.
        """


@dataclass(frozen=True, slots=True)
class DetectorTurn:
    """What one call to a detector gives out."""

    events: tuple[Event, ...] = ()
    lesson: Lesson | None = None


class _Phase(Enum):
    LEARNING = auto()
    WAITING = auto()
    WATCHING = auto()
    UNAVAILABLE = auto()


NOTHING = DetectorTurn()


class Detector:
    """Watches one asset.

    ``load`` makes a scorer of an ONNX file's bytes, the names of its tags and the rows of a window,
    or raises ModelError.
    """

    def __init__(
        self,
        index: int,
        plan: DetectorPlan,
        tags: TagTable,
        load: Callable[[bytes, Sequence[str], int], Scorer],
    ) -> None:
        """A detector without a model: it learns, unless the plan names a model file."""
        self.plan = plan
        self._index = index
        self._names = tuple(tags[tag].name for tag in plan.tags)
        self._tags = np.array(plan.tags, np.intp)
        self._outputs = np.array((plan.score_tag, plan.verdict_tag), np.intp)
        self._load = load
        self._rule = AlarmRule(plan.limit)
        self._phase = _Phase.LEARNING if plan.model is None else _Phase.WAITING
        self._lesson: Floats = np.empty((plan.train if plan.model is None else 0, len(plan.tags)))
        self._learned = 0
        self._scorer: Scorer | None = None
        self._window = Window(plan.window, len(plan.tags))
        self._last: Floats | None = None
        self._carried = 0
        self._due = 0
        self._alarm = Alarm()
        self._began = Instant(0, 0)
        self._score: Score | None = None
        self._trouble = ""
        self._again: Instant | None = None

    # ------------------------------------------------------------ what there is to see

    @property
    def due(self) -> int:
        """Monotonic ns at which the next row is to be taken; 0 before the first."""
        return self._due

    @property
    def alarming(self) -> bool:
        """Whether an alarm is on; it stays on while there is no verdict."""
        return self._alarm.on

    @property
    def progress(self) -> tuple[int, int]:
        """Rows learned so far, and rows wanted; (0, 0) for a detector that needs not learn."""
        return self._learned, len(self._lesson)

    @property
    def shares(self) -> tuple[tuple[str, float], ...]:
        """Each tag's name and share of the last score, largest first; empty without a score."""
        if self._score is None:
            return ()
        order = np.argsort(-self._score.shares, kind="stable")
        return tuple((self._names[i], round(float(self._score.shares[i]), 4)) for i in order)

    @property
    def score(self) -> float | None:
        """The last score; None while there is no verdict."""
        return None if self._score is None else self._score.value

    def outputs(self) -> ReadingBatch:
        """For the detector's own twin tags: the score, and the verdict (0 normal, 1 anomaly)."""
        if self._score is not None:
            values = np.array((self._score.value, float(self._alarm.on)))
            return ReadingBatch(self._outputs, values)
        quality = Quality.BAD if self._trouble else Quality.NOT_YET_READ
        return ReadingBatch(self._outputs, np.full(2, np.nan), np.full(2, quality, np.uint8))

    @property
    def words(self) -> str:
        """One line for people."""
        if self._phase is _Phase.LEARNING:
            held = f"; held up: {self._trouble}" if self._trouble else ""
            return f"learning what normal is: {self._learned} of {len(self._lesson)} rows{held}"
        if self._trouble:
            again = f"; learns anew at {_clock(self._again)}" if self._again else ""
            return f"unavailable: {self._trouble}{again}"
        if self._phase is _Phase.WAITING:
            return "waiting for the model"
        if self._score is None:
            return f"watching: {len(self._window)} of {self.plan.window} rows"
        level = f"score {self._score.value:.2f}, limit {self.plan.limit:g}"
        if not self._alarm.on:
            return f"normal; {level}"
        return f"not normal since {_clock(self._began)}: {self._blame()}; {level}"

    # ------------------------------------------------------------ what changes it

    def install(self, model: ModelInstalled, now: Instant) -> DetectorTurn:
        """Take a model over. An alarm of the model before it ends here."""
        try:
            scorer = self._load(model.onnx, self._names, self.plan.window)
        except ModelError as error:
            return self.unavailable(str(error), now)
        events = []
        if self._alarm.on:
            events.append(self._end_alarm(now, "a new model takes over"))
        if self._phase is _Phase.WAITING and self._learned:
            events.append(self._tell_learned(model))
        if self._phase is _Phase.UNAVAILABLE:
            self._start_anew()
        self._alarm, self._scorer, self._score, self._trouble = Alarm(), scorer, None, ""
        self._again = None
        self._phase = _Phase.WATCHING
        return DetectorTurn(tuple(events))

    def unavailable(self, reason: str, now: Instant) -> DetectorTurn:
        """There is no model to trust until one is installed or learned anew, and why."""
        if self._phase is _Phase.WAITING and self._learned:
            self._again = Instant(now.mono + LEARN_AGAIN, now.wall + LEARN_AGAIN)
        self._phase, self._scorer, self._trouble = _Phase.UNAVAILABLE, None, ""
        return DetectorTurn(self._no_verdict(reason))

    def reflect(self, twin: Twin, now: Instant) -> DetectorTurn:
        """Take a row if one is due, and judge. The twin's qualities must be up to date."""
        if now.mono < self._due:
            return NOTHING
        self._count_missed(now)
        if self._again and now.mono >= self._again.mono:
            self._learn_anew()
        if self._phase is _Phase.UNAVAILABLE:
            return NOTHING
        row = twin.value[self._tags]
        bad = (twin.quality[self._tags] >= Quality.BAD) | ~(np.abs(row) <= LARGEST)
        if bad.any():
            return self._stand_in(row, bad, twin, now)
        if self._carried > CARRY:
            self._start_anew()
        self._carried, self._last = 0, row
        self._window.push(row)
        if self._phase is _Phase.LEARNING:
            return self._learn(row)
        return self._judge(now)

    # ------------------------------------------------------------ a row is due

    def _count_missed(self, now: Instant) -> None:
        """Move on to the next due time; rows that nobody came for count as carried."""
        if not self._due:
            self._due = now.mono + self.plan.every
            return
        self._due, missed = next_due(self._due, self.plan.every, now.mono)
        self._carried += missed

    def _stand_in(
        self, row: Floats, bad: NDArray[np.bool_], twin: Twin, now: Instant
    ) -> DetectorTurn:
        """Use the last good values of bad tags for a few rows, then give up."""
        self._carried += 1
        if self._carried <= CARRY:
            if self._last is None or not len(self._window):
                return NOTHING
            self._window.push(np.where(bad, self._last, row))
            return self._judge(now)
        self._start_anew()
        place = int(np.argmax(bad))
        quality = Quality(int(twin.quality[self._tags[place]]))
        why = quality.words if quality.is_bad else Quality.NOT_A_NUMBER.words
        return DetectorTurn(self._no_verdict(f"{self._names[place]} is {why}"))

    def _start_anew(self) -> None:
        """A hole in time: what was before it does not belong to what comes."""
        self._window.clear()
        self._score = None

    def _learn_anew(self) -> None:
        """Begin with no row; the rows before went out with the lesson and are no longer ours."""
        self._lesson, self._learned = np.empty_like(self._lesson), 0
        self._phase, self._again, self._trouble = _Phase.LEARNING, None, ""
        self._start_anew()

    def _learn(self, row: Floats) -> DetectorTurn:
        self._trouble = ""
        self._lesson[self._learned] = row
        self._learned += 1
        if self._learned < len(self._lesson):
            return NOTHING
        self._phase = _Phase.WAITING
        return DetectorTurn(lesson=Lesson(self._index, self._lesson))

    def _judge(self, now: Instant) -> DetectorTurn:
        if self._scorer is None or not self._window.is_full:
            self._trouble = ""
            return NOTHING
        try:
            self._score = self._scorer.score(self._window.rows())
        except ModelError as error:
            return DetectorTurn(self._no_verdict(str(error)))
        self._trouble = ""
        before = self._alarm
        self._alarm = self._rule.step(before, self._score.value, now.mono)
        if self._alarm.on and not before.on:
            return DetectorTurn((self._raise_alarm(now, self._score),))
        if before.on and not self._alarm.on:
            return DetectorTurn((self._end_alarm(now, f"score {self._score.value:.2f}"),))
        return NOTHING

    # ------------------------------------------------------------ what is said

    def _no_verdict(self, reason: str) -> tuple[Event, ...]:
        """Say once that there is no verdict; learning is not interrupted by it, only delayed."""
        told = bool(self._trouble) or self._phase in (_Phase.LEARNING, _Phase.WAITING)
        self._score, self._trouble = None, reason
        if told:
            return ()
        text = f"{self.plan.name}: no verdict: {reason}"
        return (Event(EventKind.MODEL_UNAVAILABLE, self.plan.name, text, (("reason", reason),)),)

    def _tell_learned(self, model: ModelInstalled) -> Event:
        text = f"{self.plan.name}: learned from {self._learned} rows what normal is; watching"
        facts = (("rows", self._learned), ("sha256", model.sha256))
        return Event(EventKind.LEARNED, self.plan.name, text, facts)

    def _raise_alarm(self, now: Instant, score: Score) -> Event:
        self._began = now
        facts: tuple[tuple[str, Scalar], ...] = (
            ("score", score.value),
            ("limit", self.plan.limit),
            *self.shares,
        )
        return Event(EventKind.ANOMALY, self.plan.name, f"{self.plan.name}: {self.words}", facts)

    def _end_alarm(self, now: Instant, why: str) -> Event:
        peak, lasted_s = self._alarm.peak, (now.mono - self._began.mono) / SECOND
        text = f"{self.plan.name}: alarm over after {_span(lasted_s)}; {why}, peak {peak:.2f}"
        facts = (("duration_s", lasted_s), ("peak", peak))
        return Event(EventKind.ANOMALY_CLEARED, self.plan.name, text, facts)

    def _blame(self) -> str:
        """The tag that departs most, and the next one if it matters."""
        (first, most), *others = self.shares
        text = f"mostly {first} ({most:.0%})"
        if others and others[0][1] >= WORTH_NAMING:
            text += f", then {others[0][0]} ({others[0][1]:.0%})"
        return text.replace("%", " %")


def _clock(at: Instant) -> str:
    return datetime.fromtimestamp(at.wall // SECOND, UTC).strftime("%H:%M:%S UTC")


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
