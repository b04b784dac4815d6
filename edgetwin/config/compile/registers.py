"""How a tag lies in the registers of a Modbus device: type, byte order, length."""

from typing import NamedTuple

from edgetwin.config.compile.draft import Draft
from edgetwin.config.schema.devices import ModbusDevice
from edgetwin.config.schema.tags import ModbusTag
from edgetwin.core.tags import ValueType

LETTERS = "ABCDEFGH"
_ORDERS_64 = "ABCDEFGH, GHEFCDAB, BADCFEHG, HGFEDCBA, CDABGHEF or EFGHABCD"
WIDER = {"ABCD": "ABCDEFGH", "CDAB": "GHEFCDAB", "BADC": "BADCFEHG", "DCBA": "HGFEDCBA"}
"""A device's order for 32 bit → the same habit for 64 bit."""


class Layout(NamedTuple):
    """As core.tags.Tag carries it. ``order`` is "" for the most significant byte first."""

    type: ValueType
    order: str = ""
    length: int = 0

    @property
    def registers(self) -> int:
        """How many registers it fills."""
        return self.length or self.type.registers


def layout(tag: ModbusTag, device: ModbusDevice, draft: Draft) -> Layout:
    """The layout of a tag; what is wrong with it goes to ``draft.problems``."""
    kind = _type(tag, draft)
    length = _length(tag, kind, draft)
    found = Layout(kind, _order(tag, kind, device.order, draft), length)
    if tag.at.table.is_bits:
        return found
    if tag.at.offset + found.registers > 1 << 16:
        text = f"{tag.at} with {found.registers} registers reaches over the end of the table"
        draft.problems.at(tag.place("at"), f"{text}. The last register is {tag.at.table}65536")
    if found.registers > device.max_registers:
        text = (
            f"it fills {found.registers} registers, but max_registers of the device is "
            f"{device.max_registers}. Raise that, if the device can: in parts, read one after the "
            "other, it could be a value that never was"
        )
        draft.problems.at(tag.place("type"), text)
    return found


def _type(tag: ModbusTag, draft: Draft) -> ValueType:
    """A coil or one bit of a register is a bit; a whole register has to say what it is."""
    is_bit = tag.at.table.is_bits or tag.at.bit >= 0
    if is_bit and tag.type not in {None, "bit"}:
        text = f"{tag.at} is a single bit, no {tag.type}. Remove the type, or correct the address"
        draft.problems.at(tag.place("type"), text)
    elif not is_bit and tag.type is None:
        text = "a register needs 'type', for example type: uint16 (or int16, float32, …)"
        draft.problems.at(tag.place("at"), text)
    elif not is_bit and tag.type == "bit":
        text = f"which bit of the register? Write at: {tag.at}.0, or .1 up to .15"
        draft.problems.at(tag.place("at"), text)
    return ValueType.BIT if is_bit else ValueType(tag.type or "uint16")


def _length(tag: ModbusTag, kind: ValueType, draft: Draft) -> int:
    if kind is ValueType.TEXT and tag.length is None:
        text = "a text needs 'length', the registers it fills, for example length: 8"
        draft.problems.at(tag.place("type"), text)
        return 1
    if kind is not ValueType.TEXT and tag.length is not None:
        text = f"only a text needs a length, not {kind}. Remove 'length'"
        draft.problems.at(tag.place("length"), text)
        return 0
    return tag.length or 0


def _order(tag: ModbusTag, kind: ValueType, usual: str, draft: Draft) -> str:
    letters = LETTERS[: 2 * (1 if kind is ValueType.TEXT else kind.registers)]
    if tag.order is None:
        order = usual if kind.registers > 1 else letters
    elif kind is ValueType.BIT:
        draft.problems.at(tag.place("order"), "a bit has no order. Remove 'order'")
        order = letters
    else:
        order = tag.order.upper()
    if len(letters) == 8:
        order = WIDER.get(order, order)
    if sorted(order) != list(letters):
        usual_orders = {2: "AB or BA", 4: "ABCD, CDAB, BADC or DCBA", 8: _ORDERS_64}
        text = f"'{tag.order}' is no order for {kind}. Write {usual_orders[len(letters)]}"
        draft.problems.at(tag.place("order"), text)
    return "" if order == letters else order
