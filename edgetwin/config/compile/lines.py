"""How a Modbus device is reached, and whether devices at one place agree on their line."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgetwin.config.compile.draft import Draft
from edgetwin.config.schema.devices import ModbusDevice, OpcuaDevice
from edgetwin.core.plan import SerialForm, TlsForm, Transport

_SERIAL_ONLY = ("baud", "parity", "stop_bits")
_TLS_ONLY = ("ca_file", "cert_file", "key_file", "server_name", "any_certificate")
_LAST_UNIT = 247


@dataclass(frozen=True, slots=True)
class Way:
    """The part of a device's settings that is about its line."""

    host: str
    port: int
    transport: Transport
    serial: SerialForm
    tls: TlsForm
    share: bool


def way(device: ModbusDevice, draft: Draft) -> Way:
    """How a device is reached; options that do not fit its address go to ``draft.problems``."""
    transport = device.address.transport
    if transport is not Transport.SERIAL:
        _refuse(device, _SERIAL_ONLY, "on a serial line, like address: /dev/ttyUSB0", draft)
    if transport is not Transport.TLS:
        _refuse(device, _TLS_ONLY, "with TLS, like address: tls://192.168.1.10", draft)
    if transport.is_rtu:
        _check_rtu(device, draft)
    for one, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if getattr(device, one) and not getattr(device, other):
            text = f"{one} is of no use alone. Write {other}: as well"
            draft.problems.at(device.place(one), text)
    return Way(
        host=device.address.host,
        port=device.address.port,
        transport=transport,
        serial=SerialForm(int(device.baud), device.parity, int(device.stop_bits)),
        tls=TlsForm(
            ca_file=draft.path(device.ca_file),
            cert_file=draft.path(device.cert_file),
            key_file=draft.path(device.key_file),
            server_name=device.server_name or "",
            any_certificate=device.any_certificate,
        ),
        share=device.share,
    )


def _refuse(device: ModbusDevice, keys: Iterable[str], where: str, draft: Draft) -> None:
    for key in keys:
        if key in device.node.entries:
            text = f"'{key}' counts only {where}. Remove it, or correct the address"
            draft.problems.at(device.place(key), text)


def _check_rtu(device: ModbusDevice, draft: Draft) -> None:
    if device.in_flight > 1:
        text = "RTU takes one request at a time: its replies carry no number. Remove 'in_flight'"
        draft.problems.at(device.place("in_flight"), text)
    if not 1 <= device.unit <= _LAST_UNIT:
        text = f"on RTU a unit id is 1 to {_LAST_UNIT}; 0 is a broadcast, which nobody answers"
        draft.problems.at(device.place("unit"), f"{text}. Write the device's own")


def check_lines(devices: Mapping[str, ModbusDevice | OpcuaDevice | None], draft: Draft) -> None:
    """Devices that share a line have different units, and one idea of the line."""
    lines: dict[object, list[tuple[str, ModbusDevice]]] = {}
    for name, device in devices.items():
        if isinstance(device, ModbusDevice) and (device.share or device.address.transport.is_rtu):
            lines.setdefault(device.address, []).append((name, device))
    for named in lines.values():
        for at, (_, device) in enumerate(named):
            _compare(device, named[:at], draft)


def _compare(device: ModbusDevice, earlier: list[tuple[str, ModbusDevice]], draft: Draft) -> None:
    for name, other in earlier:
        if other.unit == device.unit:
            text = (
                f"device '{name}' is unit {device.unit} on this line already. Write this one's "
                "unit, or put its tags below that device"
            )
            draft.problems.at(device.place("unit"), text)
            return
    for name, other in earlier[:1]:
        for key in (*_SERIAL_ONLY, *_TLS_ONLY):
            if getattr(device, key) != getattr(other, key):
                text = (
                    f"'{key}' is another than that of device '{name}' on the same line. Write the "
                    "same for all on it"
                )
                draft.problems.at(device.place(key), text)
