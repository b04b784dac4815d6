"""Options of the tags of a device."""

from collections.abc import Mapping as Table

from edgetwin.config.kinds import (
    AMOUNT,
    DEADBAND,
    FACTOR,
    LETTERS,
    NAME,
    NUMBER,
    RATE,
    RAW,
    STEP,
    SWITCH,
    TEXT,
    Raw,
    Share,
    choice,
    duration,
    number,
    whole,
)
from edgetwin.config.option import ListOf, MapOf, Record, Section, Short, option, section
from edgetwin.config.places import ELEMENT, MODBUS_AT, NODE_AT
from edgetwin.config.schema.alarms import Alarm
from edgetwin.core.address import ModbusAddress
from edgetwin.core.nodes import NodeAddress, PathAddress
from edgetwin.core.tags import ValueType
from edgetwin.core.units import Quantity

MODBUS_TYPES = tuple(each.value for each in ValueType if each is not ValueType.AUTO)


@section
class Write(Section):
    """What may ever be written to the tag. Without it the tag is read-only for everybody."""

    noun = "write"

    min: Quantity | None = option(
        AMOUNT, "The lowest value that may be written.", example="600", unless="only for a text"
    )
    max: Quantity | None = option(
        AMOUNT, "The highest value that may be written.", example="1750", unless="only for a text"
    )
    texts: tuple[str, ...] = option(
        ListOf(TEXT, 1, 100),
        "For a text, in place of min and max: all that may be written to it.",
        example="[AUTO, MANUAL]",
        unless="it is a number",
    )
    rate: Quantity | None = option(
        RATE,
        "The largest change in a span of time. A larger wish is refused, or ramped by its loop.",
        example="50 per s",
        unless="as fast as the loop wants",
    )
    deadband: Quantity | None = option(
        STEP,
        "A change smaller than this is not worth a write.",
        example="1",
        unless="any change is written",
    )
    tolerance: Quantity | None = option(
        STEP,
        "How far the value read back may differ from the one written.",
        example="0.05",
        unless="the resolution of the tag's type",
    )
    read_back: bool = option(
        SWITCH,
        "Whether each write is read back; false only where the device shows something else there.",
        default="true",
        example="false",
    )


@section
class Counter(Section):
    """A value that only goes up. The word ``resets`` alone: until it is set back to 0."""

    noun = "counter"

    wraps: float | None = option(
        number(2, 1e19),
        "It begins at 0 again when it would reach this.",
        example="65536",
        unless="it does not wrap",
    )


@section
class _Tag(Section):
    unit: str | None = option(TEXT, "The engineering unit.", example="bar", unless="no unit")
    scale: float = option(
        FACTOR,
        "The value is scale times what the device holds, plus offset.",
        example="0.1",
        default="1",
    )
    offset: float = option(NUMBER, "See scale.", example="-40", default="0")
    range: tuple[Quantity, ...] = option(
        ListOf(AMOUNT, 2, 2),
        "Lowest and highest sensible value. One outside is marked uncertain: out of range, and no "
        "loop uses it.",
        example="[0, 16]",
        unless="no bounds",
    )
    scan: int | None = option(
        duration("1 ms", "1 h"),
        "How often it is read.",
        example="1 s",
        unless="the device's scan",
    )
    frozen_after: int | None = option(
        duration("10 ms", "1 d"),
        "A living sensor never shows exactly the same value for so long. If it does, the tag is "
        "marked bad: frozen.",
        example="30 s",
        unless="never",
    )
    write: Write | None = option(
        Record(Write),
        "What may be written to it. Without it, the tag is read-only.",
        example="{min: 600, max: 1750, rate: 50 per s}",
        unless="read-only",
    )
    alarms: Table[str, Alarm | None] = option(
        MapOf(NAME, Record(Alarm), "alarm"),
        "Its alarms, by name.",
        example="{high: {above: 8, on_delay: 2 s, priority: 1}}",
        default="{}",
    )
    states: Table[str, str | None] = option(
        MapOf(whole(-(1 << 31), (1 << 32) - 1), TEXT, "state"),
        "What its whole values mean. The birth tells it upstream.",
        example="{0: stopped, 1: running}",
        default="{}",
    )
    class_: str | None = option(
        NAME,
        "Its class: how it is told upstream.",
        example="slow",
        unless="the class default; without that, summaries of the upstream's window",
    )
    counter: Counter | None = option(
        Short(choice("resets", what="kind of counter"), Counter),
        "It only counts up: summaries then tell its increase too, across resets and wraps.",
        example="{wraps: 65536}",
        unless="no counter",
    )
    array: str = ""  # the name of the array it is an element of: see compile.elements


@section
class ModbusTag(_Tag):
    """One value of a Modbus device."""

    noun = "tag of a Modbus device"
    called = "pressure"

    at: ModbusAddress = option(
        MODBUS_AT,
        "Where it lies: 0x coil, 1x discrete input, 3x input register, 4x holding register, "
        "numbered from 1; or coil: discrete: input: holding: with numbers from 0. 4x0001.3 is bit "
        "3 of a register. A number alone, like 40001, needs the device's numbering.",
        example="4x0001",
    )
    type: str | None = option(
        choice(*MODBUS_TYPES, what="type of a Modbus tag"),
        "How the value lies there. A register needs it.",
        example="float32",
        unless="bit, for a coil, a discrete input or a bit of a register",
    )
    order: str | None = option(
        LETTERS,
        "The order of its bytes, A the most significant: AB or BA (16 bit), ABCD, CDAB, BADC, DCBA "
        "(32 bit); ABCDEFGH, GHEFCDAB, BADCFEHG, HGFEDCBA, CDABGHEF or EFGHABCD (64 bit; of the "
        "first four the beginning is enough: ABCD, CDAB, BADC, DCBA).",
        example="CDAB",
        unless="the device's order; for 16 bit AB",
    )
    length: int | None = option(
        whole(1, 125), "How many registers a text fills.", example="8", unless="only for a text"
    )
    elements: int | None = option(
        whole(1, 1000),
        "How many such values lie side by side: NAME_0 is the first, NAME_1 lies behind it. What "
        "else is written here holds for each of them.",
        example="8",
        unless="one value",
    )
    no_value: tuple[Raw, ...] = option(
        ListOf(RAW, 1, 8),
        "What the device holds when it has no value. The tag is then bad: no value.",
        example="[0x8000]",
        unless="whatever it holds is a value",
    )
    raw: tuple[float, ...] = option(
        ListOf(NUMBER, 2, 2),
        "What the device holds where span begins and ends; for a signal, at 4 and at 20 mA.",
        example="[0, 27648]",
        unless="scale and offset hold",
    )
    span: tuple[Quantity, ...] = option(
        ListOf(AMOUNT, 2, 2),
        "The values that belong to raw: another way to write scale and offset.",
        example="[0, 16]",
        unless="scale and offset hold",
    )
    signal: str | None = option(
        choice("4-20 mA", what="kind of signal"),
        "It is a raw current, judged by NAMUR NE 43: good from 3.8 to 20.5 mA; bad: sensor failure "
        "up to 3.6 and from 21 mA on; uncertain between.",
        example="4-20 mA",
        unless="not judged",
    )


@section
class OpcuaWrite(Write):
    """What may ever be written to the tag. Without it the tag is read-only for everybody."""

    noun = "write to an OPC UA device"

    method: NodeAddress | PathAddress | None = option(
        NODE_AT,
        "The method to call with the value, for devices that take setpoints only so. 'at' stays "
        "the node that shows what is set.",
        example='"/Objects/2:Skid/2:SetFlow"',
        unless="the value is written to 'at'",
    )
    object: NodeAddress | PathAddress | None = option(
        NODE_AT,
        "The object on which the method is called.",
        example='"/Objects/2:Skid"',
        unless="for a method by browse path: the node above it",
    )


@section
class OpcuaTag(_Tag):
    """One value of an OPC UA server."""

    noun = "tag of an OPC UA device"
    called = "flow"

    at: NodeAddress | PathAddress = option(
        NODE_AT,
        "The node id, best with the namespace's URI: nsu=…;s=… (text) or ;i=… (number). Or the "
        'browse path: "/Objects/2:Skid/2:Flow", or "nsu=urn:maker:skid;/Objects/Skid/Flow".',
        example='"nsu=urn:maker:meter;s=Flow"',
    )
    element: str | None = option(
        ELEMENT,
        "Which element of an array, from 0; of a matrix 1,2.",
        example="3",
        unless="the node holds one value",
    )
    elements: int | None = option(
        whole(1, 1000),
        "How many elements of an array are tags: NAME_0 is its first, and all come with one read. "
        "What else is written here holds for each of them.",
        example="8",
        unless="the node holds one value",
    )
    deadband: Quantity | Share | None = option(
        DEADBAND,
        "A change smaller than this is not reported by the server. Only with mode: subscribe. The "
        "range is the one written here; without it, the node's own (EURange).",
        example="2 % of range",
        unless="any change is reported",
    )
    write: OpcuaWrite | None = option(
        Record(OpcuaWrite),
        "What may be written to it. Without it, the tag is read-only.",
        example="{min: 600, max: 1750, rate: 50 per s}",
        unless="read-only",
    )
