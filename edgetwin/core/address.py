"""Where a value lies in a device, as a technician writes it and as a driver needs it."""

import re
from dataclasses import dataclass
from enum import StrEnum


class AddressError(ValueError):
    """The text names no address; the message says what is accepted."""


class Table(StrEnum):
    """The four tables of Modbus (application protocol v1.1b3 §4.3), by the digit people write."""

    COIL = "0x"
    DISCRETE = "1x"
    INPUT = "3x"
    HOLDING = "4x"

    @property
    def is_bits(self) -> bool:
        """Whether its items are single bits, not 16-bit registers."""
        return self in (Table.COIL, Table.DISCRETE)

    @property
    def writable(self) -> bool:
        """Whether a master may write it at all."""
        return self in (Table.COIL, Table.HOLDING)


@dataclass(frozen=True, slots=True, order=True)
class ModbusAddress:
    """Where a Modbus value lies.

    ``offset`` is what goes on the wire (from 0); ``bit`` 0 to 15 picks one bit, -1 none.
    """

    table: Table
    offset: int
    bit: int = -1

    def __str__(self) -> str:
        """As a technician writes it: ``4x0001``, ``4x0001.3``."""
        return f"{self.table}{self.offset + 1:04d}" + (f".{self.bit}" if self.bit >= 0 else "")


class Numbering(StrEnum):
    """What a manual calls the first holding register: how a number alone is to be read."""

    REFERENCE_FROM_1 = "40001"
    REFERENCE_FROM_0 = "40000"
    PLAIN_FROM_1 = "1"
    PLAIN_FROM_0 = "0"


@dataclass(frozen=True, slots=True, order=True)
class NumberAlone(ModbusAddress):
    """An address like ``40001``, which names a place only with the device's ``Numbering``.

    What it is as a ModbusAddress is the likeliest reading. ``number`` is as it was written.
    """

    number: str = ""

    def read_by(self, numbering: Numbering) -> ModbusAddress:
        """The place that it names.

        Raises:
            AddressError: this manual can have no such number.
        """
        plain = numbering in (Numbering.PLAIN_FROM_0, Numbering.PLAIN_FROM_1)
        if not plain and not _is_reference(self.number):
            raise AddressError(
                f"'{self.number}' is no number of a manual that begins at {numbering}: there it "
                "has 5 or 6 digits, of which the first is 4, 3, 1 or 0. Or write 4x0001"
            )
        table = Table.HOLDING if plain else Table(self.number[0] + "x")
        offset = int(self.number if plain else self.number[1:]) - int(numbering[-1])
        if offset < 0:
            raise AddressError(
                f"'{self.number}' lies before the first: this manual begins at {numbering}"
            )
        return _inside(self.number, table, offset, self.bit)

    @property
    def likely_numbering(self) -> Numbering:
        """The usual one of the manuals that have such numbers."""
        return Numbering.REFERENCE_FROM_1 if _is_reference(self.number) else Numbering.PLAIN_FROM_1

    @property
    def doubt(self) -> str:
        """The two likely readings, and what to write for each."""
        bit = f".{self.bit}" if self.bit >= 0 else ""
        plain = ModbusAddress(self.table, self.offset, self.bit)
        other = f"{self.table.name.lower()}:{self.offset + 1}{bit}"
        first = self.likely_numbering
        second = str(int(first) - 1)
        return (
            f"'{self.number}{bit}' can be read in two ways. Write {plain} if the first holding "
            f"register is {first} in the manual, {other} if it is {second}"
        )


_REFERENCE = re.compile(r"([0134])x(\d{1,5})(?:\.(\d{1,2}))?")
_NAMED = re.compile(r"(coil|discrete|input|holding):(\d{1,5})(?:\.(\d{1,2}))?")
_NUMBER = re.compile(r"(\d{1,6})(?:\.(\d{1,2}))?")
_SPAN = re.compile(r"(\S+?)\s*(?:-|\bto\b)\s*(\S+)")


def parse_modbus(text: str) -> ModbusAddress:
    """Read ``4x0001`` (from 1, as in most manuals) or ``holding:0`` (from 0, as on the wire).

    A number alone, like ``40001``, becomes a ``NumberAlone``.

    Raises:
        AddressError: none of these, or outside the 65536 items of a table.
    """
    if match := _REFERENCE.fullmatch(text):
        return _inside(text, Table(match[1] + "x"), int(match[2]) - 1, _bit(match[3]))
    if match := _NAMED.fullmatch(text):
        return _inside(text, Table[match[1].upper()], int(match[2]), _bit(match[3]))
    if match := _NUMBER.fullmatch(text):
        number = match[1]
        table = Table(number[0] + "x") if _is_reference(number) else Table.HOLDING
        offset = int(number[1:] if _is_reference(number) else number) - 1
        likely = _inside(text, table, max(offset, 0), _bit(match[2]))
        return NumberAlone(likely.table, likely.offset, likely.bit, number)
    raise AddressError(
        f"{text!r} is no Modbus address. Write 4x0001, 3x0001, 1x0001 or 0x0001, or holding:0"
    )


def parse_span(text: str) -> tuple[ModbusAddress, ModbusAddress]:
    """Read ``4x0100-4x0120``, ``holding:99 to holding:119``, or one address alone.

    Raises:
        AddressError: one of them is none, or they are not in one table and in order.
    """
    match = _SPAN.fullmatch(text)
    first, last = (parse_modbus(part) for part in (match.groups() if match else (text, text)))
    if first.bit >= 0 or last.bit >= 0:
        raise AddressError(f"{text!r}: whole registers are meant here. Leave the bit away")
    if first.table is not last.table or first.offset > last.offset:
        raise AddressError(f"{text!r} is no span. Write it like 4x0100-4x0120, the lower first")
    return first, last


def _is_reference(number: str) -> bool:
    """Whether a number looks like 40001 or 400001: the table's digit, then the place in it."""
    return len(number) in (5, 6) and number[0] in "0134"


def _bit(digits: str | None) -> int:
    return int(digits) if digits else -1


def _inside(text: str, table: Table, offset: int, bit: int) -> ModbusAddress:
    if not 0 <= offset < 1 << 16:
        raise AddressError(
            f"{text!r} lies outside the table: 4x0001 to 4x65536, or holding:0 to holding:65535"
        )
    if bit > 15 or (bit >= 0 and table.is_bits):
        raise AddressError(f"{text!r}: a bit is 0 to 15, and only of a register")
    return ModbusAddress(table, offset, bit)
