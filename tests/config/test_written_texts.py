"""What may be written to a text: a list."""

import pytest

from edgetwin.config import compile_text
from edgetwin.config.check import report
from edgetwin.core.errors import ConfigError

HEAD = """\
gateway: g
state: /nowhere
control: {enabled: true}
devices:
  plc:
    driver: modbus
    address: 127.0.0.1
    tags:
"""
OPCUA = HEAD.replace(
    "driver: modbus\n    address: 127.0.0.1", "driver: opcua\n    address: opc.tcp://p"
)
MODE = "mode: {at: 4x0001, type: text, length: 3, write: {texts: [AUTO, MANUAL]}}"


def compiled(line, head=HEAD, more=""):
    return compile_text(f"{head}      {line}\n{more}", "c.yaml")


@pytest.mark.parametrize(
    ("line", "head"),
    [(MODE, HEAD), ("mode: {at: ns=2;s=M, write: {texts: [AUTO, MANUAL]}}", OPCUA)],
)
def test_each_text_that_may_be_written_has_a_number(line, head):
    limits = compiled(line, head).tags[0].write
    assert (limits.low, limits.high, limits.texts) == (0.0, 1.0, ("AUTO", "MANUAL"))
    assert [limits.number_of(text) for text in ("AUTO", "MANUAL", "auto", None)] == [0, 1, -1, -1]


@pytest.mark.parametrize(
    ("write", "told"),
    [
        ("{texts: [AUTO, AUTO]}", "a text stands there twice"),
        ("{texts: [AUTO, '']}", "c.yaml:9:"),
        ("{texts: ['AUTO ']}", "ends with a blank"),
        ("{texts: [MANUELL]}", "'MANUELL' has 7 bytes, and 6 fit"),
        ("{texts: [Ölöl]}", ""),
        ("{texts: [AUTO], min: 0}", "min is for a number"),
        ("{texts: [AUTO], rate: 1 per s}", "rate is for a number"),
        ("{texts: [AUTO], tolerance: 1}", "tolerance is for a number"),
        ("{min: 0, max: 1}", "a text has no min and max. List what may be written"),
    ],
)
def test_what_cannot_be_is_told_with_its_line(write, told):
    line = f"mode: {{at: 4x0001, type: text, length: 3, write: {write}}}"
    if not told:
        assert compiled(line).tags[0].write.texts == ("Ölöl",)
        return
    with pytest.raises(ConfigError) as error:
        compiled(line)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a: {at: 4x0001, type: int16, write: {texts: [A]}}", "texts are for a text, not int16"),
        (
            "a: {at: 4x0001, type: text, length: 2, elements: 2, write: {texts: [A]}}",
            "texts are written one by one",
        ),
        ("a: {at: 4x0001, type: int16, write: {min: 0}}", "'write' of tag 'a' needs 'max'"),
    ],
)
def test_texts_are_for_single_texts(line, told):
    with pytest.raises(ConfigError) as error:
        compiled(line)
    assert told in str(error.value)


def test_no_loop_writes_a_text():
    more = "loops: {l: {law: pid, pv: plc/mode, sp: 1, mv: plc/mode, gain: 1}}\n"
    with pytest.raises(ConfigError, match="'plc/mode' is a text"):
        compiled("mode: {at: ns=2;s=M, write: {texts: [AUTO]}}", OPCUA, more)


def test_check_lists_the_texts_and_requests_may_list_the_tag(tmp_path):
    file = tmp_path / "c.yaml"
    upstream = (
        "upstream: {cloud: {broker: mqtt://127.0.0.1, requests: {keys: [k], tags: [plc/mode]}}}"
    )
    file.write_text(f"{HEAD}      {MODE}\n{upstream}\n")
    told, _ = report(file)
    assert "write     plc/mode: AUTO, MANUAL" in told
    assert "may ask for plc/mode" in told
