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


_REFERENCE = re.compile(r"([0134])x(\d{1,5})(?:\.(\d{1,2}))?")
_NAMED = re.compile(r"(coil|discrete|input|holding):(\d{1,5})(?:\.(\d{1,2}))?")
_NUMBER = re.compile(r"\d{1,6}")


def parse_modbus(text: str) -> ModbusAddress:
    """Read ``4x0001`` (from 1, as in most manuals) or ``holding:0`` (from 0, as on the wire).

    Raises:
        AddressError: neither form, or outside the 65536 items of a table.
    """
    if match := _REFERENCE.fullmatch(text):
        table, offset = Table(match[1] + "x"), int(match[2]) - 1
    elif match := _NAMED.fullmatch(text):
        table, offset = Table[match[1].upper()], int(match[2])
    elif _NUMBER.fullmatch(text):
        raise AddressError(
            f"{text!r} can be read in two ways. "
            f"Say which: 4x{text[-4:]:0>4} (holding register, numbered from 1), "
            f"or holding:{int(text)} (numbered from 0)"
        )
    else:
        raise AddressError(
            f"{text!r} is no Modbus address. Write 4x0001, 3x0001, 1x0001 or 0x0001, or holding:0"
        )
    bit = int(match[3]) if match[3] else -1
    if not 0 <= offset < 1 << 16:
        raise AddressError(
            f"{text!r} lies outside the table: 4x0001 to 4x65536, or holding:0 to holding:65535"
        )
    if bit > 15 or (bit >= 0 and table.is_bits):
        raise AddressError(f"{text!r}: a bit is 0 to 15, and only of a register")
    return ModbusAddress(table, offset, bit)


@dataclass(frozen=True, slots=True, order=True)
class NodeAddress:
    """An OPC UA node (OPC 10000-6 §5.3.1.10).

    ``uri`` is resolved anew on each session; without one, ``namespace``.

    ``kind`` is ``i`` (numeric), ``s`` (string), ``g`` (GUID) or ``b`` (opaque, base64).
    """

    kind: str
    identifier: str
    uri: str = ""
    namespace: int = 0

    def __str__(self) -> str:
        """The standard text form."""
        where = (
            f"nsu={self.uri};" if self.uri else f"ns={self.namespace};" if self.namespace else ""
        )
        return f"{where}{self.kind}={self.identifier}"


_NODE = re.compile(r"(?:nsu=([^;]+);|ns=(\d{1,5});)?([isgb])=(.+)", re.DOTALL)


def parse_node(text: str) -> NodeAddress:
    """Read ``nsu=urn:maker:meter;s=Flow``, ``ns=2;i=5`` or ``i=2258``.

    Raises:
        AddressError: the text is no node id.
    """
    match = _NODE.fullmatch(text)
    if not match:
        raise AddressError(
            f"{text!r} is no OPC UA node id. Write nsu=urn:maker:meter;s=Flow, or ns=2;i=5"
        )
    uri, namespace, kind, identifier = match.groups()
    if kind == "i" and not (identifier.isdecimal() and int(identifier) < 1 << 32):
        raise AddressError(f"{text!r}: after i= comes a whole number from 0 to 4294967295")
    return NodeAddress(kind, identifier, uri or "", int(namespace or 0))
