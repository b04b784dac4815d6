"""What may be written to a tag: the technician's limits, checked against what its type can hold."""

import math

from edgetwin.config.compile.draft import Draft
from edgetwin.config.compile.texts import text_limits
from edgetwin.config.option import options
from edgetwin.config.schema.tags import ModbusTag, OpcuaTag, Write
from edgetwin.core.tags import ValueType, WriteLimits
from edgetwin.core.units import Quantity, format_number

FLOAT32_ROUNDING = 2.0**-23
FLOAT64_ROUNDING = 2.0**-52

_HOLDS = {
    ValueType.BIT: (0, 1),
    ValueType.INT16: (-(2**15), 2**15 - 1),
    ValueType.UINT16: (0, 2**16 - 1),
    ValueType.INT32: (-(2**31), 2**31 - 1),
    ValueType.UINT32: (0, 2**32 - 1),
    ValueType.INT64: (-(2**63), 2**63 - 1),
    ValueType.UINT64: (0, 2**64 - 1),
    ValueType.BCD16: (0, 9999),
    ValueType.BCD32: (0, 99_999_999),
    ValueType.FLOAT32: (-3.4e38, 3.4e38),
}
"""What fits into each type, before scale and offset."""


def limits(
    name: str, tag: ModbusTag | OpcuaTag, kind: ValueType, draft: Draft
) -> WriteLimits | None:
    """The limits of a tag, None where it is read-only; ``name`` is that in the file."""
    write = tag.write
    if write is None:
        return None
    _refuse_unwritable(tag, draft)
    if write.texts:
        return text_limits(tag, write, kind, draft)
    if kind is ValueType.TEXT:
        text = "a text has no min and max. List what may be written: write: {texts: [AUTO, …]}"
        draft.problems.at(tag.node.keys["write"], text)
        return None
    least, most = _ends(name, write, draft)
    unit = tag.unit or ""

    def step(key: str, given: Quantity | None, without: float) -> float:
        return without if given is None else draft.amount(given, unit, write.place(key))

    low, high = step("min", least, 0), step("max", most, 0)
    if low > high:
        text = f"min {format_number(low)} is above max {format_number(high)}. Exchange them"
        draft.problems.at(write.place("min"), text)
    _check_fit(tag, write, kind, draft)
    return WriteLimits(
        low=low,
        high=high,
        rate=step("rate", write.rate, math.inf),
        deadband=step("deadband", write.deadband, 0.0),
        tolerance=step("tolerance", write.tolerance, resolution(tag, kind, low, high)),
        read_back=write.read_back,
    )


def _ends(name: str, write: Write, draft: Draft) -> tuple[Quantity, Quantity]:
    """Both ends; one that is missing is told, and stands where the other does meanwhile."""
    for key, given in (("min", write.min), ("max", write.max)):
        if given is None:
            example = f"{key}: {options(Write)[key].example}"
            text = f"'write' of tag '{name}' needs '{key}', for example {example}"
            draft.problems.at(write.node.place, text)
    least, most = write.min or write.max, write.max or write.min
    return least or Quantity(0.0, ""), most or Quantity(0.0, "")


def _refuse_unwritable(tag: ModbusTag | OpcuaTag, draft: Draft) -> None:
    """Modbus application protocol v1.1b3 §4.3: two of the four tables are read-only."""
    place = tag.node.keys["write"]
    if not isinstance(tag, ModbusTag):
        return
    if not tag.at.table.writable:
        other = "0x, a coil" if tag.at.table.is_bits else "4x, a holding register"
        text = f"{tag.at} can only be read. What can be written is at {other}"
        draft.problems.at(place, text)


def _check_fit(tag: ModbusTag | OpcuaTag, write: Write, kind: ValueType, draft: Draft) -> None:
    if kind not in _HOLDS:
        return
    ends = sorted(raw * tag.scale + tag.offset for raw in _HOLDS[kind])
    for key, each in (("min", write.min), ("max", write.max)):
        if each is not None and not ends[0] <= each.value <= ends[1]:
            low, high = (format_number(round(end, 9)) for end in ends)
            text = f"{format_number(each.value)} does not fit: the {kind} holds {low} to {high}"
            draft.problems.at(write.place(key), text)


def resolution(tag: ModbusTag | OpcuaTag, kind: ValueType, low: float, high: float) -> float:
    """How far a value may come back from where it was sent, only by the type's rounding."""
    scale = abs(tag.scale)
    largest = max(abs(low - tag.offset), abs(high - tag.offset))
    if kind is ValueType.AUTO:
        return 1e-9 + largest * FLOAT32_ROUNDING
    if kind is ValueType.FLOAT32:
        return largest * FLOAT32_ROUNDING
    if kind is ValueType.FLOAT64:
        return largest * FLOAT64_ROUNDING
    return 0.5 * scale
