"""The DTDL interfaces, judged by the rules of the DTDL v3 specification, written down here.

No parser of DTDL comes as a Python package, so this is a checker of our own, rule by rule.
``scripts/dtdl_parse`` gives the same documents to Microsoft's parser, for which it needs node.
"""

import json
import re
from collections import Counter

import pytest

from edgetwin.core.export.dtdl import interfaces

SEGMENT = r"[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?"
DTMI = re.compile(rf"dtmi:{SEGMENT}(?::{SEGMENT})*;[1-9][0-9]{{0,8}}(?:\.[1-9][0-9]{{0,5}})?")
NAME = re.compile(SEGMENT)
PRIMITIVES = {
    *("boolean", "date", "dateTime", "double", "duration"),
    *("float", "integer", "long", "string", "time"),
}
INTERFACE = {"@context", "@id", "@type", "comment", "contents", "description", "displayName"} | {
    *("extends", "schemas"),
}
COMMON = {"@type", "@id", "name", "comment", "description", "displayName", "schema"}
MEMBERS = {
    "Telemetry": COMMON | {"unit"},
    "Property": COMMON | {"unit", "writable"},
    "Component": COMMON,
}
# Of the extension for quantitative types, version 1: the kinds that we use, and their units.
UNITS = {
    "AngularVelocity": {"degreePerSecond", "radianPerSecond", "revolutionPerSecond"}
    | {"revolutionPerMinute"},
    "Current": {"ampere", "microampere", "milliampere"},
    "Energy": {"joule", "kilojoule", "megajoule", "gigajoule", "kilowattHour"},
    "Force": {"newton", "pound", "ounce", "ton"},
    "Frequency": {"hertz", "kilohertz", "megahertz", "gigahertz"},
    "Length": {"metre", "centimetre", "millimetre", "micrometre", "kilometre", "foot", "inch"},
    "Mass": {"kilogram", "gram", "milligram", "microgram", "tonne", "slug"},
    "MassFlowRate": {"gramPerSecond", "kilogramPerSecond", "gramPerHour", "kilogramPerHour"},
    "Power": {"watt", "microwatt", "milliwatt", "kilowatt", "megawatt", "gigawatt", "horsepower"},
    "Pressure": {"pascal", "kilopascal", "bar", "millibar", "millimetresOfMercury"}
    | {"poundPerSquareInch", "inchesOfMercury", "inchesOfWater"},
    "Temperature": {"kelvin", "degreeCelsius", "degreeFahrenheit"},
    "TimeSpan": {"second", "millisecond", "microsecond", "nanosecond", "minute", "hour", "day"},
    "Torque": {"newtonMetre"},
    "Velocity": {"metrePerSecond", "centimetrePerSecond", "kilometrePerSecond", "metrePerHour"},
    "Voltage": {"volt", "millivolt", "microvolt", "kilovolt", "megavolt"},
    "Volume": {"cubicMetre", "cubicCentimetre", "litre", "millilitre", "cubicFoot", "gallon"},
    "VolumeFlowRate": {"litrePerSecond", "millilitrePerSecond", "litrePerHour"}
    | {"millilitrePerHour"},
}


def wrong_interface(each):
    """What of one interface breaks a rule, its contents aside."""
    if each.keys() - INTERFACE:
        yield f"members nobody knows: {each.keys() - INTERFACE}"
    if each["@context"][0] != "dtmi:dtdl:context;3":
        yield "the first context is not that of DTDL v3"
    if not DTMI.fullmatch(each["@id"]) or len(each["@id"]) > 128:
        yield f"no id of an interface: {each['@id']}"
    if each["@type"] != "Interface":
        yield "no interface"
    if len(json.dumps(each)) > 1 << 20:
        yield "larger than 1 MiB"
    twice = [n for n, times in Counter(c["name"] for c in each["contents"]).items() if times > 1]
    if twice:
        yield f"names that stand twice: {twice}"


def wrong_content(each, ids):
    """What of one member of an interface's contents breaks a rule."""
    class_, *others = [each["@type"]] if isinstance(each["@type"], str) else each["@type"]
    if each.keys() - MEMBERS[class_]:
        yield f"members nobody knows: {each.keys() - MEMBERS[class_]}"
    if not NAME.fullmatch(each["name"]) or len(each["name"]) > 512:
        yield f"no name: {each['name']}"
    if len(each.get("displayName", "")) > 64 or len(each.get("description", "")) > 512:
        yield "told at too great a length"
    if each["schema"] not in (ids if class_ == "Component" else PRIMITIVES):
        yield f"no schema for a {class_}: {each['schema']}"
    if ("unit" in each) != bool(others):
        yield "a unit goes with a quantitative type, and a type with a unit"
    for kind in others:
        if each["unit"] not in UNITS[kind] or each["schema"] in {"string", "boolean"}:
            yield f"{kind} is not measured in {each['unit']} as {each['schema']}"


def wrong(told):
    ids = [each["@id"] for each in told]
    found = [f"{i} stands twice" for i, times in Counter(ids).items() if times > 1]
    for each in told:
        found += wrong_interface(each)
        for content in each["contents"]:
            found += [f"{each['@id']}: {text}" for text in wrong_content(content, set(ids))]
    return found


def test_interfaces_keep_the_rules_of_dtdl_v3(plan):
    assert wrong(interfaces(plan)) == []


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("name", "9_lives"),
        ("name", "ends_"),
        ("schema", "float64"),
        ("unit", "furlong"),
        ("writeable", True),
        ("displayName", "x" * 65),
    ],
)
def test_the_rules_find_what_is_wrong(plan, member, value):
    told = interfaces(plan)
    told[1]["contents"][0] = {**told[1]["contents"][0], member: value}
    assert wrong(told) != []


def test_every_tag_is_told_once_and_what_is_writable_as_a_property(plan):
    told = [content for each in interfaces(plan)[1:] for content in each["contents"]]
    assert len(told) == len(plan.tags)
    writable = [content["name"] for content in told if content.get("writable")]
    assert len(writable) == sum(tag.write is not None for tag in plan.tags)
    assert all(
        c["@type"] == "Property" or "Property" in c["@type"] for c in told if "writable" in c
    )
