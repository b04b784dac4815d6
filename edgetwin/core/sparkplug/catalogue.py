"""Which tag is which metric: its owner, its name there, its alias and its type.

Configured devices are Sparkplug devices. An asset is one too: it has its derived tags and its
detector's, and never dies. What belongs to neither (the loops' own tags) is the node's.

A metric's alias is its place among the tags, from 1. The node's own facts follow after them.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from edgetwin.core.sparkplug.metric import DataType, Grade, Property
from edgetwin.core.tags import Tag, TagTable, ValueType

_TYPES = {
    ValueType.BIT: DataType.BOOLEAN,
    ValueType.INT16: DataType.INT16,
    ValueType.UINT16: DataType.UINT16,
    ValueType.INT32: DataType.INT32,
    ValueType.UINT32: DataType.UINT32,
    ValueType.INT64: DataType.INT64,
    ValueType.UINT64: DataType.UINT64,
    ValueType.FLOAT32: DataType.FLOAT,
    ValueType.BCD16: DataType.UINT16,
    ValueType.BCD32: DataType.UINT32,
    ValueType.TEXT: DataType.STRING,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag as a metric: ``owner`` is a device, or empty for the node."""

    tag: int
    owner: str
    name: str
    alias: int
    properties: tuple[Property, ...]


class Catalogue:
    """All metrics of one gateway.

    Args:
        tags: the twin's tags.
        devices: the configured devices in order of their index.
        assets: names of assets.
    """

    def __init__(self, tags: TagTable, devices: Iterable[str], assets: Iterable[str] = ()) -> None:
        self.tags = tags
        self.sources = tuple(devices)
        owners = {*self.sources, *assets}
        self.entries = tuple(_entry(tag, owners) for tag in tags)
        self.owners: dict[str, tuple[int, ...]] = {"": ()}
        for entry in self.entries:
            self.owners[entry.owner] = (*self.owners.get(entry.owner, ()), entry.tag)
        self.devices = tuple(owner for owner in self.owners if owner)
        self.by_name = {tag.name: tag.index for tag in tags}

    def find(self, owner: str, name: str, alias: int | None) -> Entry | None:
        """The metric that a command to a device (or "", the node) names, by name or by alias."""
        if name:
            index = self.by_name.get(f"{owner}/{name}" if owner else name, -1)
        else:
            index = -1 if alias is None else alias - 1
        if not 0 <= index < len(self.entries) or self.entries[index].owner != owner:
            return None
        return self.entries[index]

    @property
    def undying(self) -> frozenset[str]:
        """Devices that no connection can be lost to: assets."""
        return frozenset(self.devices) - frozenset(self.sources)

    @property
    def writable(self) -> tuple[str, ...]:
        """Devices of which at least one tag may be written."""
        found = {self.entries[tag.index].owner for tag in self.tags if tag.write is not None}
        return tuple(device for device in self.devices if device in found)


def _entry(tag: Tag, owners: set[str]) -> Entry:
    first, _, rest = tag.name.partition("/")
    owner, name = (first, rest) if first in owners else ("", tag.name)
    return Entry(tag.index, owner, name, tag.index + 1, _properties(tag))


def _properties(tag: Tag) -> tuple[Property, ...]:
    """Unit and range, by the keys that hosts commonly know them by."""
    found = [Property("engUnit", DataType.STRING, tag.unit)] if tag.unit else []
    for key, bound in (("engLow", tag.low), ("engHigh", tag.high)):
        if math.isfinite(bound):
            found.append(Property(key, DataType.DOUBLE, bound))
    return tuple(found)


def usual_type(tag: Tag) -> DataType:
    """The type of a tag's metric as long as nothing else comes in.

    A scaled whole number is no whole number; of ``auto`` a number is expected until a text comes.
    """
    kind = _TYPES.get(tag.type, DataType.DOUBLE)
    scaled = tag.scale != 1 or tag.offset != 0 or tag.current is not None
    return DataType.DOUBLE if scaled and kind is not DataType.STRING else kind


def quality(grade: Grade) -> Property:
    """The quality of a value (tck-id-payloads-propertyset-quality-value-type: Int32)."""
    return Property("Quality", DataType.INT32, int(grade))
