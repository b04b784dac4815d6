"""Devices and their tags, in the order of the twin.

Per device, per scan group (short periods first), and within a group by address: so what is read
together lies together, and each group is one range of the twin.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from edgetwin.config.compile.draft import Draft
from edgetwin.config.compile.lines import check_lines, way
from edgetwin.config.compile.nodes import Spot, spot
from edgetwin.config.compile.raw import current, forbidden, no_value, settled
from edgetwin.config.compile.registers import Layout, layout
from edgetwin.config.compile.writing import limits
from edgetwin.config.schema.devices import ModbusDevice, OpcuaDevice
from edgetwin.config.schema.tags import ModbusTag, OpcuaTag
from edgetwin.core.plan import (
    DevicePlan,
    ModbusSettings,
    OpcuaSettings,
    ScanGroup,
    Security,
    WriteBy,
)
from edgetwin.core.tags import Tag, ValueType

AnyTag: TypeAlias = ModbusTag | OpcuaTag
Named: TypeAlias = tuple[str, AnyTag]


def compile_devices(
    devices: Mapping[str, ModbusDevice | OpcuaDevice | None], state: Path, draft: Draft
) -> tuple[DevicePlan, ...]:
    """The plans of all devices; their tags go into the draft."""
    check_lines(devices, draft)
    plans: list[DevicePlan] = []
    for name, device in devices.items():
        if device is None:
            draft.spoilt.add(name)
            continue
        groups = tuple(_groups(name, device, len(plans), draft))
        if not device.tags:
            text = f"device '{name}' has no tags, so there is nothing to read. Name at least one"
            draft.problems.at(device.place("tags"), text)
        settings = _settings(device, state, draft)
        plans.append(DevicePlan(len(plans), name, device.driver, settings, groups, device.retry))
    return tuple(plans)


def _groups(
    name: str, device: ModbusDevice | OpcuaDevice, index: int, draft: Draft
) -> Iterator[ScanGroup]:
    for tag_name in device.tags:
        draft.names[f"{name}/{tag_name}"] = None
    named = list(_named(device, draft))

    def period(each: Named) -> int:
        return each[1].scan or device.scan

    if isinstance(device, ModbusDevice):
        named.sort(key=lambda each: each[1].at)
    named.sort(key=period)
    for number, (every, group) in enumerate(groupby(named, period)):
        first = len(draft.tags)
        for tag_name, tag in group:
            draft.add(_tag(f"{name}/{tag_name}", tag, device, index, draft))
        yield ScanGroup(number, every, range(first, len(draft.tags)))


def _named(device: ModbusDevice | OpcuaDevice, draft: Draft) -> Iterator[Named]:
    if isinstance(device, ModbusDevice):
        for name, each in device.tags.items():
            if each is not None:
                yield name, settled(each, device, draft)
    else:
        yield from ((name, tag) for name, tag in device.tags.items() if tag is not None)


def _tag(
    name: str, tag: AnyTag, device: ModbusDevice | OpcuaDevice, index: int, draft: Draft
) -> Tag:
    form = Layout(ValueType.AUTO)
    sentinels: tuple[int, ...] = ()
    if isinstance(tag, ModbusTag) and isinstance(device, ModbusDevice):
        form = layout(tag, device, draft)
        sentinels = no_value(tag, form.type, draft)
    unit = tag.unit or ""
    low, high = span = draft.span(tag, tag.range, unit)
    where: Spot | None = None
    if isinstance(tag, OpcuaTag) and isinstance(device, OpcuaDevice):
        where = spot(tag, device, span, draft)
    place = tag.node.place if tag.array else device.place_in("tags", name.partition("/")[2])
    return Tag(
        index=len(draft.tags),
        name=name,
        type=form.type,
        unit=unit,
        device=index,
        address=where.address if where else tag.at,
        period=tag.scan or device.scan,
        low=low,
        high=high,
        scale=tag.scale,
        offset=tag.offset,
        deadband=where.deadband if where else 0.0,
        deadband_share=where.deadband_share if where else 0.0,
        frozen_after=tag.frozen_after or 0,
        order=form.order,
        length=form.length,
        no_value=sentinels,
        current=current(tag) if isinstance(tag, ModbusTag) else None,
        write=limits(tag.array or name.partition("/")[2], tag, form.type, draft),
        method=where.method if where else None,
        states=tuple((int(number), text) for number, text in tag.states.items() if text),
        place=f"{place.file}:{place.line}",
        array=f"{name.partition('/')[0]}/{tag.array}" if tag.array else "",
    )


def _modbus(device: ModbusDevice, draft: Draft) -> ModbusSettings:
    line = way(device, draft)
    return ModbusSettings(
        host=line.host,
        port=line.port,
        transport=line.transport,
        serial=line.serial,
        tls=line.tls,
        share=line.share,
        unit=device.unit,
        timeout=device.timeout,
        pause=device.pause,
        in_flight=device.in_flight,
        max_registers=device.max_registers,
        max_bits=device.max_bits,
        max_gap=device.max_gap,
        forbidden=forbidden(device, draft),
        write_by=WriteBy(device.write_by),
    )


def _settings(
    device: ModbusDevice | OpcuaDevice, state: Path, draft: Draft
) -> ModbusSettings | OpcuaSettings:
    if isinstance(device, ModbusDevice):
        return _modbus(device, draft)
    if device.password_file and not device.user:
        text = "a password without a user. Write user: as well"
        draft.problems.at(device.place("password_file"), text)
    if bool(device.user_certificate) != bool(device.user_key):
        place = device.place("user_certificate" if device.user_certificate else "user_key")
        draft.problems.at(place, "user_certificate and user_key go together. Write both")
    return OpcuaSettings(
        url=device.address,
        subscribe=device.mode == "subscribe",
        security=Security(device.security),
        user=device.user or "",
        password_file=draft.path(device.password_file),
        user_certificate=draft.path(device.user_certificate),
        user_key=draft.path(device.user_key),
        pki=state / "pki",
        timeout=device.timeout,
        max_nodes=device.max_nodes,
    )
