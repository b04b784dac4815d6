"""Writes as events: a person's each, a loop's counted."""

from edgetwin.core.event import EventKind
from edgetwin.core.frame import Frame, Tick
from edgetwin.core.ledger import Ledger
from edgetwin.core.reading import Authority, Instant, WriteOutcome, WriteRequest, WriteResult
from edgetwin.core.tags import Tag, TagTable, WriteLimits

SECOND = 1_000_000_000
TAGS = TagTable((Tag(0, "skid/n", unit="1/min"),))


class Feed:
    def __init__(self):
        self.ledger, self.number, self.events = Ledger(TAGS), 0, []

    def write(self, at_s, value, by="pressure", authority=Authority.LOOP, outcome="written"):
        self.number += 1
        request = WriteRequest(self.number, 0, value, authority, by, "pid", 0)
        result = WriteResult(self.number, 0, WriteOutcome(outcome), value)
        now = Instant(int(at_s * SECOND), 0)
        self.events += self.ledger.take(Frame(1, now, Tick(), writes=(request,)))
        self.events += self.ledger.take(Frame(2, now, result))


def test_writes_of_a_loop_are_told_once_a_minute():
    feed = Feed()
    for n in range(650):
        feed.write(n / 10, 1200.0 + n % 7)
    (event,) = feed.events
    assert (event.kind, event.subject) == (EventKind.WRITTEN, "skid/n")
    text = "pressure wrote skid/n 600 times, from 1200 to 1206 1/min; last 1204"
    assert event.text == text
    (rest,) = feed.ledger.close()
    assert dict(rest.facts)["count"] == 50
    assert feed.ledger.close() == []


def test_write_of_a_person_is_told_at_once():
    feed = Feed()
    feed.write(0, 1300.0, by="anna", authority=Authority.TECHNICIAN)
    (event,) = feed.events
    assert event.text == "anna set skid/n to 1300 1/min"
    assert feed.ledger.close() == []


def test_what_was_not_written_is_not_counted():
    feed = Feed()
    feed.write(0, 1.0, outcome="refused")
    assert feed.ledger.close() == []


def test_text_that_was_written_is_told_as_text():
    tags = TagTable((Tag(0, "skid/mode", write=WriteLimits(0, 1, texts=("AUTO", "OFF"))),))
    feed = Feed()
    feed.ledger = Ledger(tags)
    feed.write(0, 1.0, by="anna", authority=Authority.CLOUD)
    (event,) = feed.events
    assert event.text == "anna set skid/mode to 'OFF'"
    assert dict(event.facts)["value"] == "OFF"
