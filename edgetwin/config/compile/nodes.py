"""Tags of OPC UA devices: which element, what is worth a report, how a value is handed over."""

import math
from dataclasses import replace
from typing import NamedTuple

from edgetwin.config.compile.draft import Draft
from edgetwin.config.kinds import Share
from edgetwin.config.schema.devices import OpcuaDevice
from edgetwin.config.schema.tags import OpcuaTag, OpcuaWrite
from edgetwin.core.nodes import MethodAddress, NodeAddress, PathAddress


class Spot(NamedTuple):
    """Where a tag's value lies on a server, and how it comes and goes."""

    address: NodeAddress | PathAddress
    deadband: float = 0.0
    deadband_share: float = 0.0
    method: MethodAddress | None = None


def spot(tag: OpcuaTag, device: OpcuaDevice, span: tuple[float, float], draft: Draft) -> Spot:
    """Where and how; ``span`` is the tag's range in its unit."""
    address = replace(tag.at, element=tag.element) if tag.element else tag.at
    deadband, share = _deadband(tag, device, span, draft)
    return Spot(address, deadband, share, _method(tag.write, draft))


def _deadband(
    tag: OpcuaTag, device: OpcuaDevice, span: tuple[float, float], draft: Draft
) -> tuple[float, float]:
    """In the tag's unit; a share too, unless only the server knows of which range."""
    given = tag.deadband
    if given is None:
        return 0.0, 0.0
    place = tag.place("deadband")
    if device.mode != "subscribe":
        text = "a deadband has no effect where the device is polled"
        draft.problems.at(place, f"{text}. Write mode: subscribe, or remove it")
    if not isinstance(given, Share):
        return draft.amount(given, tag.unit or "", place), 0.0
    width = span[1] - span[0]
    return (given.part * width, 0.0) if math.isfinite(width) else (0.0, given.part)


def _method(write: OpcuaWrite | None, draft: Draft) -> MethodAddress | None:
    if write is None:
        return None
    method, owner = write.method, write.object
    if method is None:
        if owner is not None:
            text = "an object without a method. Write method: as well, or remove it"
            draft.problems.at(write.place("object"), text)
        return None
    if owner is None and isinstance(method, PathAddress):
        owner = method.parent
    if owner is None:
        text = "on which object? Write object: as well, or the method's browse path"
        draft.problems.at(write.place("method"), text)
        return None
    return MethodAddress(owner, method)
