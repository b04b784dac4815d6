"""What may be written to a tag: the technician's limits, checked against what its type can hold."""

import math

from edgetwin.config.compile.draft import Draft
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


def limits(tag: ModbusTag | OpcuaTag, kind: ValueType, draft: Draft) -> WriteLimits | None:
    """The limits of a tag, None where it is read-only."""
    write = tag.write
    if write is None:
        return None
    _refuse_unwritable(tag, kind, draft)
    unit = tag.unit or ""

    def step(key: str, given: Quantity | None, without: float) -> float:
        return without if given is None else draft.amount(given, unit, write.place(key))

    low, high = step("min", write.min, 0), step("max", write.max, 0)
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


def _refuse_unwritable(tag: ModbusTag | OpcuaTag, kind: ValueType, draft: Draft) -> None:
    """Modbus application protocol v1.1b3 §4.3: two of the four tables are read-only."""
    place = tag.node.keys["write"]
    if kind is ValueType.TEXT:
        draft.problems.at(place, "a text cannot be written. Remove 'write'")
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
        if not ends[0] <= each.value <= ends[1]:
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
