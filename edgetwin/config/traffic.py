"""What a configuration asks its Modbus devices for: each request, and what it costs the line."""

from collections.abc import Iterator
from dataclasses import dataclass

from edgetwin.core.address import ModbusAddress
from edgetwin.core.blocks import Block, plan_blocks, read_in_vain
from edgetwin.core.plan import SECOND, DevicePlan, GatewayPlan, ModbusSettings, Transport
from edgetwin.core.tags import Tag

REQUEST_CHARS, REPLY_CHARS = 8, 5
"""Characters of an RTU read: the request, and what a reply has beside its data."""

CHAR_BITS, SILENT_CHARS = 11, 7
"""Bits of a character (Serial Line v1.02 §2.5.1), and the silence around request and reply."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a scan, as it goes out each ``period`` ns."""

    period: int
    block: Block
    in_vain: int

    @property
    def per_s(self) -> float:
        """How often it is sent."""
        return SECOND / self.period

    @property
    def first(self) -> ModbusAddress:
        """The first item, as a technician writes it."""
        return ModbusAddress(self.block.table, self.block.first)

    @property
    def last(self) -> ModbusAddress:
        """The last item."""
        return ModbusAddress(self.block.table, self.block.first + self.block.count - 1)

    @property
    def chars(self) -> int:
        """What it costs a serial line, in characters, silence included."""
        count = self.block.count
        data = (count + 7) // 8 if self.block.table.is_bits else 2 * count
        return REQUEST_CHARS + REPLY_CHARS + data + SILENT_CHARS


def requests_of(plan: GatewayPlan, device: DevicePlan) -> tuple[Request, ...]:
    """Each read request of a device in the order of its scan groups; none if it is no Modbus."""
    return tuple(_requests(plan, device))


def _requests(plan: GatewayPlan, device: DevicePlan) -> Iterator[Request]:
    if not isinstance(device.settings, ModbusSettings):
        return
    for group in device.groups:
        tags: list[Tag] = [plan.tags[i] for i in group.tags]
        for block in plan_blocks(tags, device.settings.limits):
            mine = [plan.tags[i] for i in block.tags]
            yield Request(group.period, block, read_in_vain(block, mine))


@dataclass(frozen=True, slots=True)
class LineLoad:
    """All that goes over one line. ``busy`` is the share of a serial line's time, 0 on others."""

    place: str
    devices: tuple[str, ...]
    requests: int
    per_s: float
    busy: float


def line_loads(plan: GatewayPlan) -> tuple[LineLoad, ...]:
    """The lines there are, each with the devices on it: those that share it, or the one."""
    lines: dict[tuple[str, str], list[DevicePlan]] = {}
    for device in plan.devices:
        if isinstance(device.settings, ModbusSettings):
            own = "" if device.settings.is_shared else device.name
            lines.setdefault((device.settings.place, own), []).append(device)
    return tuple(_load(plan, place, devices) for (place, _), devices in lines.items())


def _load(plan: GatewayPlan, place: str, devices: list[DevicePlan]) -> LineLoad:
    requests = [each for device in devices for each in requests_of(plan, device)]
    settings = devices[0].settings
    busy = 0.0
    if isinstance(settings, ModbusSettings) and settings.transport is Transport.SERIAL:
        char_s = CHAR_BITS / settings.serial.baud
        busy = sum(each.per_s * each.chars * char_s for each in requests)
    per_s = sum(each.per_s for each in requests)
    return LineLoad(place, tuple(d.name for d in devices), len(requests), per_s, busy)
