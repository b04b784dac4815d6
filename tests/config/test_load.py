import time
from itertools import pairwise

import pytest

from edgetwin.config.check import report
from edgetwin.config.load import MAX_BYTES, load
from edgetwin.config.node import Mapping, Place, Scalar, Sequence
from edgetwin.config.problem import ConfigErrors, Problems


def loaded(text):
    problems = Problems()
    root = load(text, "f", problems)
    assert not problems.found
    return root


def told(text):
    """What is said, whether the text could be read to its end or not."""
    problems = Problems()
    try:
        load(text, "f", problems)
    except ConfigErrors as errors:
        return str(errors)
    return str(ConfigErrors(problems.found))


@pytest.mark.parametrize(
    "scalar",
    ["NO", "no", "on", "y", "12:30:00", "22:22", "010", "1e3", "2026-11-22", "1.10", "0x1F", "0o7"],
)
def test_scalars_stay_the_text_that_was_written(scalar):
    root = loaded(f"a: {scalar}")
    assert isinstance(root, Mapping)
    value = root.entries["a"]
    assert isinstance(value, Scalar)
    assert value.text == scalar


def test_keys_that_yaml_11_takes_for_truth_values_stay_text():
    assert list(loaded("{on: 1, NO: 2, y: 3, 1: 4, 2026-11-22: 5}").entries) == [
        "on",
        "NO",
        "y",
        "1",
        "2026-11-22",
    ]


def test_places_count_characters_from_one():
    root = loaded('é: {ß: "x", c: [1, 2]}\nd:\n  - e')
    assert root.keys["é"] == Place("f", 1, 1)
    inner = root.entries["é"]
    assert inner.place == Place("f", 1, 4)
    assert inner.entries["ß"].place == Place("f", 1, 8)
    assert inner.entries["ß"].inset == 1
    assert inner.entries["c"].items[1].place == Place("f", 1, 20)
    assert root.entries["d"].items[0].place == Place("f", 3, 5)


def test_spot_points_into_quoted_text_and_falls_back_on_folded_text():
    root = loaded('a: "p +"\nb: >\n  p +\n')
    assert root.entries["a"].spot(3) == Place("f", 1, 7)
    assert root.entries["b"].spot(3) == root.entries["b"].place


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "f:3:1: 'a' stands here a second time; the first is in line 1"),
        ("{a: 1, 'a': 2}", "f:1:8: 'a' stands here a second time"),
        ("a: &x 1", "f:1:4: anchors (&x) are not used"),
        ("a: *x", "f:1:4: aliases (*name) are not used"),
        ("*x : 1", "f:1:1: aliases"),
        ("<<: {a: 1}", "f:1:1: merge keys"),
        ("a: !!python/object:os.system x", "f:1:4: YAML tags"),
        ("a: !x [1]", "f:1:4: YAML tags"),
        ("a: !!binary eA==", "f:1:4: YAML tags"),
        ("? [a, b]\n: 1", "f:1:3: a name must stand before ':'"),
        ("? {a: b}\n: 1", "f:1:3: a name must stand before ':'"),
        ("~: 1", "f:1:1: a name is missing before ':'"),
        ("a: 1\n---\nb: 2", "f:2:1: a second document"),
        ("a: 1\n...\n---\nb: 2", "f:3:1: a second document"),
        ("a:\n\tb: 1", "f:2:1: a tab stands here"),
        ("a: @b", "f:1:4: a value cannot begin with '@'"),
        ("a: `b", "f:1:4: a value cannot begin with '`'"),
        ("a: b: c", "f:1:5: this ':' fits nothing"),
        ("a: 1\n b: 2", "f:2:3: this ':' fits nothing"),
        ("a: 'x", "f:1:6: a quote is opened"),
        ("a: [1, 2", "f:2:1: a ',' or the closing ']' is missing"),
        ("a: {b: 1", "f:2:1: a ',' or the closing '}' is missing"),
        ("a: ]", "f:1:4: a value is missing here, or a bracket"),
        ("a: [", "f:2:1: a value is missing here, or a bracket before it is never closed"),
        ("a: \x00", "f:1:4: a control character"),
        ("a: 1\nb: \x07", "f:2:4: a control character"),
        ("a: \ud800", "f:1:4: this is no character"),
        ("%YAML 2.0\n---\na: 1", "f:1:1:"),
        ('a: "\\q"', "f:1:5: a '\\' in double quotes"),
        ("a: *", "f:1:5: '*' and '&' have a meaning of their own"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_by_place(text, said):
    assert said in told(text)


@pytest.mark.parametrize("bracket", ["[", "{a: ", "- "])
def test_thousands_of_nested_brackets_are_one_clear_error(bracket):
    said = told(bracket * 5000)
    assert "nested deeper than 20 levels" in said
    assert said.count("\n") == 0


def test_twenty_levels_are_read():
    node = loaded("[" * 20 + "]" * 20)
    for _ in range(19):
        assert isinstance(node, Sequence)
        node = node.items[0]
    assert node.items == []


def test_alias_bomb_is_refused_before_it_grows():
    names = "abcdefgh"
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in pairwise(names)
    )
    assert "aliases" in told(bomb)


def test_file_above_one_mebibyte_is_refused_unparsed():
    assert told("a" * (MAX_BYTES + 1)) == (
        "f:1:1: the file is larger than 1 MiB. Split the gateway in two"
    )
    assert "larger" in told("é" * (MAX_BYTES // 2 + 1))


def test_empty_text_is_an_empty_scalar():
    root = loaded("# nothing\n")
    assert isinstance(root, Scalar)
    assert root.is_null


def test_five_thousand_tags_cost_less_than_a_second_of_cpu(tmp_path):
    lines = ["gateway: g", "devices:", "  skid:", "    driver: modbus", "    address: 127.0.0.1"]
    lines += ["    tags:"]
    lines += [
        f"      t{i}: {{at: 4x{2 * i + 1:05d}, type: float32, unit: bar, range: [0, 16]}}"
        for i in range(5000)
    ]
    file = tmp_path / "large.yaml"
    file.write_text("\n".join(lines))
    start = time.process_time()
    _, good = report(file)
    spent = time.process_time() - start
    assert good
    assert (
        spent < 3.0
    )  # 0.5 s on the reference machine; the goal is 1 s, the rest is for slow runners
