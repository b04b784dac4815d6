"""``edgetwin scan`` and ``edgetwin probe``: look at a Modbus device that is not configured yet."""

import argparse
import asyncio
from collections.abc import Callable, Iterator, Sequence

from edgetwin.cli.probe_screen import bits_screen, registers_screen
from edgetwin.config.kinds import Wrong, duration
from edgetwin.config.places import MODBUS_PLACE, ModbusPlace
from edgetwin.core.address import (
    AddressError,
    ModbusAddress,
    NumberAlone,
    Table,
    parse_modbus,
    parse_span,
)
from edgetwin.core.errors import EdgetwinError
from edgetwin.core.plan import SECOND, ModbusSettings, SerialForm
from edgetwin.core.units import UnitError
from edgetwin.devices.modbus.ask import Failure
from edgetwin.devices.modbus.inquiry import (
    TABLES,
    Inquiry,
    UnitFinding,
    look_at,
    present_units,
)

MOST_LOOKED_AT = 20
"""Units whose tables are tried, of those that answer."""

_WIDTHS = (4, 2, 1)  # registers that a probe of one place asks for, if the device has them
_BITS = 16
_MOST_REGISTERS, _MOST_BITS = 125, 2000
_LAST_UNIT = 255
_NAMES = {
    Table.HOLDING: "holding registers",
    Table.INPUT: "input registers",
    Table.DISCRETE: "discrete inputs",
    Table.COIL: "coils",
}
_FEW = 2


# ---------------------------------------------------------------- scan


def scan(options: argparse.Namespace) -> int:
    """Print a line for each unit that answers: 0 some do, 1 none does."""
    units = _units(options.units)
    settings = _settings(options)
    places = [_where(each)[0] for each in options.at.split(",") if each]
    inquiry = Inquiry(settings, _seconds(options.pause))
    found = asyncio.run(_scan(inquiry, units, places, deep=options.deep))
    for line in _conclusion(options.address, found):
        _say(line)
    return 0 if found else 1


async def _scan(
    inquiry: Inquiry, units: Sequence[int], places: Sequence[ModbusAddress], *, deep: bool
) -> list[UnitFinding]:
    timeout_ms = round(inquiry.timeout_s * 1000)
    _say(f"{inquiry.place}: {_span(units)}, reading only, {timeout_ms} ms for each answer")
    async with inquiry:
        tables = TABLES if deep else TABLES[:1]
        found = [unit async for unit in present_units(inquiry, units, tables)]
        findings = []
        for unit in found[:MOST_LOOKED_AT]:
            findings.append(await look_at(inquiry, unit, places))
            _say(_unit_line(findings[-1]))
    if len(found) > MOST_LOOKED_AT:
        _say(f"These answer as well: {', '.join(map(str, found[MOST_LOOKED_AT:]))}")
    _say(f"{inquiry.requests} requests, nothing was written. {_count(found, units)}")
    return findings


def _count(found: Sequence[int], units: Sequence[int]) -> str:
    if len(found) == len(units) > _FEW:
        return "Every unit id is answered: most likely it is one device that ignores it."
    return f"{len(found)} of {len(units)} units answer."


def _conclusion(address: str, found: list[UnitFinding]) -> Iterator[str]:
    if not found:
        yield "No unit answers. Check the unit id on the device, its power and its cable."
        yield "To give each longer: --timeout '1 s'. To ask each by every function: --deep"
    for finding in found:
        if finding.begins:
            table, start = next(iter(finding.begins.items()))
            yield "To see what one holds:"
            at = ModbusAddress(table, start)
            yield f"  edgetwin probe {address} {at} --unit {finding.unit}"
            return


def _unit_line(finding: UnitFinding) -> str:
    has = [
        f"{_NAMES[table]} (from {ModbusAddress(table, start)})"
        for table, start in finding.begins.items()
    ]
    lacks = [_NAMES[table] for table in finding.unknown]
    unclear = [n for t, n in _NAMES.items() if t not in finding.begins and t not in finding.unknown]
    parts = [", ".join(has)] if has else ["answers, but has nothing where it was looked for"]
    if lacks:
        parts.append(f"no {', '.join(lacks)}")
    if unclear and has:
        parts.append(f"nothing found: {', '.join(unclear)}")
    if not has and finding.words:
        parts.append(finding.words)
    if finding.identity.words:
        parts.append(f"it says it is: {finding.identity.words}")
    return f"unit {finding.unit:<4} {'; '.join(parts)}"


# ---------------------------------------------------------------- probe


def probe(options: argparse.Namespace) -> int:
    """Print what some registers could mean."""
    first, last = _where(options.where)
    unit = _units(options.unit)[0]
    settings = _settings(options)
    looks = max(options.looks, 1)
    print(asyncio.run(_probe(settings, unit, (first, last), (looks, _seconds(options.pause)))))
    return 0


async def _probe(
    settings: ModbusSettings,
    unit: int,
    ends: tuple[ModbusAddress, ModbusAddress],
    rhythm: tuple[int, float],
) -> str:
    first, last = ends
    looks, pause_s = rhythm
    async with Inquiry(settings, pause_s) as inquiry:
        count, data = await _first_look(inquiry, unit, first, last)
        seen = [data]
        seen += [await _look(inquiry, unit, first, count) for _ in range(looks - 1)]
    head = f"{settings.place} unit {unit}, {_NAMES[first.table]}"
    if first.table.is_bits:
        return bits_screen(head, first, count, seen)
    return registers_screen(head, first, seen)


async def _first_look(
    inquiry: Inquiry, unit: int, first: ModbusAddress, last: ModbusAddress
) -> tuple[int, bytes]:
    """How many items there are to look at, and the first look at them."""
    if first.offset != last.offset or first.table.is_bits:
        count = last.offset - first.offset + 1 if first.offset != last.offset else _BITS
        return count, await _look(inquiry, unit, first, count)
    answer: bytes | Failure = b""
    for count in _WIDTHS:
        if first.offset + count <= 1 << 16:
            answer = await inquiry.read(unit, first, count)
            if isinstance(answer, bytes):
                return count, answer
            if not answer.is_illegal:
                break
    return 1, _held(answer, inquiry, unit, first)


async def _look(inquiry: Inquiry, unit: int, first: ModbusAddress, count: int) -> bytes:
    return _held(await inquiry.read(unit, first, count), inquiry, unit, first)


def _held(answer: bytes | Failure, inquiry: Inquiry, unit: int, first: ModbusAddress) -> bytes:
    if isinstance(answer, bytes):
        return answer
    where = f"{inquiry.place} unit {unit}, {first}"
    raise EdgetwinError(f"{where}: {answer.words}. Which units and tables there are: edgetwin scan")


def _where(text: str) -> tuple[ModbusAddress, ModbusAddress]:
    try:
        first, last = parse_span(text) if "." not in text else (parse_modbus(text),) * 2
    except AddressError as error:
        raise EdgetwinError(str(error)) from error
    for each in (first, last):
        if isinstance(each, NumberAlone):
            raise EdgetwinError(each.doubt)
    most = _MOST_BITS if first.table.is_bits else _MOST_REGISTERS
    if last.offset - first.offset >= most:
        raise EdgetwinError(f"'{text}' is more than one request can hold: {most} at most")
    return first, last


# ---------------------------------------------------------------- words on the command line


def _settings(options: argparse.Namespace) -> ModbusSettings:
    place = _read(MODBUS_PLACE.read, options.address)
    if not isinstance(place, ModbusPlace):
        raise TypeError(f"{options.address}: {place}")
    return ModbusSettings(
        host=place.host,
        port=place.port,
        transport=place.transport,
        timeout=round(_seconds(options.timeout) * SECOND),
        serial=SerialForm(options.baud, options.parity),
    )


def _seconds(text: str) -> float:
    found = _read(duration("0 s", "1 min").read, text)
    return float(str(found)) / SECOND


def _read(read: Callable[[str], object], text: str) -> object:
    try:
        return read(text)
    except (Wrong, UnitError) as error:
        raise EdgetwinError(str(error)) from error


def _units(text: str) -> Sequence[int]:
    """``1-247``, or one number."""
    first, _, last = text.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal()):
        raise EdgetwinError(f"'{text}' names no units. Write 7, or 1-247")
    units = range(int(first), int(last or first) + 1)
    if not units or units[-1] > _LAST_UNIT:
        raise EdgetwinError(f"'{text}' names no units. They go from 0 to {_LAST_UNIT}")
    return units


def _span(units: Sequence[int]) -> str:
    return f"units {units[0]} to {units[-1]}" if len(units) > 1 else f"unit {units[0]}"


def _say(line: str) -> None:
    print(line, flush=True)
