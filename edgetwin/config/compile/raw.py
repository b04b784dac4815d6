"""What a Modbus tag is before anything else looks at it: its place, scale and raw values."""

from dataclasses import replace

from edgetwin.config.compile.draft import Draft
from edgetwin.config.kinds import Raw
from edgetwin.config.schema.devices import ModbusDevice
from edgetwin.config.schema.tags import ModbusTag
from edgetwin.core.address import AddressError, ModbusAddress, NumberAlone, Numbering
from edgetwin.core.blocks import Span
from edgetwin.core.encode import pack
from edgetwin.core.tags import CurrentLoop, ValueType

_FLOATS = (ValueType.FLOAT32, ValueType.FLOAT64)
_NO_NUMBER = (ValueType.BIT, ValueType.TEXT)


def settled(tag: ModbusTag, device: ModbusDevice, draft: Draft) -> ModbusTag:
    """The tag with its place read as the device's manual counts, and with scale and offset."""
    tag = replace(tag, at=_place(tag.at, tag, "at", device, draft))
    if span := _forbidding(tag, device, draft):
        text = f"{tag.at} lies in {span}, which is forbidden. Read it from elsewhere, or allow it"
        draft.problems.at(tag.place("at"), text)
    return _scaled(tag, draft)


def forbidden(device: ModbusDevice, draft: Draft) -> tuple[Span, ...]:
    """The spans that no request may touch."""
    spans = []
    for one, other in device.forbidden:
        first, last = (_place(each, device, "forbidden", device, draft) for each in (one, other))
        spans.append(Span(first.table, first.offset, last.offset))
    return tuple(spans)


def _place(
    at: ModbusAddress,
    section: ModbusTag | ModbusDevice,
    key: str,
    device: ModbusDevice,
    draft: Draft,
) -> ModbusAddress:
    if not isinstance(at, NumberAlone):
        return at
    likely = ModbusAddress(at.table, at.offset, at.bit)
    if device.numbering is None:
        text = f"{at.doubt}. Or say it once for the device, numbering: {at.likely_numbering}"
        draft.problems.at(section.place(key), text)
        return likely
    try:
        return at.read_by(Numbering(device.numbering))
    except AddressError as error:
        draft.problems.at(section.place(key), str(error))
        return likely


def _forbidding(tag: ModbusTag, device: ModbusDevice, draft: Draft) -> Span | None:
    count = tag.length or (ValueType(tag.type).registers if tag.type else 1)
    spans = forbidden(device, draft) if device.forbidden else ()
    return next((s for s in spans if s.meets(tag.at.table, tag.at.offset, count)), None)


# ---------------------------------------------------------------- scale


def _scaled(tag: ModbusTag, draft: Draft) -> ModbusTag:
    """``raw`` and ``span`` say by two points what scale and offset say by two numbers."""
    if tag.signal and not tag.raw:
        text = "what does the device hold at 4 and at 20 mA? Write it, like raw: [0, 27648]"
        draft.problems.at(tag.place("signal"), text)
    if tag.raw and tag.raw[0] == tag.raw[1]:
        draft.problems.at(tag.place("raw"), "begin and end are the same. Correct one of them")
        return tag
    if tag.raw and not (tag.span or tag.signal):
        text = "raw alone says nothing. Write span as well: the values that belong to them"
        draft.problems.at(tag.place("raw"), text)
    if not tag.span:
        return tag
    if not tag.raw:
        text = "span needs raw: what the device holds where the span begins and ends"
        draft.problems.at(tag.place("span"), text)
        return tag
    return _by_two_points(tag, draft)


def _by_two_points(tag: ModbusTag, draft: Draft) -> ModbusTag:
    for key in ("scale", "offset"):
        if key in tag.node.entries:
            draft.problems.at(tag.place(key), f"raw and span say this already. Remove '{key}'")
    low, high = (draft.amount(each, tag.unit or "", tag.place("span")) for each in tag.span)
    if low == high:
        draft.problems.at(tag.place("span"), "begin and end are the same. Correct one of them")
        return tag
    scale = (high - low) / (tag.raw[1] - tag.raw[0])
    return replace(tag, scale=scale, offset=low - scale * tag.raw[0])


# ---------------------------------------------------------------- raw values that are none


def current(tag: ModbusTag) -> CurrentLoop | None:
    """The signal to be judged by NAMUR NE 43, if it is one."""
    return CurrentLoop(*tag.raw) if tag.signal and len(tag.raw) == 2 else None


def no_value(tag: ModbusTag, kind: ValueType, draft: Draft) -> tuple[int, ...]:
    """The bit patterns that stand for no value, most significant byte first."""
    if tag.no_value and kind in _NO_NUMBER:
        text = f"a {kind} has no value to spare for that. Remove 'no_value'"
        draft.problems.at(tag.place("no_value"), text)
        return ()
    found = (_pattern(raw, kind, tag, draft) for raw in tag.no_value)
    return tuple(each for each in found if each is not None)


def _pattern(raw: Raw, kind: ValueType, tag: ModbusTag, draft: Draft) -> int | None:
    width = 16 * kind.registers
    if raw.bits is not None:
        if raw.bits >> width == 0:
            return raw.bits
        text = f"{raw.text} has more than the {width} bits of the {kind}"
        draft.problems.at(tag.place("no_value"), f"{text}. Write {width // 4} digits at most")
        return None
    number = raw.number
    if kind not in _FLOATS and number == int(number):
        number = int(number)
    try:
        return int.from_bytes(pack(kind, number), "big")
    except OverflowError:
        text = f"the {kind} never holds {raw.text}. Write what stands in the device"
        draft.problems.at(tag.place("no_value"), f"{text}, before scale and offset")
        return None
