"""Arrays: one tag with ``elements: 8`` becomes NAME_0 to NAME_7, which lie side by side."""

from collections.abc import Callable, Iterator
from collections.abc import Mapping as Table
from dataclasses import replace
from functools import partial
from typing import TypeVar

from edgetwin.config.kinds import NAME, Wrong
from edgetwin.config.problem import Problems
from edgetwin.config.schema.devices import ModbusDevice, OpcuaDevice
from edgetwin.config.schema.gateway import Gateway
from edgetwin.config.schema.tags import ModbusTag, OpcuaTag
from edgetwin.core.address import ModbusAddress, NumberAlone
from edgetwin.core.tags import ValueType

T = TypeVar("T", ModbusTag, OpcuaTag)


def with_elements(gateway: Gateway, problems: Problems) -> Gateway:
    """The same, with a tag for each element of an array."""
    devices: dict[str, ModbusDevice | OpcuaDevice | None] = {}
    for name, device in gateway.devices.items():
        if isinstance(device, OpcuaDevice):
            _check_nodes(device, problems)
            devices[name] = replace(device, tags=_spread(device, device.tags, _node, problems))
        elif isinstance(device, ModbusDevice):
            _check_registers(device, problems)
            spread = _spread(device, device.tags, partial(_register, device), problems)
            devices[name] = replace(device, tags=spread)
        else:
            devices[name] = device
    return replace(gateway, devices=devices)


def _spread(
    device: ModbusDevice | OpcuaDevice,
    tags: Table[str, T | None],
    element: Callable[[T, int], T],
    problems: Problems,
) -> dict[str, T | None]:
    spread: dict[str, T | None] = {}
    for name, tag in tags.items():
        if tag is None or not tag.elements:
            spread[name] = tag
            continue
        for each, one in _elements(name, tag, element, problems):
            if each in spread or (each != name and each in tags):
                text = f"there is a tag {each} already. Call the array or the tag something else"
                problems.at(device.place_in("tags", name), text)
            spread[each] = one
    return spread


def _elements(
    name: str, tag: T, element: Callable[[T, int], T], problems: Problems
) -> Iterator[tuple[str, T]]:
    for number in range(tag.elements or 0):
        each = f"{name}_{number}"
        try:
            NAME.read(each)
        except Wrong as error:
            problems.at(tag.place("elements"), f"{error}")
            return
        yield each, replace(element(tag, number), elements=None, array=name)


def _check_nodes(device: OpcuaDevice, problems: Problems) -> None:
    for tag in device.tags.values():
        if tag is None or not tag.elements:
            continue
        place = tag.place("elements")
        if tag.element:
            text = "element is one of an array, elements are the first of it. Write one"
            problems.at(place, text)
        if tag.write and tag.write.method:
            text = "a method takes no element. Write a tag with element: for it"
            problems.at(place, text)


def _node(tag: OpcuaTag, number: int) -> OpcuaTag:
    return replace(tag, at=replace(tag.at, element=str(number), of_array=True), element=None)


def _check_registers(device: ModbusDevice, problems: Problems) -> None:
    for tag in device.tags.values():
        if tag is not None and tag.elements and tag.at.bit >= 0:
            text = "elements are whole registers or coils. Write a tag for each bit of a register"
            problems.at(tag.place("elements"), text)


def _register(device: ModbusDevice, tag: ModbusTag, number: int) -> ModbusTag:
    """Each element begins where the one before it ends."""
    width = 1
    if not tag.at.table.is_bits:
        width = tag.length or (ValueType(tag.type).registers if tag.type else 0) or 1
    at = replace(tag.at, offset=tag.at.offset + number * width)
    if isinstance(at, NumberAlone):
        digits = str(int(at.number) + number * width).zfill(len(at.number))
        at = replace(at, number=digits)
        if number and device.numbering is None:  # the first tells of the doubt, once
            at = ModbusAddress(at.table, at.offset)
    return replace(tag, at=at)
