"""Arrays of a Modbus device: each element is a tag, where the one before it ends."""

import pytest

from edgetwin.config import compile_text
from edgetwin.config.check import report
from edgetwin.core.errors import ConfigError

HEAD = """\
gateway: g
state: /nowhere
devices:
  plc:
    driver: modbus
    address: 127.0.0.1
"""


def compiled(*lines, more=()):
    text = HEAD + "".join(f"    {line}\n" for line in more) + "    tags:\n"
    return compile_text(text + "".join(f"      {line}\n" for line in lines), "c.yaml")


def problem_of(*lines, more=()):
    with pytest.raises(ConfigError) as error:
        compiled(*lines, more=more)
    return str(error.value)


@pytest.mark.parametrize(
    ("line", "places"),
    [
        ("a: {at: 4x0101, type: int16, elements: 3}", ["4x0101", "4x0102", "4x0103"]),
        ("a: {at: 3x0101, type: float32, elements: 3}", ["3x0101", "3x0103", "3x0105"]),
        ("a: {at: holding:0, type: uint64, elements: 2}", ["4x0001", "4x0005"]),
        ("a: {at: 0x0007, elements: 3}", ["0x0007", "0x0008", "0x0009"]),
        ("a: {at: 4x0101, type: text, length: 6, elements: 2}", ["4x0101", "4x0107"]),
    ],
)
def test_elements_lie_side_by_side(line, places):
    plan = compiled(line)
    assert [str(tag.address) for tag in plan.tags] == places
    assert [tag.name for tag in plan.tags] == [f"plc/a_{n}" for n in range(len(places))]
    assert plan.tags.elements("plc/a") == tuple(range(len(places)))


def test_each_element_has_all_that_was_said_of_the_array():
    plan = compiled("a: {at: 4x0001, type: int16, elements: 2, unit: bar, write: {min: 0, max: 9}}")
    assert [(tag.unit, tag.write.high, tag.array) for tag in plan.tags] == [
        ("bar", 9.0, "plc/a")
    ] * 2


def test_numbers_alone_are_counted_as_the_manual_counts():
    plan = compiled("a: {at: 40001, type: float32, elements: 3}", more=['numbering: "40000"'])
    assert [str(tag.address) for tag in plan.tags] == ["4x0002", "4x0004", "4x0006"]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["a: {at: 4x0001.3, elements: 2}"], "c.yaml:8:35: elements are whole registers or coils"),
        (["a: {at: 4x0001, type: int16, elements: 0}"], "'0' is out"),
        (["a: {at: 4x65535, type: int16, elements: 3}"], "reaches over the end of the table"),
        (["a: {at: 4x0001, type: int16, elements: 2}", "a_1: {at: 0x0001}"], "a tag a_1 already"),
        (["a: {at: 4x0001, elements: 2}"], "a register needs 'type'"),
        (["a: {at: 40001, type: int16, elements: 2}"], "can be read in two ways"),
    ],
)
def test_what_cannot_be_is_told_with_its_line(lines, told):
    assert told in problem_of(*lines)


def test_a_doubt_is_told_once_for_an_array():
    assert problem_of("a: {at: 40001, type: int16, elements: 50}").count("two ways") == 1


def test_an_array_is_listed_for_requests_by_its_name():
    text = HEAD + (
        "    tags:\n"
        "      a: {at: 4x0001, type: int16, elements: 3, write: {min: 0, max: 9}}\n"
        "      b: {at: 4x0011, type: int16, elements: 2}\n"
        "control: {enabled: true}\n"
        "upstream: {cloud: {broker: mqtt://127.0.0.1, requests: {keys: [k.pem], tags: [NAME]}}}\n"
    )
    plan = compile_text(text.replace("NAME", "plc/a"), "c.yaml")
    assert plan.upstreams[0].requests.tags == frozenset(range(3))
    with pytest.raises(ConfigError, match="'plc/b' has no 'write:' limits"):
        compile_text(text.replace("NAME", "plc/b"), "c.yaml")


def test_check_tells_of_an_array_in_one_line(tmp_path):
    text = HEAD + (
        "    tags:\n"
        "      a: {at: 4x0001, type: int16, elements: 3, write: {min: 0, max: 9}}\n"
        "      b: {at: 4x0011, type: int16, elements: 2, write: {min: 0, max: 5}}\n"
        "control: {enabled: true}\n"
        "upstream:\n"
        "  cloud:\n"
        "    broker: mqtt://127.0.0.1\n"
        "    requests: {keys: [k.pem], tags: [plc/a, plc/b_1]}\n"
    )
    file = tmp_path / "c.yaml"
    file.write_text(text)
    told, _ = report(file)
    assert "  write     plc/a (3 elements): 0 to 9" in told.splitlines()
    assert told.count("  write  ") == 2
    assert "may ask for plc/a (3 elements), plc/b_1\n" in told
