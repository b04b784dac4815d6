"""The state machine, second by second on a virtual clock; the model scores what the test says."""

import numpy as np
import pytest

from edgetwin.core.anomaly import Score
from edgetwin.core.detector import CARRY, LEARN_AGAIN, Detector
from edgetwin.core.errors import ModelError
from edgetwin.core.event import EventKind
from edgetwin.core.frame import ModelInstalled
from edgetwin.core.plan import SECOND, DetectorPlan
from edgetwin.core.quality import Quality
from edgetwin.core.reading import Instant, ReadingBatch
from edgetwin.core.tags import Tag, TagKind, TagTable
from edgetwin.core.twin import Twin

NAMES = ("skid/flow", "skid/pressure")
NOON = 1_700_049_600 * SECOND  # 12:00:00 UTC
TRAIN, WINDOW = 5, 3


class LastValue:
    """A scorer in the model's place: the score is the last value of the first tag."""

    def score(self, window):
        if window[-1, 0] < 0:
            raise ModelError("the model's answer is no number")
        return Score(float(window[-1, 0]), np.array([0.3, 0.7]))


class Rig:
    """A twin of two tags and a detector over them, with a clock of its own."""

    def __init__(self, **plan):
        tags = [Tag(i, name) for i, name in enumerate(NAMES)]
        tags += [Tag(2 + i, f"pump/{word}", TagKind.DETECTOR) for i, word in enumerate("sv")]
        self.tags = TagTable(tuple(tags))
        settings = {"train": TRAIN, "window": WINDOW, "limit": 1.0, **plan}
        self.twin = Twin(self.tags)
        self.loaded = []
        self.detector = Detector(
            0, DetectorPlan("pump", (0, 1), 2, 3, **settings), self.tags, self.load
        )
        self.now_s = 0.0
        self.events, self.lessons = [], []

    def load(self, onnx, names, window):
        self.loaded.append((onnx, names, window))
        if onnx == b"broken":
            raise ModelError("this is no ONNX file that can be run")
        return LastValue()

    @property
    def now(self):
        ns = int(self.now_s * SECOND)
        return Instant(ns + 77 * SECOND, NOON + ns)

    def take(self, turn):
        self.events += turn.events
        if turn.lesson:
            self.lessons.append(turn.lesson)

    def second(self, flow=0.5, pressure=4.0, *, quality=Quality.GOOD, by=1.0):
        """Both tags come in, then the detector looks; then the clock goes on."""
        columns = np.array([quality, Quality.GOOD], np.uint8)
        self.twin.apply(ReadingBatch(slice(0, 2), np.array([flow, pressure]), columns), self.now)
        self.take(self.detector.reflect(self.twin, self.now))
        self.now_s += by

    def seconds(self, *flows, **options):
        for flow in flows:
            self.second(flow, **options)

    def install(self, onnx=b"model"):
        self.take(self.detector.install(ModelInstalled(0, onnx, "abc"), self.now))

    def watching(self):
        """Learned, installed, and past its first verdict."""
        self.seconds(*[0.5] * TRAIN)
        self.install()
        self.second()
        self.events.clear()
        return self

    def kinds(self):
        return [event.kind for event in self.events]

    def outputs(self):
        batch = self.detector.outputs()
        quality = batch.quality if isinstance(batch.quality, int) else int(batch.quality[0])
        return (*batch.values.tolist(), Quality(quality))


# ---------------------------------------------------------------- learning


def test_lesson_is_given_out_once_with_the_first_good_rows():
    rig = Rig()
    rig.seconds(*range(TRAIN + 4))
    assert [lesson.detector for lesson in rig.lessons] == [0]
    assert rig.lessons[0].rows.tolist() == [[float(i), 4.0] for i in range(TRAIN)]


def test_while_learning_there_is_no_verdict_but_progress():
    rig = Rig()
    rig.seconds(1, 2)
    assert rig.detector.progress == (2, TRAIN)
    assert rig.detector.words == "learning what normal is: 2 of 5 rows"
    assert rig.outputs()[2] is Quality.NOT_YET_READ
    assert rig.events == []


def test_rows_with_bad_tags_are_not_learned_and_the_words_say_what_holds_it_up():
    rig = Rig()
    rig.seconds(1, 2)
    rig.seconds(*[9] * (CARRY + 1), quality=Quality.STALE)
    assert rig.detector.progress == (2, TRAIN)
    assert "held up: skid/flow is bad: stale" in rig.detector.words
    rig.seconds(3, 4, 5)
    assert rig.lessons[0].rows[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_detector_with_a_given_model_learns_nothing(tmp_path):
    rig = Rig(model=tmp_path / "given.onnx")
    rig.seconds(*range(20))
    assert rig.lessons == []
    assert rig.detector.words == "waiting for the model"


# ---------------------------------------------------------------- the model


def test_model_that_follows_a_lesson_is_told_as_learned_and_judges_the_next_row():
    rig = Rig()
    rig.seconds(*[0.5] * TRAIN)
    rig.install()
    assert rig.kinds() == [EventKind.LEARNED]
    assert rig.loaded == [(b"model", NAMES, WINDOW)]
    rig.second(0.6)
    assert rig.outputs() == (pytest.approx(0.6), 0.0, Quality.GOOD)
    assert rig.detector.words == "normal; score 0.60, limit 1"


def test_stored_model_at_start_is_not_told_as_learned_and_waits_for_its_window():
    rig = Rig()
    rig.install()
    rig.seconds(*[0.5] * (WINDOW - 1))
    assert rig.events == []
    assert rig.detector.words == "watching: 2 of 3 rows"
    assert rig.outputs()[2] is Quality.NOT_YET_READ
    rig.second()
    assert rig.outputs()[2] is Quality.GOOD


def test_model_that_cannot_be_loaded_is_unavailable_and_never_normal():
    rig = Rig()
    rig.install(b"broken")
    rig.seconds(*[0.5] * 10)
    assert rig.kinds() == [EventKind.MODEL_UNAVAILABLE]
    assert "this is no ONNX file" in rig.events[0].text
    assert rig.outputs()[2] is Quality.BAD
    assert rig.detector.words.startswith("unavailable: ")


def test_model_taken_away_is_unavailable_until_another_is_installed():
    rig = Rig().watching()
    rig.take(rig.detector.unavailable("the file was altered", rig.now))
    rig.seconds(5.0, 5.0, 5.0)
    assert rig.kinds() == [EventKind.MODEL_UNAVAILABLE]
    assert rig.events[0].text == "pump: no verdict: the file was altered"
    rig.install()
    rig.seconds(*[0.5] * WINDOW)
    assert rig.outputs()[2] is Quality.GOOD


def test_learning_that_failed_begins_anew_after_a_while_with_rows_of_its_own():
    rig = Rig()
    rig.seconds(*range(TRAIN))
    rig.take(rig.detector.unavailable("learning failed: no memory", rig.now))
    assert rig.detector.words == (
        "unavailable: learning failed: no memory; learns anew at 12:10:05 UTC"
    )
    rig.seconds(*[0.5] * 10)
    assert len(rig.lessons) == 1
    rig.now_s += LEARN_AGAIN / SECOND
    rig.seconds(*range(10, 10 + TRAIN))
    assert [lesson.rows[:, 0].tolist() for lesson in rig.lessons] == [
        list(range(TRAIN)),
        list(range(10, 10 + TRAIN)),
    ]
    rig.install()
    rig.seconds(*[0.5] * WINDOW)
    assert rig.kinds() == [EventKind.MODEL_UNAVAILABLE, EventKind.LEARNED]
    assert rig.outputs()[2] is Quality.GOOD


def test_model_that_a_person_has_to_restore_is_not_learned_over():
    kept, taken = Rig(), Rig().watching()
    for rig in (kept, taken):
        rig.take(rig.detector.unavailable("the model file was altered", rig.now))
        rig.lessons.clear()
        rig.now_s += 2 * LEARN_AGAIN / SECOND
        rig.seconds(*range(2 * TRAIN))
        assert rig.lessons == []
        assert rig.detector.words == "unavailable: the model file was altered"


def test_model_installed_before_the_second_try_ends_the_wait():
    rig = Rig()
    rig.seconds(*range(TRAIN))
    rig.take(rig.detector.unavailable("learning failed", rig.now))
    rig.install()
    rig.now_s += 2 * LEARN_AGAIN / SECOND
    rig.seconds(*[0.5] * 2 * TRAIN)
    assert len(rig.lessons) == 1
    assert rig.detector.words.startswith("normal")


def test_detector_without_a_model_does_not_stay_due():
    rig = Rig()
    rig.take(rig.detector.unavailable("the file is missing", rig.now))
    rig.second()
    assert rig.detector.due > rig.now.mono - SECOND


def test_answer_that_is_no_number_is_told_once_and_the_next_good_one_counts():
    rig = Rig().watching()
    rig.seconds(-1, -1, -1)
    assert rig.kinds() == [EventKind.MODEL_UNAVAILABLE]
    assert rig.outputs()[2] is Quality.BAD
    rig.second(0.5)
    assert rig.outputs() == (0.5, 0.0, Quality.GOOD)


# ---------------------------------------------------------------- alarms


def test_alarm_is_a_sentence_with_score_limit_and_all_shares_largest_first():
    rig = Rig().watching()
    start = rig.now_s
    rig.second(2.25)
    (event,) = rig.events
    assert (event.kind, event.subject) == (EventKind.ANOMALY, "pump")
    assert event.text == (
        f"pump: not normal since 12:00:{start:02.0f} UTC: mostly skid/pressure (70 %), "
        "then skid/flow (30 %); score 2.25, limit 1"
    )
    assert event.facts == (
        ("score", 2.25),
        ("limit", 1.0),
        ("skid/pressure", 0.7),
        ("skid/flow", 0.3),
    )
    assert rig.outputs()[1] == 1.0


def test_alarm_that_ends_tells_its_length_and_peak():
    rig = Rig().watching()
    rig.seconds(*[2.0, 4.0] + [2.5] * 70 + [1.0])
    assert rig.kinds() == [EventKind.ANOMALY, EventKind.ANOMALY_CLEARED]
    assert rig.events[1].text == "pump: alarm over after 1 min 12 s; score 1.00, peak 4.00"
    assert rig.events[1].facts == (("duration_s", 72.0), ("peak", 4.0))
    assert rig.outputs()[1] == 0.0


def test_alarm_outlives_a_sensor_that_drops_out():
    rig = Rig().watching()
    rig.second(2.0)
    rig.seconds(*[2.0] * 10, quality=Quality.NO_COMMUNICATION)
    assert rig.detector.alarming
    assert rig.outputs()[2] is Quality.BAD
    rig.seconds(*[2.0] * WINDOW)
    assert rig.kinds() == [EventKind.ANOMALY, EventKind.MODEL_UNAVAILABLE]
    assert rig.outputs() == (2.0, 1.0, Quality.GOOD)


def test_new_model_ends_the_alarm_of_the_one_before():
    rig = Rig().watching()
    rig.second(2.0)
    rig.install()
    assert rig.kinds() == [EventKind.ANOMALY, EventKind.ANOMALY_CLEARED]
    assert not rig.detector.alarming


# ---------------------------------------------------------------- rows


def test_bad_tag_is_carried_for_a_few_rows_then_there_is_no_verdict():
    rig = Rig().watching()
    rig.seconds(*[99.0] * CARRY, quality=Quality.STALE)
    assert rig.outputs() == (0.5, 0.0, Quality.GOOD)
    rig.second(99.0, quality=Quality.STALE)
    assert rig.kinds() == [EventKind.MODEL_UNAVAILABLE]
    assert rig.events[0].text == "pump: no verdict: skid/flow is bad: stale"
    rig.seconds(*[99.0] * 5, quality=Quality.STALE)
    assert len(rig.events) == 1


def test_after_a_bad_tag_the_window_starts_anew():
    rig = Rig().watching()
    rig.seconds(*[0.5] * (CARRY + 1), quality=Quality.STALE)
    rig.second()
    assert rig.detector.words == "watching: 1 of 3 rows"
    assert rig.outputs()[2] is Quality.NOT_YET_READ
    rig.seconds(0.5, 0.5)
    assert rig.outputs()[2] is Quality.GOOD


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_value_that_no_model_can_take_counts_as_bad(value):
    rig = Rig().watching()
    for _ in range(CARRY + 1):
        rig.twin.value[0] = value
        rig.take(rig.detector.reflect(rig.twin, rig.now))
        rig.now_s += 1
    assert "skid/flow is bad: not a number" in rig.events[0].text


def test_rows_are_taken_on_a_grid_whatever_the_turns_come_at():
    rig = Rig(train=100)
    rig.seconds(*range(50), by=0.25)
    assert rig.detector.progress[0] == 13
    assert rig.detector.due == rig.now.mono - int(0.25 * SECOND) * 2 + SECOND


def test_hole_in_time_longer_than_what_may_be_carried_starts_the_window_anew():
    rig = Rig().watching()
    rig.now_s += CARRY + 1
    rig.second()
    assert rig.detector.words == "watching: 1 of 3 rows"


def test_short_hole_in_time_costs_no_verdict():
    rig = Rig().watching()
    rig.now_s += CARRY - 1
    rig.second()
    assert rig.outputs()[2] is Quality.GOOD


def test_same_history_gives_the_same_events_and_outputs():
    def story():
        rig = Rig()
        rng = np.random.default_rng(3)
        told = []
        for i, flow in enumerate(rng.uniform(0, 3, 200)):
            bad = Quality.STALE if 50 < i < 60 else Quality.GOOD
            rig.second(flow, quality=bad, by=1.07)
            if i == TRAIN:
                rig.install()
            told.append((rig.outputs(), rig.detector.words))
        return repr((told, rig.events, rig.lessons))

    assert story() == story()
