"""Tags of OPC UA: an array becomes a tag for each element; names for values; deadbands."""

import json

import pytest

from edgetwin.config import ConfigErrors, compile_text
from edgetwin.core.payload import birth

HEAD = """\
gateway: g
devices:
  plc:
    driver: opcua
    address: opc.tcp://127.0.0.1:4840
    security: none
    tags:
"""


def compiled(*lines: str):
    return compile_text(HEAD + "".join(f"      {line}\n" for line in lines), "c.yaml")


def problem_of(*lines: str) -> str:
    with pytest.raises(ConfigErrors) as wrong:
        compiled(*lines)
    return str(wrong.value)


def test_each_element_is_a_tag_with_all_that_was_said_of_the_array():
    plan = compiled(
        "speed: {at: ns=2;s=Speed}",
        "zone: {at: ns=2;s=Zone, elements: 3, unit: °C, alarms: {hot: {above: 90}}}",
        'level: {at: "/Objects/2:Tank/2:Level", elements: 2, write: {min: 0, max: 9}}',
    )
    names = ["speed", "zone_0", "zone_1", "zone_2", "level_0", "level_1"]
    assert [tag.name for tag in plan.tags] == [f"plc/{name}" for name in names]
    assert [tag.unit for tag in plan.tags] == ["", *["°C"] * 3, "", ""]
    assert [str(tag.address) for tag in plan.tags][1:3] == ["ns=2;s=Zone[0]", "ns=2;s=Zone[1]"]
    assert [getattr(tag.address, "of_array", None) for tag in plan.tags] == [False, *[True] * 5]
    assert [alarm.name for alarm in plan.alarms] == [f"plc/zone_{n}.hot" for n in range(3)]
    assert [tag.write is not None for tag in plan.tags][-2:] == [True, True]
    assert [tag.place for tag in plan.tags][1:4] == ["c.yaml:9"] * 3


def test_elements_keep_together_in_their_scan_group():
    plan = compiled(
        "a: {at: ns=2;s=A, elements: 2, scan: 2 s}",
        "b: {at: ns=2;s=B}",
        "c: {at: ns=2;s=C, elements: 2, scan: 2 s}",
    )
    assert [tag.name[4:] for tag in plan.tags] == ["b", "a_0", "a_1", "c_0", "c_1"]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["a: {at: ns=2;s=A, elements: 2, element: 1}"], "c.yaml:8:35: element is one of an array"),
        (["a: {at: ns=2;s=A, elements: 0}"], "c.yaml:8:35: '0' is out"),
        (["a: {at: ns=2;s=A, elements: 2}", "a_1: {at: ns=2;s=B}"], "there is a tag a_1 already"),
        (["a_0: {at: ns=2;s=B}", "a: {at: ns=2;s=A, elements: 2}"], "there is a tag a_0 already"),
        ([f"{'n' * 63}: {{at: ns=2;s=A, elements: 2}}"], "c.yaml:8:"),
        (
            [
                'a: {at: ns=2;s=A, elements: 2, write: {min: 0, max: 1, method: "/Objects/2:S"}}',
            ],
            "a method takes no element",
        ),
    ],
)
def test_what_cannot_be_is_told_with_its_line(lines, told):
    assert told in problem_of(*lines)


def test_names_of_values_are_told_in_the_birth():
    plan = compiled("mode: {at: ns=2;s=Mode, states: {0: off, 1: shadow, 2: auto}}")
    (entry,) = json.loads(birth("g", 1, plan.tags).payload)["tags"]
    assert entry["states"] == {"0": "off", "1": "shadow", "2": "auto"}


def test_deadband_is_a_part_of_the_range_that_is_written_or_else_of_the_servers():
    plan = compile_text(
        HEAD.replace("    tags:", "    mode: subscribe\n    tags:")
        + "      a: {at: ns=2;s=A, range: [0, 50], deadband: 2 % of range}\n"
        + "      b: {at: ns=2;s=B, deadband: 2 % of range}\n",
        "c.yaml",
    )
    bands = [(tag.deadband, tag.deadband_share) for tag in plan.tags]
    assert bands == [(1.0, 0.0), (0.0, 0.02)]


def test_name_of_what_is_no_whole_number_is_refused():
    assert "c.yaml:8:40: '0.5' is no whole number" in problem_of(
        "mode: {at: ns=2;s=Mode, states: {0.5: off}}"
    )
