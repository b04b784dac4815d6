"""Arrays of OPC UA: one tag with ``elements: 8`` becomes NAME_0 to NAME_7, read with one read."""

from collections.abc import Iterator
from dataclasses import replace

from edgetwin.config.kinds import NAME, Wrong
from edgetwin.config.problem import Problems
from edgetwin.config.schema.devices import OpcuaDevice
from edgetwin.config.schema.gateway import Gateway
from edgetwin.config.schema.tags import OpcuaTag

Named = tuple[str, OpcuaTag | None]


def with_elements(gateway: Gateway, problems: Problems) -> Gateway:
    """The same, with a tag for each element of an array."""
    devices = {
        name: _spread(device, problems) if isinstance(device, OpcuaDevice) else device
        for name, device in gateway.devices.items()
    }
    return replace(gateway, devices=devices)


def _spread(device: OpcuaDevice, problems: Problems) -> OpcuaDevice:
    if not any(tag and tag.elements for tag in device.tags.values()):
        return device
    tags: dict[str, OpcuaTag | None] = {}
    for name, tag in device.tags.items():
        for each, one in _elements(name, tag, problems) if tag and tag.elements else [(name, tag)]:
            if each in tags or (each != name and each in device.tags):
                text = f"there is a tag {each} already. Call the array or the tag something else"
                problems.at(device.place_in("tags", name), text)
            tags[each] = one
    return replace(device, tags=tags)


def _elements(name: str, tag: OpcuaTag, problems: Problems) -> Iterator[Named]:
    place = tag.place("elements")
    if tag.element:
        problems.at(place, "element is one of an array, elements are the first of it. Write one")
    if tag.write and tag.write.method:
        problems.at(place, "a method takes no element. Write a tag with element: for it")
    for number in range(tag.elements or 0):
        each = f"{name}_{number}"
        try:
            NAME.read(each)
        except Wrong as error:
            problems.at(place, f"{error}")
            return
        at = replace(tag.at, element=str(number), of_array=True)
        yield each, replace(tag, at=at, element=None, elements=None)
