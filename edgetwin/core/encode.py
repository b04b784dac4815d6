"""Engineering values to the bytes that make a Modbus device hold them: the decoder backwards.

It refuses what does not fit, and never wraps. What the bytes are depends on where the tag lies::

    registers           the type's bytes in the device's order; of a text all      §6.6, §6.12
    a coil              FF00 on, 0000 off                                           §6.5
    a bit of a register two masks: which bits stay as they are, which become 1      §6.16
"""

import math
import struct

from edgetwin.core.address import ModbusAddress
from edgetwin.core.errors import ConfigError
from edgetwin.core.tags import Tag, ValueType

_PACK = {
    ValueType.INT64: ">q",
    ValueType.UINT64: ">Q",
    ValueType.FLOAT64: ">d",
    ValueType.INT32: ">i",
    ValueType.UINT32: ">I",
    ValueType.FLOAT32: ">f",
    ValueType.BCD32: ">I",
    ValueType.INT16: ">h",
    ValueType.UINT16: ">H",
    ValueType.BCD16: ">H",
}
_FLOATS = (ValueType.FLOAT32, ValueType.FLOAT64)
_BCD = (ValueType.BCD16, ValueType.BCD32)
_LETTERS = "ABCDEFGH"
_NOISE = 1e-9  # what arithmetic in float64 may add, relative; a register's step is far above


class DoesNotFit(ValueError):
    """The device's type cannot hold the value; the message says why."""


def encode(tag: Tag, value: float) -> bytes:
    """The bytes of a write, see above.

    Raises:
        DoesNotFit: no number, outside the type, further than ``slack`` from its nearest step, or
            what the device shows when it has no value.
    """
    if not math.isfinite(value):
        raise DoesNotFit(f"{value} is no number that a device can hold")
    if tag.type is ValueType.TEXT:
        return _text(tag, value)
    raw = (value - tag.offset) / tag.scale
    if tag.type is ValueType.BIT:
        return _bit(tag, raw, value)
    if tag.type not in _PACK:
        raise DoesNotFit(f"a {tag.type} cannot be written as a number")
    number = raw if tag.type in _FLOATS else _nearest(tag, raw, value)
    try:
        plain = pack(tag.type, number)
    except OverflowError:
        raise DoesNotFit(f"{value:g} lies outside what a {tag.type} can hold") from None
    if int.from_bytes(plain, "big") in tag.no_value:
        raise DoesNotFit(f"{value:g} is what the device shows when it has no value")
    return bytes(plain[_LETTERS.index(letter)] for letter in tag.order) if tag.order else plain


def pack(kind: ValueType, number: float) -> bytes:
    """A raw number as its type's bytes, most significant first.

    Raises:
        OverflowError: the type cannot hold it.
    """
    if kind in _BCD:
        if not 0 <= number < 10 ** (kind.registers * 4) or number != int(number):
            raise OverflowError(f"{number} are no digits of a {kind}")
        number = int(str(int(number)), 16)
    try:
        return struct.pack(_PACK[kind], number)
    except struct.error as error:
        raise OverflowError(f"{number} is outside a {kind}") from error


def slack(tag: Tag, value: float) -> float:
    """How far a read-back may be from what was written, in engineering units.

    The tag's tolerance; where it has none, half a step of the device's type at this value.
    """
    noise = _NOISE * max(abs(value), abs(tag.offset))
    if tag.write is not None and tag.write.tolerance > 0:
        return tag.write.tolerance + noise
    raw = abs((value - tag.offset) / tag.scale)
    if tag.type is ValueType.FLOAT32:
        return max(raw * 2.0**-24, 2.0**-150) * abs(tag.scale) + noise
    if tag.type is ValueType.FLOAT64:
        return noise
    return 0.5 * abs(tag.scale) + noise


def _text(tag: Tag, value: float) -> bytes:
    """A text that may be written, as UTF-8, filled up with NUL."""
    text = tag.write.text_of(value) if tag.write is not None else ""
    raw = text.encode()
    if not text or len(raw) > 2 * tag.length:
        raise DoesNotFit(f"{text!r} is no text that {tag.length} registers can hold")
    raw = raw.ljust(2 * tag.length, b"\0")
    if tag.order == "BA":
        return bytes(byte for pair in zip(raw[1::2], raw[::2], strict=True) for byte in pair)
    return raw


def _nearest(tag: Tag, raw: float, value: float) -> int:
    number = round(raw)
    held = number * tag.scale + tag.offset
    if held != value and abs(held - value) > slack(tag, value):
        raise DoesNotFit(
            f"{value:g} lies between two steps of the device: the nearest it can hold is {held:g}"
        )
    return number


def _bit(tag: Tag, raw: float, value: float) -> bytes:
    if abs(raw) > _NOISE and abs(raw - 1) > _NOISE:
        raise DoesNotFit(f"{value:g} is neither on (1) nor off (0)")
    on = abs(raw) > _NOISE
    if not isinstance(tag.address, ModbusAddress):
        raise ConfigError(f"{tag.place or tag.name}: {tag.name} has no Modbus address")
    if tag.address.table.is_bits:
        return b"\xff\x00" if on else b"\x00\x00"
    bit = 1 << tag.address.bit
    if tag.order == "BA":
        bit = 1 << (tag.address.bit ^ 8)
    return struct.pack(">HH", 0xFFFF ^ bit, bit if on else 0)
