"""What hosts say: STATE by time, commands by what they ask for; nonsense changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetwin.core.sparkplug.catalogue import Catalogue
from edgetwin.core.sparkplug.command import judge
from edgetwin.core.sparkplug.host import PrimaryHost, Word
from edgetwin.core.sparkplug.metric import REBIRTH, DataType, Metric, Payload, Verb
from edgetwin.core.tags import Tag, TagTable, ValueType, WriteLimits

TOPIC = "spBv1.0/STATE/scada"


def say(online, timestamp):
    return b'{"online": %s, "timestamp": %d}' % (str(online).lower().encode(), timestamp)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([(True, 5)], [Word.ONLINE]),
        ([(False, 5), (True, 5)], [Word.OFFLINE, Word.ONLINE]),
        ([(True, 5), (False, 4)], [Word.ONLINE, Word.IGNORED]),
        ([(True, 5), (False, 5)], [Word.ONLINE, Word.OFFLINE]),
        ([(True, 5), (False, 6), (True, 5)], [Word.ONLINE, Word.OFFLINE, Word.IGNORED]),
        ([(True, 5), (False, 6), (True, 7)], [Word.ONLINE, Word.OFFLINE, Word.ONLINE]),
    ],
)
def test_a_word_counts_unless_it_is_older_than_the_last(said, words):
    host = PrimaryHost("scada")
    assert [host.take(TOPIC, say(*each)) for each in said] == words


def test_after_a_reconnect_the_host_is_unknown_and_old_words_stay_old():
    host = PrimaryHost("scada")
    host.take(TOPIC, say(True, 5))
    host.reconnected()
    assert not host.online
    assert host.take(TOPIC, say(False, 4)) is Word.IGNORED
    assert host.take(TOPIC, say(True, 5)) is Word.ONLINE


@pytest.mark.parametrize(
    "payload",
    [
        b"ONLINE",
        b"",
        b"[]",
        b'{"online": "true", "timestamp": 5}',
        b'{"online": true, "timestamp": "5"}',
        b'{"online": true, "timestamp": true}',
        b'{"online": true}',
        b"[" * 4000,
        b'{"online": true, "timestamp": 5, "x": "' + b"x" * 5000 + b'"}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_state_is_ignored(payload):
    host = PrimaryHost("scada")
    assert host.take(TOPIC, payload) is Word.IGNORED
    assert not host.online


def test_the_state_of_another_host_is_ignored():
    assert PrimaryHost("scada").take("spBv1.0/STATE/other", say(True, 5)) is Word.IGNORED


@given(st.binary(max_size=300))
def test_no_payload_raises(payload):
    PrimaryHost("scada").take(TOPIC, payload)


def metric(name, value, alias=None):
    return Metric(0, DataType.BOOLEAN, value, name, alias)


@pytest.mark.parametrize(
    ("verb", "device", "metrics", "rebirth", "refused"),
    [
        (Verb.NCMD, "", [metric(REBIRTH, True)], True, 0),
        (Verb.NCMD, "", [metric(REBIRTH, False)], False, 1),
        (Verb.NCMD, "", [metric(REBIRTH, 1)], False, 1),
        (Verb.NCMD, "", [metric("", True, 9)], False, 1),
        (Verb.NCMD, "", [metric(REBIRTH, True), metric("x", 5.0)], True, 1),
        (Verb.DCMD, "skid", [metric(REBIRTH, True)], False, 1),
        (Verb.DCMD, "skid", [metric("running", 1.0)], False, 1),
        (Verb.NCMD, "", [], False, 1),
    ],
)
def test_a_rebirth_is_obeyed_and_all_else_refused(verb, device, metrics, rebirth, refused):
    command = judge(verb, device, Payload(0, tuple(metrics)), retained=False)
    assert (command.rebirth, len(command.refused)) == (rebirth, refused)


TAGS = TagTable(
    (
        Tag(0, "skid/n", device=0, type=ValueType.INT16, write=WriteLimits(-9, 9)),
        Tag(1, "skid/m", device=0, type=ValueType.FLOAT32, write=WriteLimits(-9, 9)),
        Tag(2, "meter/k", device=1, type=ValueType.INT64, write=WriteLimits(-9, 9)),
    )
)


@pytest.mark.parametrize(
    ("device", "name", "alias", "value", "wanted"),
    [
        ("skid", "n", None, 5, ("skid/n", 5.0)),
        ("skid", "n", None, 2**32 - 5, ("skid/n", -5.0)),
        ("skid", "n", None, 2**64 - 5, ("skid/n", -5.0)),
        ("skid", "n", None, 40_000, ("skid/n", 40_000.0)),
        ("skid", "m", None, -2.5, ("skid/m", -2.5)),
        ("skid", "m", None, True, ("skid/m", 1.0)),
        ("skid", "", 2, 2.5, ("skid/m", 2.5)),
        ("meter", "k", None, 2**64 - 1, ("meter/k", -1.0)),
        ("skid", "m", None, float("nan"), None),
        ("skid", "m", None, float("inf"), None),
        ("skid", "m", None, "2.5", None),
        ("skid", "m", None, None, None),
        ("skid", "k", None, 1.0, None),
        ("meter", "n", None, 1.0, None),
        ("", "skid/n", None, 1.0, None),
        ("meter", "", 1, 1.0, None),
        ("skid", "", 0, 1.0, None),
        ("skid", "", 4, 1.0, None),
        ("skid", "", 2**64 - 1, 1.0, None),
        ("skid", "", None, 1.0, None),
    ],
)
def test_a_wish_to_write_names_a_metric_of_its_device_and_a_number(
    device, name, alias, value, wanted
):
    verb = Verb.DCMD if device else Verb.NCMD
    said = Payload(7, (Metric(0, DataType.DOUBLE, value, name, alias),))
    catalogue = Catalogue(TAGS, ["skid", "meter"])
    command = judge(verb, device, said, retained=False, catalogue=catalogue)
    assert [(w.tag, w.value) for w in command.wanted] == ([wanted] if wanted else [])
    assert len(command.refused) == (wanted is None)
    assert not judge(verb, device, said, retained=True, catalogue=catalogue).wanted


def test_a_retained_command_is_refused_even_if_it_is_a_rebirth():
    command = judge(Verb.NCMD, "", Payload(0, (metric(REBIRTH, True),)), retained=True)
    assert not command.rebirth
    assert "retained" in command.refused[0]


def test_a_topic_made_up_by_the_broker_cannot_write_lines_into_the_log():
    (reason,) = judge(Verb.DCMD, "a\nb" + "c" * 999, None, retained=False).refused
    assert reason.isprintable()
    assert len(reason) < 300


def test_what_cannot_be_read_is_refused():
    assert judge(Verb.NCMD, "", None, retained=False).refused
