"""What ``browse`` writes can be read back: uncommented, it is a configuration without errors."""

from pathlib import Path

import pytest

from edgetwin.cli.found_tags import device_lines, new_file
from edgetwin.cli.tree import tree_lines
from edgetwin.config import compile_text
from edgetwin.core.plan import OpcuaSettings, Security
from edgetwin.devices.opcua.branch import Branch

SETTINGS = OpcuaSettings("opc.tcp://plc:4840", security=Security.SIGN, user="o'br\"ien")


def variable(*path: str, at: str = "", **more) -> Branch:
    return Branch(path, at or f"nsu=urn:x;s={'.'.join(path)}", "variable", **more)


FOUND = [
    variable("Skid", "Flow", type="Double", value=12.3456789, access="read", unit="m³/h"),
    variable("Tank", "Flow", type="Int64", value=2**60, access="read write", span=(0.0, 80.0)),
    variable("Tank", "Flow", type="Double", value=0.0, at="nsu=urn:x;i=7", unit="%"),
    variable("Tank", "Füllstand [%]", type="String", value='a "b" # c\n', access="read"),
    variable("Tank", "Curve", type="Double[]", value=[1.0, 2.0, 3.0, 4.0, 5.0]),
    variable("Tank", "Matrix", type="Int32[]", value=[[1], [2]]),
    variable("Tank", "---", trouble="BadNotReadable"),
    variable(
        "Tank",
        "yes",
        type="Boolean",
        value=True,
        states={1: "it's: on", 0: "off"},
        at='ns=3;s="DB1"."yes"[0]',
    ),
]


def uncommented(lines: list[str]) -> str:
    return "\n".join(line.replace("# ", "", 1) for line in lines)


@pytest.mark.parametrize("is_new", [True, False])
def test_every_line_is_a_tag_once_its_comment_mark_is_gone(is_new):
    if is_new:
        lines = new_file(FOUND, SETTINGS)
        text = "\n".join(lines[:-8]) + "\n" + uncommented(lines[-8:])
    else:
        text = "gateway: g\ndevices:\n" + uncommented(device_lines(FOUND, SETTINGS)[1:])
    plan = compile_text(text, str(Path("c.yaml")))
    assert {tag.name.partition("/")[2]: str(tag.address) for tag in plan.tags} == {
        "Flow": "nsu=urn:x;s=Skid.Flow",
        "Tank_Flow": "nsu=urn:x;s=Tank.Flow",
        "Tank_Flow-2": "nsu=urn:x;i=7",
        "F-llstand": "nsu=urn:x;s=Tank.Füllstand [%]",
        **{f"Curve_{n}": f"nsu=urn:x;s=Tank.Curve[{n}]" for n in range(5)},
        "Matrix": "nsu=urn:x;s=Tank.Matrix[0,0]",
        "Tank": "nsu=urn:x;s=Tank.---",
        "yes": 'ns=3;s="DB1"."yes"[0]',
    }
    assert [tag.unit for tag in plan.tags][:3] == ["m³/h", "", "%"]
    assert dict(plan.tags[-1].states) == {0: "off", 1: "it's: on"}


def test_tree_shows_each_value_once_and_who_it_belongs_to():
    lines = tree_lines("opc.tcp://plc", FOUND)
    assert lines[0] == "opc.tcp://plc: 8 values below Objects"
    names = [line.split("  ")[0] or line.strip().split("  ")[0] for line in lines[2:]]
    assert names.count("Skid") == names.count("Tank") == 1
    text = "\n".join(lines)
    assert "12.34568 m³/h" in text
    assert "[1, 2, 3, 4, … (5 in all)]" in text
    assert "(BadNotReadable)" in text
    assert all(line.isprintable() for line in lines)
