import math
import re
from pathlib import Path

import pytest

from edgetwin import config
from edgetwin.config.compile.registers import WIDER
from edgetwin.config.override import MARK
from edgetwin.core.laws.formula import Formula
from edgetwin.core.laws.pid import Pid
from edgetwin.core.nodes import NodeAddress
from edgetwin.core.plan import (
    Fail,
    Fallback,
    ModbusSettings,
    Mode,
    OpcuaSettings,
    Security,
    SerialForm,
    SparkplugSettings,
    Transport,
)
from edgetwin.core.tags import TagKind, ValueType

ROOT = Path(__file__).parents[2]
MS = 1_000_000

HEAD = """
gateway: g
control: {enabled: true}
devices:
  d:
    driver: modbus
    address: 127.0.0.1
    scan: 100 ms
    tags:
      pv: {at: 3x0001, type: float32, unit: bar}
      mv: {at: 4x0001, type: float32, unit: 1/min, write: {min: 600, max: 1750}}
"""


def plan(text, overrides=(), **keywords):
    return config.compile_text(text, "c.yaml", overrides, Path("/base"), **keywords)


def said(text, overrides=()):
    with pytest.raises(config.ConfigErrors) as caught:
        plan(text, overrides)
    return str(caught.value)


def device(tags, options=""):
    return f"""
gateway: g
devices:
  d:
    driver: modbus
    address: 127.0.0.1{options}
    tags:
""" + "\n".join(f"      {line}" for line in tags)


@pytest.fixture(scope="module")
def skid():
    return config.read(ROOT / "config/pump-skid.yaml")


# ---------------------------------------------------------------- the twin's order


def test_tags_lie_in_order_of_device_group_and_address(skid):
    assert [tag.name for tag in skid.tags] == [
        "skid/running",
        "skid/discharge_pressure",
        "skid/suction_pressure",
        "skid/motor_current",
        "skid/valve_position",
        "skid/speed_setpoint",
        "meter/flow",
        "meter/temperature",
        "meter/vibration",
        "pump/hydraulic_power",
        "pump/score",
        "pump/verdict",
        "loop/pressure.sp",
        "loop/pressure.out",
        "loop/pressure.mode",
    ]
    assert [tag.index for tag in skid.tags] == list(range(15))


def test_each_scan_group_is_one_range_short_periods_first():
    tags = [
        "a: {at: 4x0009, type: int16, scan: 5 s}",
        "b: {at: 4x0005, type: int16}",
        "c: {at: 0x0001}",
        "d: {at: 4x0001, type: int16, scan: 100 ms}",
        "e: {at: 4x0001, type: int16, scan: 5 s}",
        "f: {at: 4x0005.3}",
    ]
    made = plan(device(tags))
    groups = made.devices[0].groups
    assert [(g.number, g.period // MS, [made.tags[i].name for i in g.tags]) for g in groups] == [
        (0, 100, ["d/d"]),
        (1, 1000, ["d/c", "d/b", "d/f"]),
        (2, 5000, ["d/e", "d/a"]),
    ]
    assert all(made.tags[i].period == g.period for g in groups for i in g.tags)


def test_opcua_tags_stay_as_written(skid):
    meter = skid.devices[1]
    assert [skid.tags[i].address for i in meter.groups[0].tags] == [
        NodeAddress("s", "Flow", "urn:edgetwin:demo:meter"),
        NodeAddress("i", "1002", "urn:edgetwin:demo:meter"),
        NodeAddress("s", "Vibration", "urn:edgetwin:demo:meter"),
    ]
    assert {skid.tags[i].type for i in meter.groups[0].tags} == {ValueType.AUTO}


def test_aliases_are_second_names_of_the_same_tag(skid):
    assert skid.tags.find("pump/p") == skid.tags.find("skid/discharge_pressure") == 1
    assert skid.assets["pump"] == (1, 2, 3, 4, 6, 7, 8, 5, 9, 10, 11)


def test_a_tag_knows_its_place_in_the_file():
    made = plan(device(["a: {at: 0x0001}", "b: {at: 0x0002}"]))
    assert [tag.place for tag in made.tags] == ["c.yaml:8", "c.yaml:9"]


# ---------------------------------------------------------------- settings and defaults


def test_device_settings_carry_every_option():
    options = """:1502
    unit: 7
    timeout: 300 ms
    retry: 2 s
    pause: 20 ms
    in_flight: 4
    max_registers: 60
    max_bits: 100
    max_gap: 0"""
    made = plan(device(["a: {at: 0x0001}"], options)).devices[0]
    assert made.settings == ModbusSettings("127.0.0.1", 1502, 7, 300 * MS, 20 * MS, 4, 60, 100, 0)
    assert made.retry == 2000 * MS


def test_opcua_settings_are_safe_unless_said():
    text = """
gateway: g
state: st
devices:
  d: {driver: opcua, address: "opc.tcp://h:4840/x", tags: {a: {at: i=2258}}}
"""
    assert plan(text).devices[0].settings == OpcuaSettings(
        "opc.tcp://h:4840/x", security=Security.SIGN_AND_ENCRYPT, pki=Path("/base/st/pki")
    )


def test_upstream_is_tls_with_own_names_unless_said():
    made = plan(HEAD + "upstream: {cloud: {broker: mqtts://b.example, ca_file: ca.pem}}").upstreams[
        0
    ]
    assert (made.broker.host, made.broker.port, made.broker.tls) == ("b.example", 8883, True)
    assert made.broker.client_id == "edgetwin-g-cloud"
    assert made.broker.ca_file == Path("/base/ca.pem")
    assert made.topic == "edgetwin/g"
    assert not made.values


def test_an_asset_of_a_type_is_told_with_its_numbers_and_its_verdict():
    text = (
        "assets: {pump: {type: pump-40, watch: learned, tags: {p: d/pv}, "
        "derived: {twice: {is: 2 * p}}}, other: {tags: {p: d/pv}}}"
    )
    made = plan(HEAD + text)
    (pump,) = made.typed
    assert (pump.name, pump.type) == ("pump", "pump-40")
    assert {key: made.tags[i].name for key, i in pump.tags.items()} == {
        "p": "d/pv",
        "twice": "pump/twice",
    }
    assert made.tags[pump.verdict].name == "pump/verdict"


def test_nodes_of_a_broker_keep_their_order():
    text = "upstream: {c: {broker: mqtts://a, other_brokers: [mqtts://b, mqtts://c:99]}}"
    broker = plan(HEAD + text).upstreams[0].broker
    assert (broker.host, broker.others) == ("a", (("b", 8883), ("c", 99)))


def test_control_is_off_unless_switched_on():
    assert plan(HEAD).control
    assert not plan(HEAD.replace("control: {enabled: true}", "")).control


@pytest.mark.parametrize(
    ("environ", "state"),
    [
        ({"STATE_DIRECTORY": "/var/lib/edgetwin", "HOME": "/h"}, "/var/lib/edgetwin"),
        ({"STATE_DIRECTORY": "/a:/b"}, "/a"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/edgetwin/g"),
        ({"HOME": "/h"}, "/h/.local/state/edgetwin/g"),
        ({}, "/var/lib/.local/state/edgetwin/g"),
    ],
)
def test_state_folder_follows_systemd_then_the_users_own(environ, state):
    assert plan(HEAD, environ=environ).state == Path(state)
    assert plan(HEAD + "state: here", environ=environ).state == Path("/base/here")


# ---------------------------------------------------------------- registers


@pytest.mark.parametrize(("order", "wide"), WIDER.items())
def test_device_order_holds_for_32_and_64_bit_but_not_16(order, wide):
    tags = [
        "a: {at: 4x0001, type: int16}",
        "b: {at: 4x0002, type: float32}",
        "c: {at: 4x0004, type: uint64}",
        "d: {at: 4x0008, type: text, length: 3}",
    ]
    made = plan(device(tags, f"\n    order: {order}"))
    plain = order == "ABCD"
    assert [tag.order for tag in made.tags] == [
        "",
        "" if plain else order,
        "" if plain else wide,
        "",
    ]
    assert made.tags[3].length == 3


def test_tag_order_goes_before_the_devices():
    tags = [
        "a: {at: 4x0001, type: int16, order: BA}",
        "b: {at: 4x0002, type: float32, order: abcd}",
        "c: {at: 4x0004, type: float64, order: DCBA}",
        "d: {at: 4x0008, type: float64, order: EFGHABCD}",
    ]
    made = plan(device(tags, "\n    order: CDAB"))
    assert [tag.order for tag in made.tags] == ["BA", "", "HGFEDCBA", "EFGHABCD"]


def test_coils_and_bits_of_registers_need_no_type():
    made = plan(device(["a: {at: 0x0001}", "b: {at: 1x0001, type: bit}", "c: {at: 4x0001.15}"]))
    assert {tag.type for tag in made.tags} == {ValueType.BIT}


@pytest.mark.parametrize(
    ("form", "tolerance"),
    [
        ("type: int16, scale: 0.1", 0.05),
        ("type: uint32, scale: -2", 1.0),
        ("type: bcd16", 0.5),
        ("type: float32", 1000 * 2.0**-23),
        ("type: float32, offset: 500", 500 * 2.0**-23),
        ("type: float64", 1000 * 2.0**-52),
    ],
)
def test_read_back_may_differ_by_the_resolution_of_the_type(form, tolerance):
    low = "-1000" if "scale: -2" in form else "0"
    made = plan(
        device(
            [f"a: {{at: 4x0001, {form}, write: {{min: {low}, max: {1000 if low == '0' else 0}}}}}"]
        )
    )
    assert made.tags[0].write.tolerance == pytest.approx(tolerance)


def test_write_limits_carry_every_option_in_the_tags_unit():
    text = "write: {min: 1 bar, max: 4, rate: 6 bar per min, deadband: 0.1, tolerance: 0.2 bar}"
    limits = plan(device([f"a: {{at: 4x0001, type: float32, unit: bar, {text}}}"])).tags[0].write
    assert (limits.low, limits.high, limits.deadband, limits.tolerance) == (1, 4, 0.1, 0.2)
    assert limits.rate == pytest.approx(0.1)
    assert plan(HEAD).tags.tags[1].write.rate == math.inf


def test_two_tags_may_share_an_address():
    made = plan(device(["a: {at: 4x0001, type: int16}", "b: {at: 4x0001, type: uint16}"]))
    assert len(made.tags) == 2


# ---------------------------------------------------------------- derived, detectors, loops


def test_derived_tags_stand_in_order_of_computation_wherever_they_are_written():
    made = plan(
        HEAD
        + """
assets:
  a:
    tags: {p: d/pv}
    derived: {late: {is: b.x + middle}, middle: {is: 2 * early}, early: {is: p + d.mv}}
  b:
    tags: {q: d/pv}
    derived: {x: {is: q, unit: bar, range: [0, 16 bar]}}
"""
    )
    position = {made.tags[each.tag].name: n for n, each in enumerate(made.derived)}
    assert position["a/early"] < position["a/middle"] < position["a/late"]
    assert position["b/x"] < position["a/late"]
    for each in made.derived:
        assert all(i < each.tag for i in each.inputs)
        assert len(each.inputs) == len(each.expression.names)
    x = made.tags[made.tags.find("b/x")]
    assert (x.kind, x.unit, x.low, x.high, x.period) == (TagKind.DERIVED, "bar", 0, 16, 100 * MS)


def test_derived_tag_is_due_as_often_as_its_fastest_input(skid):
    assert skid.tags[9].period == 100 * MS


def test_watch_learned_takes_the_assets_numbers_and_all_defaults():
    made = plan(
        HEAD
        + "      on: {at: 1x0001}\nassets: {a: {tags: {p: d/pv, o: d/on, n: d/mv}, watch: learned}}"
    )
    detector = made.detectors[0]
    assert [made.tags[i].name for i in detector.tags] == ["d/pv", "d/mv"]
    assert (detector.window, detector.train, detector.limit) == (30, 400, 1.5)
    assert made.tags[detector.score_tag].name == "a/score"
    assert made.tags[detector.verdict_tag].kind is TagKind.DETECTOR


def test_watch_may_name_tags_a_model_and_its_hash():
    digest = "AB" * 32
    watch = f"watch: {{tags: [d/mv, p], model: m.onnx, sha256: {digest}}}"
    made = plan(HEAD + f"assets: {{a: {{tags: {{p: d/pv}}, {watch}}}}}")
    detector = made.detectors[0]
    assert detector.tags == (made.tags.find("d/mv"), made.tags.find("d/pv"))
    assert detector.model == Path("/base/m.onnx")
    assert detector.sha256 == digest.lower()


def test_pid_loop_of_the_example(skid):
    loop = skid.loops[0]
    assert isinstance(loop.law, Pid)
    assert (loop.pv, loop.mv, loop.sp, loop.sp_is_tag) == (1, 5, 4.2, False)
    assert (loop.mode, loop.on_fault, loop.on_stop) == (Mode.SHADOW, Fail(), Fail())
    assert loop.every == 100 * MS
    assert (loop.sp_tag, loop.out_tag, loop.mode_tag) == (12, 13, 14)
    assert [skid.tags[i].unit for i in (12, 13, 14)] == ["bar", "1/min", ""]


def test_pid_settings_are_in_seconds():
    terms = "gain: -120, integral: 8 s, derivative: 500 ms"
    made = plan(HEAD + f"loops: {{x: {{law: pid, pv: d/pv, sp: 1, mv: d/mv, {terms}}}}}")
    assert made.loops[0].law == Pid(gain=-120.0, integral_s=8.0, derivative_s=0.5)


def test_formula_loop_takes_its_inputs_in_order_of_the_expression():
    made = plan(
        HEAD
        + """
assets: {a: {tags: {n: d/mv, p: d/pv}}}
loops:
  x:
    law: formula
    pv: a/p
    sp: d/pv
    mv: a/n
    is: d.mv * sp + a.p - pv
    mode: auto
    on_fault: 900 1/min
    permissives: {high: d.pv > 1 and a.n > 2}
"""
    )
    loop = made.loops[0]
    assert isinstance(loop.law, Formula)
    assert loop.law.inputs == ("d/mv", "a/p")
    assert loop.inputs == (made.tags.find("d/mv"), made.tags.find("d/pv"))
    assert (loop.sp, loop.sp_is_tag) == (made.tags.find("d/pv"), True)
    assert loop.on_fault == Fail(Fallback.VALUE, 900)
    assert loop.every == 100 * MS
    name, _, inputs = loop.permissives[0]
    assert (name, inputs) == ("high", (made.tags.find("d/pv"), made.tags.find("d/mv")))


def test_permissive_may_use_the_verdict_of_a_detector():
    made = plan(
        HEAD
        + """
assets: {a: {tags: {p: d/pv}, watch: learned}}
loops: {x: {law: pid, pv: d/pv, sp: 1, mv: d/mv, gain: 1, permissives: {ok: a.verdict < 1}}}
"""
    )
    assert made.loops[0].permissives[0][2] == (made.tags.find("a/verdict"),)


def test_setpoint_is_a_tag_if_there_is_one_of_that_name():
    text = HEAD.replace("  d:", "  1m3:").replace(
        "      mv", "      h: {at: 3x0003, type: int16}\n      mv"
    )
    made = plan(text + "loops: {x: {law: pid, pv: 1m3/pv, sp: 1m3/h, mv: 1m3/mv, gain: 1}}")
    assert made.loops[0].sp_is_tag


# ---------------------------------------------------------------- text, overrides, replay


def test_plan_compiles_to_the_same_from_its_own_text(skid):
    again = config.compile_text(skid.text, skid.source)
    assert again == skid


def test_overrides_travel_in_the_text_and_compile_again():
    overrides = ("devices.d.address=127.0.0.1:15020", "control.enabled=false", "recording=50 MB")
    made = plan(HEAD, overrides)
    assert (made.devices[0].settings.port, made.control) == (15020, False)
    assert made.recording_bytes == 50_000_000
    assert made.text.endswith(f"\n{MARK}recording=50 MB\n")
    again = plan(made.text)
    assert again == made
    assert plan(made.text, ["recording=1 MB"]).recording_bytes == 1_000_000


@pytest.mark.parametrize("ending", ["", "\n", "\n\n", "\r\n", "\n# end"])
def test_embedded_overrides_keep_the_files_text(ending):
    made = plan(HEAD.rstrip() + ending, ["recording=1 MB"])
    assert made.text.startswith(HEAD.rstrip() + ending)
    assert plan(made.text).text == made.text


def test_override_may_set_a_whole_map_or_list():
    made = plan(
        HEAD, ["devices.d.tags.new={at: 3x0009, type: int16}", "devices.d.tags.pv.range=[0, 5]"]
    )
    assert made.tags.find("d/new") is not None
    assert made.tags[made.tags.find("d/pv")].high == 5


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("devices.d.scan", "sets nothing"),
        ("=1", "sets nothing"),
        ("devices..scan=1 s", "sets nothing"),
        ("devices.d.scan=a\nb", "sets nothing"),
        ("devices.d.scan=", "'scan' has no value"),
        ("devices.d.scan=7", "has no unit"),
        ("devices.d.scna=1 s", "Did you mean 'scan'?"),
        ("devices.d.scan=[", "--set devices.d.scan=[:"),
        ("devices.d.address.port=5", "holds '127.0.0.1' in the file"),
        ("devices.d.scan=&a 1 s", "anchors"),
    ],
)
def test_wrong_override_is_told_as_one(override, words):
    text = said(HEAD, [override])
    assert words in text
    assert re.match(r"--set .*:\d+:\d+: ", text)


def test_all_problems_of_a_file_come_at_once_and_in_order():
    with pytest.raises(config.ConfigErrors) as caught:
        plan(
            HEAD.replace("3x0001", "3x").replace("scan: 100 ms", "scan: x")
            + "loops: {x: 1}\nfoo: 1"
        )
    problems = caught.value.problems
    assert len(problems) == 4
    assert list(problems) == sorted(problems)
    assert caught.value.summary == "4 errors; nothing was started."


def test_who_refers_to_something_wrong_is_not_blamed_as_well():
    text = HEAD.replace("float32, unit: bar", "float23, unit: bar") + (
        "assets: {a: {tags: {p: d/pv}, derived: {x: {is: p + 1}}, watch: {tags: [p]}}}\n"
        "loops: {x: {law: pid, pv: a/x, sp: 1, mv: d/mv, gain: 1}}"
    )
    assert said(text).count("\n") == 0


# ---------------------------------------------------------------- lines of Modbus devices


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.0.0.1", (Transport.TCP, "10.0.0.1", 502)),
        ("tcp://plc:1502", (Transport.TCP, "plc", 1502)),
        ("tls://plc", (Transport.TLS, "plc", 802)),
        ("rtu+tcp://10.0.0.1:4001", (Transport.RTU_TCP, "10.0.0.1", 4001)),
        ("/dev/ttyUSB0", (Transport.SERIAL, "/dev/ttyUSB0", 0)),
    ],
)
def test_an_address_says_how_a_modbus_device_is_reached(address, place):
    text = f"""
gateway: g
state: st
devices: {{d: {{driver: modbus, address: "{address}", tags: {{a: {{at: 0x0001}}}}}}}}
"""
    made = plan(text).devices[0].settings
    assert (made.transport, made.host, made.port) == place
    assert made.is_shared is made.transport.is_rtu


def test_a_line_carries_every_option():
    text = """
gateway: g
state: st
devices:
  a: {driver: modbus, address: /dev/ttyS0, unit: 3, baud: 9600, parity: none, stop_bits: 2,
      tags: {a: {at: 0x0001}}}
  b: {driver: modbus, address: "tls://plc", ca_file: ca.pem, cert_file: own.pem,
      key_file: own.key, server_name: plc-7, any_certificate: true, share: true,
      tags: {a: {at: 0x0001}}}
"""
    serial, tls = (each.settings for each in plan(text).devices)
    assert serial.serial == SerialForm(9600, "none", 2)
    names = [getattr(tls.tls, f"{each}_file").name for each in ("ca", "cert", "key")]
    assert names == ["ca.pem", "own.pem", "own.key"]
    assert (tls.tls.server_name, tls.tls.any_certificate, tls.is_shared) == ("plc-7", True, True)


def test_a_sparkplug_upstream_is_named_after_the_gateway_unless_it_says_otherwise():
    text = """
gateway: line-3
devices: {skid: {driver: modbus, address: 127.0.0.1, tags: {p: {at: 4x0001, type: int16}}}}
upstream:
  scada: {broker: mqtt://127.0.0.1, sparkplug: {group: plant 1, primary_host: host, every: 250 ms}}
  other: {broker: mqtt://127.0.0.1, sparkplug: {group: g, edge_node: n}}
  native: {broker: mqtt://127.0.0.1}
"""
    plans = {u.name: u.sparkplug for u in config.compile_text(text, "c.yaml").upstreams}
    assert plans["scada"] == SparkplugSettings("plant 1", "line-3", "host", 250_000_000)
    assert plans["other"] == SparkplugSettings("g", "n", "", 1_000_000_000)
    assert plans["native"] is None
