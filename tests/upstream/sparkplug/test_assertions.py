"""The specification's assertions about edge nodes, held one by one; and the checks can fail."""

import asyncio
import copy
from pathlib import Path

import pytest
import spb_checks
import spb_story
from spb_assertions import ASSERTIONS, Held, expected, rows, table, verdict

pytestmark = pytest.mark.broker
DOCUMENT = Path(__file__).parents[3] / "docs" / "sparkplug.md"


@pytest.fixture(scope="module")
def stories(upstream_rig, tmp_path_factory):
    """Both lives of an edge node, lived once."""
    if upstream_rig.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed (Debian: apt install mosquitto)")
    folder = tmp_path_factory.mktemp("sparkplug")
    broker = upstream_rig.Mosquitto(folder)
    broker.start()
    try:
        tellers = (spb_story.with_a_primary_host, spb_story.without_a_primary_host)
        return {
            tell.__name__: asyncio.run(tell(broker.port, folder / tell.__name__))
            for tell in tellers
        }
    finally:
        broker.stop()


@pytest.mark.parametrize(
    "name", [n for n, wanted in ASSERTIONS.items() if isinstance(wanted, Held)]
)
def test_assertion_holds(stories, name):
    assert verdict(ASSERTIONS[name], stories) == "pass"


def test_the_document_shows_this_table():
    held = sum(isinstance(wanted, Held) for wanted in ASSERTIONS.values())
    written = DOCUMENT.read_text("utf-8")
    assert table(expected()) in written, "run: scripts/campaigns/sparkplug_check --write"
    assert f"{held} of {len(ASSERTIONS)}" in written


@pytest.mark.parametrize(
    "check",
    [
        spb_checks.history_is_marked,
        spb_checks.commands_are_refused,
        spb_checks.data_only_of_the_living,
    ],
)
def test_what_no_assertion_asks_for(stories, check):
    check(stories["with_a_primary_host"])


def first(story, verb):
    return next(sent for sent in story.sent if sent.verb == verb)


def last_data(story):
    return next(s for s in reversed(story.sent) if s.verb == "DDATA" and s.payload.metrics)


def skip_a_number(story):
    last_data(story).payload.seq += 1


def send_data_at_qos_1(story):
    last_data(story).qos = 1


def retain_a_birth(story):
    first(story, "NBIRTH").retain = True


def name_a_metric_in_data(story):
    last_data(story).payload.metrics[0].name = "pressure"


def tell_an_unknown_alias(story):
    last_data(story).payload.metrics[0].alias = 99


def forget_rebirth(story):
    birth = first(story, "NBIRTH").payload
    birth.metrics.remove(birth.metric("Node Control/Rebirth"))


def tell_another_bd_seq(story):
    first(story, "NBIRTH").payload.metric("bdSeq").value += 1


def leave_a_value_out(story):
    metric = next(m for m in first(story, "DBIRTH").payload.metrics if m.field)
    metric.field, metric.value = "", None


def tell_data_before_births(story):
    story.sent[0], story.sent[4] = story.sent[4], story.sent[0]


def clear_the_will(story):
    story.connects[0].facts["will"] = None


def say_an_old_time(story):
    last_data(story).payload.timestamp -= 3_600_000


def die_with_a_number(story):
    first(story, "NDEATH").payload.seq = 7


TAMPERED = {
    skip_a_number: "payloads-ddata-seq-inc",
    send_data_at_qos_1: "payloads-ddata-qos",
    retain_a_birth: "topics-nbirth-mqtt",
    name_a_metric_in_data: "payloads-alias-data-cmd-requirement",
    tell_an_unknown_alias: "topics-dbirth-metric-reqs",
    forget_rebirth: "topics-nbirth-rebirth-metric",
    tell_another_bd_seq: "payloads-ndeath-bdseq",
    leave_a_value_out: "operational-behavior-data-publish-dbirth-values",
    tell_data_before_births: "principles-birth-certificates-order",
    clear_the_will: "payloads-ndeath-will-message",
    say_an_old_time: "payloads-timestamp-in-UTC",
    die_with_a_number: "payloads-ndeath-seq",
}


@pytest.mark.parametrize(
    ("tamper", "name"), TAMPERED.items(), ids=[each.__name__ for each in TAMPERED]
)
def test_the_checker_notices(stories, tamper, name):
    spoiled = copy.deepcopy(stories)
    tamper(spoiled["with_a_primary_host"])
    try:
        found = rows(spoiled)[f"tck-id-{name}"]
    except (AttributeError, TypeError):
        found = "FAILS"  # what is not there cannot even be read
    assert found.startswith("FAILS")
