"""``edgetwin plan``: every request that a configuration will send, before it is sent."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from edgetwin import config
from edgetwin.cli.table import table
from edgetwin.config.traffic import LineLoad, Request, line_loads, requests_of
from edgetwin.core.plan import DevicePlan, GatewayPlan, ModbusSettings, OpcuaSettings
from edgetwin.core.units import format_duration

_FUNCTIONS = {
    1: "1 coils",
    2: "2 discrete inputs",
    3: "3 holding registers",
    4: "4 input registers",
}
_HEAD = ("EVERY", "FUNCTION", "FIRST", "LAST", "COUNT", "TAGS", "IN VAIN", "REQUESTS/S")
_NUMBERS = (4, 5, 6, 7)


def plan(options: argparse.Namespace) -> int:
    """Print the requests. Opens nothing but the file."""
    print("\n".join(_lines(config.read(Path(options.config), options.overrides))))
    return 0


def _lines(plan_: GatewayPlan) -> Iterator[str]:
    for device in plan_.devices:
        yield from _device(plan_, device)
        yield ""
    loads = line_loads(plan_)
    yield from (_load(each) for each in loads)
    if loads:
        requests, per_s = sum(x.requests for x in loads), sum(x.per_s for x in loads)
        yield f"In all {_count(requests, 'request')}, {per_s:.4g} a second. Nothing was sent."


def _device(plan_: GatewayPlan, device: DevicePlan) -> Iterator[str]:
    settings = device.settings
    if not isinstance(settings, ModbusSettings):
        yield _other(device)
        return
    limits = settings.limits
    yield (
        f"{device.name}: {settings.place} unit {settings.unit}; in one request at most "
        f"{_count(limits.max_registers, 'register')} or {_count(limits.max_bits, 'bit')}, gaps up "
        f"to {_count(limits.max_gap, 'register')}"
    )
    if limits.forbidden:
        yield f"  never touched: {', '.join(map(str, limits.forbidden))}"
    rows = [_row(each) for each in requests_of(plan_, device)]
    yield from (f"  {line}" for line in table(_HEAD, rows, _NUMBERS))


def _row(request: Request) -> tuple[str, ...]:
    block = request.block
    return (
        format_duration(request.period),
        _FUNCTIONS[block.function],
        str(request.first),
        str(request.last),
        str(block.count),
        str(len(block.tags)),
        str(request.in_vain or "-"),
        f"{request.per_s:.4g}",
    )


def _other(device: DevicePlan) -> str:
    settings = device.settings
    groups = ", ".join(
        f"{_count(len(group.tags), 'node')} every {format_duration(group.period)}"
        for group in device.groups
    )
    if isinstance(settings, OpcuaSettings):
        way = "subscribed to" if settings.subscribe else "polled"
        most = f"at most {settings.max_nodes} a request"
        return f"{device.name}: {settings.url}; {way}, {groups}, {most}"
    return f"{device.name}: {device.driver}; {groups}"


def _load(load: LineLoad) -> str:
    names = ", ".join(load.devices)
    text = f"{names} at {load.place}: {_count(load.requests, 'request')}, {load.per_s:.4g} a second"
    if not load.busy:
        return text
    text += f"; the characters alone keep the line busy for {load.busy:.0%} of the time"
    return f"{text}: TOO MUCH. Raise scan, or baud" if load.busy > 1 else text


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
