"""What must hold of a recorded story, as functions: each raises AssertionError with the offender.

A check about a kind of message fails when there was none: what was not seen was not tested.
"""

import re
from itertools import pairwise

from spb_story import DEVICES, GROUP, HOST, NODE
from spb_witness import DISCONNECT

NODE_VERBS = ("NBIRTH", "NDATA", "NDEATH")
DEVICE_VERBS = ("DBIRTH", "DDATA", "DDEATH")
BIRTHS, DATA = ("NBIRTH", "DBIRTH"), ("NDATA", "DDATA")
NUMBERED = (*BIRTHS, *DATA, "DDEATH")
ALL = (*NODE_VERBS, *DEVICE_VERBS)
REBIRTH = "Node Control/Rebirth"
INT64, BOOLEAN, INT32 = 4, 11, 3
WITHIN_MS = 3_000
UNDER_WAY_MS = 50
HOLDS = {
    **dict.fromkeys((1, 2, 3, 5, 6, 7), "int"),
    **dict.fromkeys((4, 8, 13), "long"),
    9: "float",
    10: "double",
    11: "boolean",
    **dict.fromkeys((12, 14, 15), "string"),
}


def seen(story, *verbs):
    found = story.of(*verbs)
    assert found, f"no {' or '.join(verbs)} was seen"
    return found


def ids_in_topics(story):
    for sent in seen(story, *ALL):
        levels = sent.topic.split("/")
        wanted = 5 if sent.verb in DEVICE_VERBS else 4
        assert len(levels) == wanted, sent.topic
        assert levels[0] == "spBv1.0", sent.topic
        assert [levels[1], levels[3]] == [GROUP, NODE], sent.topic
        assert not re.search("[+#]", sent.topic), sent.topic
        assert not sent.device or sent.device in DEVICES, sent.topic


def topic(*verbs):
    def check(story):
        for sent in seen(story, *verbs):
            device = f"/{sent.device}" if sent.verb in DEVICE_VERBS else ""
            assert sent.topic == f"spBv1.0/{GROUP}/{sent.verb}/{NODE}{device}", sent.topic

    return check


def qos_0(*verbs):
    def check(story):
        assert {sent.qos for sent in seen(story, *verbs)} == {0}

    return check


def not_retained(*verbs):
    def check(story):
        assert not [sent.topic for sent in seen(story, *verbs) if sent.retain]

    return check


def plain(*verbs):
    def check(story):
        qos_0(*verbs)(story)
        not_retained(*verbs)(story)

    return check


def numbered(*verbs):
    """Every one of these has a seq, and the session's numbers run without a gap."""

    def check(story):
        assert all(0 <= sent.payload.seq <= 255 for sent in seen(story, *verbs))
        for sent in story.sessions.values():
            expected = 0
            for each in (s for s in sent if s.verb in NUMBERED):
                if each.verb == "NBIRTH":
                    expected = 0
                assert each.payload.seq == expected, (each.topic, each.payload.seq, expected)
                expected = (expected + 1) % 256

    return check


def wraps(story):
    numbered(*NUMBERED)(story)
    if story.primary_host:
        numbers = [s.payload.seq for s in story.sent if s.payload.seq is not None]
        assert (255, 0) in set(pairwise(numbers)), "255 was never reached"


def nbirth_is_0(story):
    assert {sent.payload.seq for sent in seen(story, "NBIRTH")} == {0}


def no_seq(*verbs):
    def check(story):
        assert {sent.payload.seq for sent in seen(story, *verbs)} == {None}
        assert all(story.will(p.connection).seq is None for p in story.connects)

    return check


def stamped(*verbs):
    """The payload says when it was sent, in UTC milliseconds."""

    def check(story):
        for sent in seen(story, *verbs):
            late = sent.wall_ms - (sent.payload.timestamp or 0)
            assert abs(late) < WITHIN_MS, (sent.topic, sent.payload.timestamp)

    return check


def metric_times(story):
    for sent in seen(story, *BIRTHS, *DATA):
        for each in sent.payload.metrics:
            assert each.timestamp, (sent.topic, each)
            assert 0 <= sent.wall_ms - each.timestamp < 60_000, (sent.topic, each)


# ---------------------------------------------------------------- births


def definitions(*verbs):
    """Name, datatype, and a value of that type or a null that has none."""

    def check(story):
        for sent in seen(story, *verbs):
            assert sent.payload.metrics, sent.topic
            for each in sent.payload.metrics:
                assert each.name, (sent.topic, each)
                assert each.datatype in HOLDS, (sent.topic, each)
                assert each.is_null != bool(each.field), (sent.topic, each)
                assert each.is_null or each.field == HOLDS[each.datatype], (sent.topic, each)

    return check


def datatypes_known(story):
    for sent in seen(story, *BIRTHS, "NDEATH"):
        for each in sent.payload.metrics:
            assert 1 <= each.datatype <= 34, each


def no_datatype_in_data(story):
    for sent in seen(story, *DATA):
        assert not [each for each in sent.payload.metrics if each.datatype is not None], sent.topic


def complete(birth, data):
    """What the data of an owner ever speaks of is in the birth before it, under that alias."""

    def check(story):
        seen(story, data)
        for sent in story.sessions.values():
            known = {}
            for each in (s for s in sent if s.verb in (birth, data)):
                aliases = {metric.alias for metric in each.payload.metrics}
                if each.verb == birth:
                    known[each.device] = aliases
                else:
                    assert aliases <= known.get(each.device, set()), each.topic

    return check


def bd_seq_in_births(story):
    for sent in seen(story, "NBIRTH"):
        own, will = sent.payload.metric("bdSeq"), story.will(sent.connection).metric("bdSeq")
        assert own is not None
        assert own.datatype == INT64
        assert own.field == "long"
        assert own.value == will.value, sent.connection


def bd_seq_increments(story):
    numbers = [story.will(p.connection).metric("bdSeq").value for p in story.connects]
    assert len(numbers) > 1
    first = 0 if story.primary_host else 254
    assert numbers == [(first + n) % 256 for n in range(len(numbers))], numbers


def will_says_bd_seq(story):
    for packet in story.connects:
        metrics = story.will(packet.connection).metrics
        assert [m.name for m in metrics] == ["bdSeq"], metrics
        assert metrics[0].datatype == INT64
        assert 0 <= metrics[0].value <= 255
    bd_seq_increments(story)


def death_says_bd_seq(story):
    for sent in seen(story, "NDEATH"):
        assert [m.name for m in sent.payload.metrics] == ["bdSeq"]
        assert (
            sent.payload.metric("bdSeq").value == story.will(sent.connection).metric("bdSeq").value
        )


def rebirth_metric(story):
    for sent in seen(story, "NBIRTH"):
        found = sent.payload.metric(REBIRTH)
        assert found is not None
        assert (found.datatype, found.field, found.value) == (BOOLEAN, "boolean", False)


def rebirth_without_alias(story):
    assert all(s.payload.metric(REBIRTH).alias is None for s in seen(story, "NBIRTH"))


def nothing_fancy(story):
    """No template, no data set, no bytes: their rules have nothing to hold on to."""
    fancy = {"template", "dataset", "bytes"}
    for sent in seen(story, *ALL):
        for each in sent.payload.metrics:
            assert each.field not in fancy
            assert each.datatype is None or each.datatype not in (16, 17, 18, 19)


# ---------------------------------------------------------------- aliases, names, properties


def unique_aliases(story):
    for sent in story.sessions.values():
        owner = {}
        for each in (s for s in sent if s.verb in BIRTHS):
            for metric in each.payload.metrics:
                if metric.alias is not None:
                    known = owner.setdefault(metric.alias, (each.device, metric.name))
                    assert known == (each.device, metric.name), metric.alias


def names_with_aliases(story):
    for sent in seen(story, *BIRTHS):
        for each in sent.payload.metrics:
            assert each.name
            assert each.alias is not None or each.name == REBIRTH, each


def aliases_alone(story):
    for sent in seen(story, *DATA):
        for each in sent.payload.metrics:
            assert not each.name, each
            assert each.alias is not None


def names_by_case(story):
    for sent in seen(story, *BIRTHS):
        names = [each.name.lower() for each in sent.payload.metrics]
        assert len(names) == len(set(names)), sent.topic


def ids_by_case(story):
    devices = {sent.device for sent in seen(story, "DBIRTH")}
    assert len({device.lower() for device in devices}) == len(devices)


def with_properties(story):
    found = [m for s in seen(story, *BIRTHS, *DATA) for m in s.payload.metrics if m.keys]
    assert found, "no property was seen"
    return found


def properties_pair(story):
    for each in with_properties(story):
        assert len(each.keys) == len(each.properties), each


def property_types(story):
    for each in with_properties(story):
        for one in each.properties:
            assert one.type in HOLDS, each
            assert one.field == HOLDS[one.type], each


def qualities(story):
    found = [
        one
        for each in with_properties(story)
        for key, one in zip(each.keys, each.properties, strict=True)
        if key == "Quality"
    ]
    assert {one.type for one in found} == {INT32}
    assert {one.field for one in found} == {"int"}
    assert {one.value for one in found} <= {0, 192, 500}
    if story.primary_host:
        assert {one.value for one in found} >= {0, 500}


# ---------------------------------------------------------------- order


def births_first(story):
    for sent in story.sessions.values():
        assert sent[0].verb == "NBIRTH", sent[0].topic


def devices_before_data(story):
    """After each NBIRTH come the devices that are there, then data."""
    for sent in story.sessions.values():
        for n, each in enumerate(sent):
            if each.verb == "NBIRTH":
                after = [s.verb for s in sent[n + 1 :]]
                births = 0
                while births < len(after) and after[births] == "DBIRTH":
                    births += 1
                assert births == len(DEVICES), after[:5]


def device_after_node(story):
    for sent in story.sessions.values():
        verbs = [s.verb for s in sent]
        if "DBIRTH" in verbs:
            assert "NBIRTH" in verbs[: verbs.index("DBIRTH")]


def data_only_of_the_living(story):
    for sent in story.sessions.values():
        alive = set()
        for each in sent:
            if each.verb == "NBIRTH":
                alive.clear()
            elif each.verb == "DBIRTH":
                alive.add(each.device)
            elif each.verb == "DDEATH":
                alive.remove(each.device)
            elif each.verb == "DDATA":
                assert each.device in alive, each.topic


def in_order_of_time(story):
    for sent in seen(story, *BIRTHS, *DATA):
        live = [m.timestamp for m in sent.payload.metrics if not m.is_historical]
        assert live == sorted(live), sent.topic


def only_changes(verb):
    def check(story):
        seen(story, verb)
        for sent in story.sessions.values():
            told = {}
            for each in (s for s in sent if s.verb in (*BIRTHS, verb)):
                for metric in each.payload.metrics:
                    if metric.is_historical:
                        continue
                    now = (metric.value, metric.is_null, metric.quality)
                    assert each.verb in BIRTHS or told.get(metric.alias) != now, (each.topic, now)
                    told[metric.alias] = now

    return check


# ---------------------------------------------------------------- connection


def before(story, kind, connection):
    return [p for p in story.packets if p.connection == connection and p.kind == kind]


def clean(version):
    def check(story):
        asked = [p.facts for p in story.connects if p.facts["version"] == version]
        assert asked, f"no CONNECT of version {version}"
        assert all(f["clean"] and f["expiry"] == 0 for f in asked)

    return check


def has_will(story):
    for packet in story.connects:
        assert packet.facts["will"], packet.connection
        assert packet.facts["will"]["topic"] == f"spBv1.0/{GROUP}/NDEATH/{NODE}"


def will_qos_1(story):
    assert {p.facts["will"]["qos"] for p in story.connects} == {1}


def will_not_retained(story):
    assert {p.facts["will"]["retain"] for p in story.connects} == {False}


def connected_first(story):
    assert story.packets[0].kind == 1
    for connection, sent in story.sessions.items():
        connack = next(p for p in story.packets if p.connection == connection and p.kind == 2)
        assert sent[0].number > connack.number


def subscribed(path):
    """Subscribed at QoS 1, in every connection, before the birth."""

    def check(story):
        for connection, sent in story.sessions.items():
            asked = [p for p in story.subscribes if p.connection == connection]
            assert any(p.facts["filters"].get(path) == 1 for p in asked), (connection, path)
            assert asked[0].number < sent[0].number

    return check


def one_line(story):
    assert story.most_lines == 1


def left_in_order(version):
    """Whenever DISCONNECT was sent, an NDEATH was the message before it."""

    def check(story):
        byes = [p for p in story.goodbyes if p.facts["version"] == version]
        assert byes, f"no DISCONNECT of version {version}"
        for bye in byes:
            told = [s for s in story.sent if s.connection == bye.connection]
            assert told[-1].verb == "NDEATH"
            assert told[-1].number < bye.number
            assert bye.facts["reason"] == (4 if version == 5 else 0)

    return check


def left_with_a_death(story):
    byes = [p for p in story.packets if p.kind == DISCONNECT and not p.inward]
    assert byes
    left_in_order(byes[0].facts["version"])(story)


# ---------------------------------------------------------------- hosts


def waited(story):
    mark = story.marks["unborn until"]
    assert not [s for s in story.sent if s.number < mark], "born before the host was online"
    assert story.of("NBIRTH")


def heard_states(story, before_number):
    return [p for p in story.heard if "/STATE/" in p.facts["topic"] and p.number <= before_number]


def waited_for_its_own(story):
    waited(story)
    own = f"spBv1.0/STATE/{HOST}"
    first = story.of("NBIRTH")[0]
    told = [p.facts for p in heard_states(story, first.number)]
    assert b'"online": true' in told[-1]["payload"]
    assert {f["topic"] for f in told} == {own}


def stayed(story):
    """An offline word older than the last online one changes nothing."""
    old = next(p for p in reversed(story.heard) if p.number < story.marks["old offline"])
    assert b'"online": false' in old.facts["payload"]
    between = range(old.number, story.marks["host offline"])
    assert not [p for p in story.goodbyes if p.number in between]
    told = [s for s in story.sent if s.number in between]
    assert "DDATA" in [s.verb for s in told]


def left_with_the_host(story):
    offline = next(p for p in story.heard if p.number >= story.marks["host offline"])
    told = after_hearing(story, offline)[0]
    assert told.verb == "NDEATH", told.topic
    bye = next(p for p in story.goodbyes if p.number > told.number)
    assert bye.connection == told.connection
    again = [p for p in story.connects if p.number > bye.number]
    assert again, "no new CONNECT"
    births = [s for s in story.of("NBIRTH") if s.number > bye.number]
    assert births[0].number > story.marks["host back"]


def history_is_marked(story):
    """What the host has missed is told after the births, as history, with the time it had."""
    back = story.marks["host back"]
    birth = next(s for s in story.of("NBIRTH") if s.number > back)
    old = [
        m
        for s in story.of("DDATA")
        if s.connection == birth.connection
        for m in s.payload.metrics
        if m.is_historical
    ]
    assert old
    assert all(m.timestamp <= birth.wall_ms for m in old)
    told = {round(m.value, 3) for m in old if m.field == "float"}
    assert {7.0, 7.1, 7.2, 7.3, 7.4} & told


# ---------------------------------------------------------------- commands, devices


def after_hearing(story, packet):
    """What was sent after a message had reached the edge node.

    The witness sees it a moment earlier: data sent in that moment was under way already.
    """
    after = [s for s in story.sent if s.number > packet.number]
    while after and after[0].verb in DATA and after[0].wall_ms - packet.wall_ms <= UNDER_WAY_MS:
        after.pop(0)
    return after


def reborn(story):
    mark = story.marks["rebirth asked"]
    asked = next(p for p in story.heard if p.number >= mark and "/NCMD/" in p.facts["topic"])
    after = after_hearing(story, asked)
    verbs = [s.verb for s in after[: 1 + len(DEVICES)]]
    assert verbs == ["NBIRTH", *["DBIRTH"] * len(DEVICES)], verbs
    assert after[0].connection == asked.connection
    bd_seq_in_births(story)


def commands_are_refused(story):
    """Counted, told as a metric, and nothing is written: no other message follows."""
    names = {m.alias: m.name for s in story.of("NBIRTH") for m in s.payload.metrics}
    told = [
        m.value
        for s in seen(story, "NDATA")
        for m in s.payload.metrics
        if names[m.alias] == "Gateway/Commands refused"
    ]
    assert told[-1] == 3


def device_died(story):
    lost = story.marks["device lost"]
    death = next(s for s in story.of("DDEATH") if s.number >= lost)
    birth = next(s for s in story.of("DBIRTH") if s.number > death.number)
    assert death.device == birth.device == "skid"
    data_only_of_the_living(story)
