"""Deadbands that the server keeps: what it is told, in the device's own numbers.

A percentage is told as the absolute number that the standard's formula makes of it, percent of
EURange (OPC 10000-4 §7.22.2). Asyncua's server takes a percentage and then never reports at all.
"""

from collections.abc import Mapping, Sequence

from asyncua import ua
from asyncua.client.ua_client import UaClient

from edgetwin.core.tags import Tag, TagTable
from edgetwin.devices.opcua.columns import ARRAY
from edgetwin.devices.opcua.parts import slices
from edgetwin.devices.opcua.resolve import way_down
from edgetwin.devices.opcua.stack import AttributeIds
from edgetwin.devices.opcua.survey import Node

_NUMBERS = range(2, 12)  # SByte to Double: a deadband is defined for these, OPC 10000-4 §7.22.2
_RANGE = ua.QualifiedName("EURange", 0)
_BATCH = 100


def own_band(tag: Tag) -> float:
    """What is configured outright."""
    return tag.deadband / abs(tag.scale)


async def bands_of(client: UaClient, nodes: Sequence[Node], tags: TagTable) -> Mapping[int, float]:
    """The deadbands of those nodes that have one, by tag.

    One that is a part of a range the node does not tell of is missing.

    Raises:
        Exception: whatever asyncua finds wrong with the connection.
    """
    numbers = [node for node in nodes if node.kind & ~ARRAY in _NUMBERS]
    bands = {node.tag: own_band(tags[node.tag]) for node in numbers}
    shares = [node for node in numbers if tags[node.tag].deadband_share]
    for part in slices(shares, _BATCH):
        widths = await _widths(client, [node.place.node for node in part])
        for node, width in zip(part, widths, strict=True):
            bands[node.tag] = tags[node.tag].deadband_share * width
    return {tag: band for tag, band in bands.items() if band}


async def _widths(client: UaClient, nodes: Sequence[ua.NodeId]) -> list[float]:
    """The widths of the EURange of each; 0 where there is none."""
    ways = [way_down(node, [_RANGE]) for node in nodes]
    ends = await client.translate_browsepaths_to_nodeids(ways)
    targets = [end.Targets[0].TargetId if end.Targets else None for end in ends]
    asked = [
        ua.NodeId(target.Identifier, target.NamespaceIndex, target.NodeIdType)
        for target in targets
        if target is not None
    ]
    values = await client.read_attributes(asked, AttributeIds.Value) if asked else []
    widths = iter([_width(value) for value in values])
    return [0.0 if target is None else next(widths) for target in targets]


def _width(value: ua.DataValue) -> float:
    span = value.Value.Value if value.Value else None
    return max(0.0, span.High - span.Low) if isinstance(span, ua.Range) else 0.0


def told(band: float) -> ua.DataChangeFilter | None:
    """The filter of a monitored item."""
    if not band:
        return None
    return ua.DataChangeFilter(
        Trigger=ua.DataChangeTrigger.StatusValue,
        DeadbandType=ua.DeadbandType.Absolute,
        DeadbandValue=band,
    )
