"""What the story says, and what it reads that out of."""

import io
import json

import pytest

from edgetwin.core import payload
from edgetwin.core.quality import Quality
from edgetwin.core.tags import Tag, TagKind, TagTable
from edgetwin.demo.__main__ import main
from edgetwin.demo.findings import largest_changes, pressure_span, record_table
from edgetwin.demo.narrator import Narrator
from edgetwin.demo.pace import Pace
from edgetwin.demo.subscriber import Received

TAGS = TagTable(
    (
        Tag(0, "skid/p", unit="bar"),
        Tag(1, "skid/running"),
        Tag(2, "meter/q", unit="m3/h"),
        Tag(3, "pump/score", kind=TagKind.DETECTOR),
    )
)
BIRTH = payload.birth("pump-skid", 1, TAGS)


def record(stream, seq, **body):
    return payload.envelope(json.dumps(body).encode(), stream, seq, 1)


def summary(seq, *, low, high, mean):
    columns = {"min": low, "max": high, "mean": mean, "last": mean, "good": [1] * 4}
    counts = {"count": [10, 10, 10, 0], "quality": [int(Quality.GOOD)] * 4}
    return record("summary@a", seq, birth=BIRTH.id, frames=[1, 10], **columns, **counts)


@pytest.fixture
def received():
    heard = Received()
    heard.take("edgetwin/pump-skid/birth", BIRTH.payload)
    return heard


def test_messages_are_sorted_by_what_they_are(received):
    received.take("t", payload.status("pump-skid", 1, online=True, cause="connected"))
    received.take("t", record("event@a", 1, kind="learned", text="learned"))
    received.take("t", summary(1, low=[0] * 4, high=[0] * 4, mean=[0] * 4))
    received.take("t", record("event@a", 2, gap={"count": 3}))
    received.take("t", b"no JSON")
    lists = (received.births, received.states, received.events, received.summaries, received.gaps)
    assert [len(each) for each in lists] == [1, 1, 1, 1, 1]
    assert received.messages == 5
    assert received.records == 3


def test_a_hole_and_a_double_are_told_by_stream_and_sequence(received):
    for seq in (4, 5, 5, 8, 7):
        received.take("t", record("event@a", seq, kind="started", text=""))
    received.take("t", record("event@b", 5, kind="started", text=""))
    assert received.missing == 1
    assert received.doubles == 1
    assert len(received.events) == 5


def test_a_span_is_from_the_lowest_to_the_highest_of_all_windows(received):
    received.take("t", summary(1, low=[4.0, 0, 9, 0], high=[4.4, 1, 9, 0], mean=[4.2, 1, 9, 0]))
    received.take("t", summary(2, low=[4.1, 0, 9, 0], high=[4.6, 1, 9, 0], mean=[4.2, 1, 9, 0]))
    span = pressure_span(received, received.summaries, "skid/p")
    assert str(span) == "4.00 to 4.60 bar"
    assert span.width == pytest.approx(0.6)
    assert pressure_span(received, received.summaries, "pump/score") is None
    assert pressure_span(received, received.summaries, "no/tag") is None


def test_the_largest_changes_come_first_and_only_of_what_is_measured(received):
    received.take("t", summary(1, low=[0] * 4, high=[0] * 4, mean=[4.0, 0.5, 12.0, 1.0]))
    received.take("t", summary(2, low=[0] * 4, high=[0] * 4, mean=[4.4, 0.0, 6.0, 9.0]))
    words = largest_changes(received, *received.summaries)
    assert words == "meter/q 6 m3/h (was 12), skid/p 4.4 bar (was 4)"


def test_the_account_counts_what_the_daemon_and_the_subscriber_say(received):
    for seq, kind in enumerate(("anomaly", "anomaly cleared", "write refused"), start=1):
        received.take("t", record("event@a", seq, kind=kind, text=""))
    status = {
        "readings": {"taken": 2000, "good": 1990},
        "writes": 12,
        "sense_to_write_us": {"p50": 150.0, "p99": 2500.0},
        "rss_mb": 101.2,
        "peak_rss_mb": 120.0,
        "cpu_s": 1.5,
        "uptime_s": 30.0,
    }
    account = dict(record_table(status, received))
    assert account["points read"] == "2000, 99.50 % good"
    assert account["anomalies"] == "1, cleared 1"
    assert account["writes"] == "12, refused or failed 1"
    assert account["sense to write"] == "p50 0.15 ms, p99 2.50 ms"
    assert account["records"] == "3 received, missing 0, doubled 0"
    assert account["bytes"].startswith(f"32,000 raw, {received.size:,} sent: ")
    assert account["CPU"] == "5.0 % of one core"
    assert (
        dict(record_table({**status, "sense_to_write_us": {}}, received))["sense to write"]
        == "p50 none, p99 none"
    )


def test_a_long_fact_is_wrapped_under_its_beginning_and_a_pipe_gets_no_colour(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = io.StringIO()
    narrator = Narrator(out)
    narrator.alarm("word " * 40)
    narrator.table([("points", "3"), ("a longer name", "4")])
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("[  0.0 s] word")
    assert lines[1].startswith("           word")
    assert all(len(line) <= 80 for line in lines)
    assert "\x1b" not in out.getvalue()
    assert lines[-2].index("3") == lines[-1].index("4")


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_gets_colour_unless_it_asks_for_none(monkeypatch, no_color, coloured):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("NO_COLOR", no_color)
    out = Terminal()
    Narrator(out).good("held")
    assert ("\x1b[32mheld\x1b[0m" in out.getvalue()) is coloured


@pytest.mark.parametrize(
    ("seconds", "speed", "extra"), [(36, 2.5, 0), (45, 2, 0), (90, 1, 0), (150, 1, 60)]
)
def test_a_shorter_story_hurries_and_a_longer_one_looks_longer(seconds, speed, extra):
    assert Pace.within(seconds) == Pace(speed, extra)


def test_a_hurried_period_is_written_as_the_configuration_wants_it():
    assert Pace.within(36).period(100) == "40 ms"
    assert Pace.within(36).lasts(15) == 6


@pytest.mark.parametrize("seconds", ["10", "nan", "100000"])
def test_an_impossible_length_is_a_usage_error(seconds, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--for", seconds])
    assert "36 to 3600 seconds" in capsys.readouterr().err
