"""Options of the devices, one section for each driver."""

from collections.abc import Mapping as Table

from edgetwin.config.kinds import NAME, SWITCH, TEXT, choice, duration, whole
from edgetwin.config.option import ListOf, MapOf, Record, Section, option, section
from edgetwin.config.places import (
    FILE,
    MODBUS_PLACE,
    MODBUS_SPAN,
    NUMBERING,
    OPCUA_URL,
    ModbusPlace,
)
from edgetwin.config.schema.tags import ModbusTag, OpcuaTag
from edgetwin.core.address import ModbusAddress
from edgetwin.core.plan import Security, WriteBy

BAUDS = ("1200", "2400", "4800", "9600", "19200", "38400", "57600", "115200", "230400")

DRIVER = choice("modbus", "opcua", what="driver")


@section
class _Device(Section):
    goes_on = True

    driver: str = option(DRIVER, "The protocol it speaks.", example="modbus")
    scan: int = option(
        duration("1 ms", "1 h"),
        "How often its tags are read. A tag without a new value for two scans is stale.",
        example="100 ms",
        default="1 s",
    )
    retry: int = option(
        duration("100 ms", "1 h"),
        "The pause before a lost device is tried again.",
        example="10 s",
        default="5 s",
    )


@section
class ModbusDevice(_Device):
    """A device that speaks Modbus: over TCP, TLS, a serial line, or RTU through a serial server."""

    noun = "Modbus device"
    called = "skid"

    address: ModbusPlace = option(
        MODBUS_PLACE,
        "Host name or IP address, with :port if it is not 502. tls://host for Modbus/TCP Security "
        "(port 802), rtu+tcp://host:port for a serial server that passes RTU on, /dev/ttyUSB0 for "
        "a serial port. Devices on one serial port or server share its line, each in its turn.",
        example="192.168.1.10",
    )
    unit: int = option(whole(0, 255), "The unit id.", example="17", default="1")
    order: str = option(
        choice("ABCD", "CDAB", "BADC", "DCBA", what="order"),
        "The order of the bytes of its 32-bit values, A the most significant; 64 bit follow suit. "
        "16 bit are AB unless the tag says BA.",
        example="CDAB",
        default="ABCD",
    )
    timeout: int = option(
        duration("10 ms", "1 min"),
        "How long an answer may take.",
        example="300 ms",
        default="1 s",
    )
    pause: int = option(
        duration("0 s", "10 s"),
        "Silence between an answer and the next request, for devices that need it.",
        example="20 ms",
        default="0 s",
    )
    in_flight: int = option(
        whole(1, 16),
        "How many requests may be open at once. Many devices bear only one.",
        example="4",
        default="1",
    )
    max_registers: int = option(
        whole(1, 125), "The most registers in one request.", example="60", default="125"
    )
    max_bits: int = option(
        whole(1, 2000),
        "The most coils or discrete inputs in one request.",
        example="256",
        default="2000",
    )
    max_gap: int = option(
        whole(0, 124),
        "Unused registers between two tags that are read along to save a request.",
        example="0",
        default="32",
    )
    forbidden: tuple[tuple[ModbusAddress, ModbusAddress], ...] = option(
        ListOf(MODBUS_SPAN, 1, 100),
        "Addresses that no request may touch, not even in a gap between two tags.",
        example="[4x0100-4x0120, 3x0007]",
        unless="none",
    )
    numbering: str | None = option(
        NUMBERING,
        "What its manual calls the first holding register. Then a number alone is an address: "
        "40011 or 30011 with 40001 or 40000; with 1 or 0 any number is a holding register.",
        example="40001",
        unless="a number alone is refused",
    )
    write_by: str = option(
        choice(*WriteBy, what="way to write"),
        "single: by functions 5, 6 and 16. multiple: always by 15 and 16, for devices without 5 "
        "and 6. combined: by 23, which writes and reads back in one request. A bit of a register "
        "is always written by 22.",
        example="multiple",
        default="single",
    )
    share: bool = option(
        SWITCH,
        "Use one connection together with the other devices at this address that say so: for "
        "gateways that take few. RTU always shares.",
        example="true",
        default="false",
    )
    baud: str = option(
        choice(*BAUDS, what="speed of a serial line"),
        "The speed of a serial line, in bit/s.",
        example="9600",
        default="19200",
    )
    parity: str = option(
        choice("even", "odd", "none", what="parity"),
        "The parity bit on a serial line.",
        example="none",
        default="even",
    )
    stop_bits: str = option(
        choice("1", "2", what="number of stop bits"),
        "The stop bits on a serial line. Without parity the standard wants 2, many devices 1.",
        example="2",
        default="1",
    )
    ca_file: str | None = option(
        FILE,
        "The certificates to trust with TLS, PEM: the authority's, or the device's own.",
        example="/etc/edgetwin/ca.pem",
        unless="those the operating system trusts",
    )
    cert_file: str | None = option(
        FILE,
        "Our own certificate for TLS, PEM. Devices take our rights from it.",
        example="/etc/edgetwin/skid.pem",
        unless="none",
    )
    key_file: str | None = option(
        FILE,
        "The key of our own certificate, PEM.",
        example="/etc/edgetwin/skid.key",
        unless="none",
    )
    server_name: str | None = option(
        TEXT,
        "The name that stands in the device's certificate.",
        example="plc-7",
        unless="the host of the address",
    )
    any_certificate: bool = option(
        SWITCH,
        "Accept any certificate with TLS: whoever is on the way can read, alter and write.",
        example="true",
        default="false",
    )
    tags: Table[str, ModbusTag | None] = option(
        MapOf(NAME, Record(ModbusTag), "tag"),
        "What to read, by name.",
        example="{pressure: {at: 4x0001, type: float32, unit: bar}}",
    )


@section
class OpcuaDevice(_Device):
    """An OPC UA server."""

    noun = "OPC UA device"
    called = "meter"

    address: str = option(
        OPCUA_URL, "The server's endpoint.", example="opc.tcp://192.168.1.20:4840"
    )
    mode: str = option(
        choice("poll", "subscribe", what="mode of an OPC UA device"),
        "poll: ask at each scan. subscribe: the server tells what has changed, and looks as often "
        "as the scan.",
        example="subscribe",
        default="poll",
    )
    security: str = option(
        choice(*Security, what="security of an OPC UA device"),
        "How the channel is protected. none only where nobody else is on the wire.",
        example="none",
        default="sign and encrypt",
    )
    user: str | None = option(
        TEXT, "The user to log in as.", example="edgetwin", unless="anonymous"
    )
    password_file: str | None = option(
        FILE,
        "The file that holds the user's password.",
        example="/etc/edgetwin/meter.password",
        unless="none",
    )
    user_certificate: str | None = option(
        FILE,
        "The certificate to log in with, in place of user and password.",
        example="/etc/edgetwin/meter-user.pem",
        unless="none",
    )
    user_key: str | None = option(
        FILE,
        "The key of that certificate.",
        example="/etc/edgetwin/meter-user.key",
        unless="none",
    )
    timeout: int = option(
        duration("10 ms", "1 min"), "How long an answer may take.", example="5 s", default="2 s"
    )
    max_nodes: int = option(
        whole(1, 100_000), "The most nodes in one request.", example="100", default="1000"
    )
    tags: Table[str, OpcuaTag | None] = option(
        MapOf(NAME, Record(OpcuaTag), "tag"),
        "What to read, by name.",
        example='{flow: {at: "nsu=urn:maker:meter;s=Flow", unit: m3/h}}',
    )
