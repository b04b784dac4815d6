"""Topic templates: the plant's levels once, filled in where a topic names them."""

import pytest

from edgetwin.config.compile.gateway import compile_text
from edgetwin.config.problem import ConfigErrors

DEVICE = "devices: {d: {driver: modbus, address: h, tags: {b: {at: 3x0001, type: int16}}}}\n"
LEVELS = "hierarchy: {enterprise: acme, site: berlin, area: water, line: filling 2, cell: skid-7}\n"


def topic_of(topic, levels=LEVELS):
    written = f", topic: {topic}" if topic else ""
    text = f"gateway: gw-1\n{levels}{DEVICE}upstream: {{c: {{broker: mqtts://b{written}}}}}\n"
    return compile_text(text, "c.yaml", environ={}).upstreams[0].topic


@pytest.mark.parametrize(
    ("written", "topic"),
    [
        ("", "edgetwin/gw-1"),
        ("plant/line-1", "plant/line-1"),
        (
            '"{enterprise}/{site}/{area}/{line}/edgetwin/{gateway}"',
            "acme/berlin/water/filling 2/edgetwin/gw-1",
        ),
        ('"uns/{site}-{cell}/{gateway}/{gateway}"', "uns/berlin-skid-7/gw-1/gw-1"),
    ],
)
def test_levels_stand_where_the_topic_names_them(written, topic):
    assert topic_of(written) == topic


def test_without_a_hierarchy_nothing_changes():
    assert topic_of("", levels="") == "edgetwin/gw-1"


def test_the_plan_tells_the_levels_from_the_highest_down():
    text = f"gateway: g\nhierarchy: {{cell: skid-7, enterprise: acme}}\n{DEVICE}"
    plan = compile_text(text, "c.yaml", environ={})
    assert list(plan.hierarchy.items()) == [("enterprise", "acme"), ("cell", "skid-7")]


def test_topic_longer_than_brokers_take_is_told():
    levels = f"hierarchy: {{site: {'a' * 600}}}\n"
    with pytest.raises(ConfigErrors, match=r"c\.yaml:4:\d+: the topic is 1201 bytes long"):
        topic_of('"{site}/{site}"', levels)
