"""Kinds of options that name a place: a register, a node, a host, a file, a topic."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from edgetwin.config.kinds import Kind, Wrong
from edgetwin.config.problem import shown
from edgetwin.core.address import Numbering, parse_modbus, parse_span
from edgetwin.core.nodes import parse_element, parse_opcua
from edgetwin.core.plan import Transport


class Endpoint(NamedTuple):
    """A peer on the network, and whether the way to it is encrypted."""

    host: str
    port: int
    tls: bool = False

    @property
    def is_local(self) -> bool:
        """Whether it is this machine itself."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    def __str__(self) -> str:
        """``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ModbusPlace(NamedTuple):
    """Where a Modbus device is reached, and how; ``host`` is the path of a serial port."""

    host: str
    port: int
    transport: Transport


_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,253}")


def _endpoint(url: str, text: str, port: int, example: str) -> Endpoint:
    """Take a URL apart; ``text`` is what stands in the file."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", port if parts.port is None else parts.port
    except ValueError as error:
        raise Wrong(f"{shown(text)} is no address. Write {example}") from error
    if "@" in parts.netloc:
        raise Wrong("no user or password in an address. Write user: and password_file: instead")
    if not _HOST.fullmatch(host) or not 0 < port < 65536:
        raise Wrong(f"{shown(text)} is no address. Write {example}")
    return Endpoint(host, port)


_MODBUS_PORTS = {"tcp": 502, "tls": 802, "rtu+tcp": 0}


def _read_modbus_place(text: str) -> ModbusPlace:
    example = "192.168.1.10, tls://192.168.1.10, rtu+tcp://192.168.1.10:4001 or /dev/ttyUSB0"
    if text.startswith("/"):
        return ModbusPlace(_read_file(text), 0, Transport.SERIAL)
    scheme, found, rest = text.rpartition("://")
    scheme = scheme if found else "tcp"
    if scheme not in _MODBUS_PORTS:
        raise Wrong(f"{shown(text)} begins with nothing that is known. Write {example}")
    if "/" in rest:
        raise Wrong(f"{shown(text)} is more than host and port. Write {example}")
    usual = _MODBUS_PORTS[scheme]
    place = _endpoint(f"//{rest}", text, usual or -1, example)
    return ModbusPlace(place.host, place.port, Transport(scheme))


def _read_opcua(text: str) -> str:
    example = "opc.tcp://192.168.1.20:4840"
    if not text.startswith("opc.tcp://"):
        raise Wrong(f"{shown(text)} does not begin with opc.tcp://. Write {example}")
    _endpoint(text, text, 4840, example)
    return text


_BROKERS = {"mqtts": Endpoint("", 8883, tls=True), "mqtt": Endpoint("", 1883, tls=False)}


def _read_broker(text: str) -> Endpoint:
    example = "mqtts://broker.example:8883"
    scheme = text.partition("://")[0]
    if scheme not in _BROKERS:
        raise Wrong(f"{shown(text)} does not begin with mqtts:// or mqtt://. Write {example}")
    usual = _BROKERS[scheme]
    found = _endpoint(text, text, usual.port, example)
    if text.count("/") > 2:
        raise Wrong(f"{shown(text)} has something behind the port. Write {example}")
    return found._replace(tls=usual.tls)


def _read_file(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise Wrong(f"{shown(text)} is no path")
    if text.startswith(("~", "$")):
        raise Wrong(f"{shown(text)}: '{text[0]}' stands for nothing here. Write the path in full")
    if text.startswith("credential:") and not _CREDENTIAL.fullmatch(text):
        raise Wrong(f"{shown(text)}: write credential: and the name that LoadCredential= gives it")
    return text


_CREDENTIAL = re.compile(r"credential:[A-Za-z0-9_-][A-Za-z0-9._-]*")


def _read_topic(text: str) -> str:
    """MQTT 5 §4.7: no wildcards, no empty level, and nothing that begins with $."""
    if not text.isprintable() or any(c in text for c in "+#$") or "" in text.split("/"):
        raise Wrong(
            f"{shown(text)} is no topic to publish below. Write levels with '/' between them, "
            "without + # $, like plant/line-1"
        )
    return text


def _read_level(text: str) -> str:
    """One level of a topic (Sparkplug, tck-id-topic-structure-namespace-valid-…)."""
    if not text.strip() or not text.isprintable() or any(c in text for c in "+#/$"):
        raise Wrong(f"{shown(text)} is no id. Write letters, digits, '-' or '_', without + # / $")
    return text


_HASH = re.compile(r"[0-9a-f]{64}")


def _read_hash(text: str) -> str:
    if not _HASH.fullmatch(text.lower()):
        raise Wrong(f"{shown(text)} is no SHA-256. Write the 64 digits that sha256sum prints")
    return text.lower()


def _read_numbering(text: str) -> str:
    short = text[0] + text[2:] if len(text) == 6 else text  # 400001 is 40001 with more room
    if short not in set(Numbering):
        raise Wrong(f"{shown(text)}: a manual begins its holding registers at 40001, 40000, 1 or 0")
    return short


MODBUS_AT = Kind("a Modbus address", parse_modbus)
MODBUS_SPAN = Kind("a Modbus address, or two with '-' between them", parse_span)
NUMBERING = Kind("40001, 40000, 1 or 0", _read_numbering)
NODE_AT = Kind("an OPC UA node id or browse path", parse_opcua)
ELEMENT = Kind("the number of an element", parse_element)
MODBUS_PLACE = Kind("a host, with or without a port, or a serial port", _read_modbus_place)
OPCUA_URL = Kind("an opc.tcp:// address", _read_opcua)
BROKER = Kind("an mqtts:// or mqtt:// address", _read_broker)
FILE = Kind(
    "a file; a relative path starts at the folder of the configuration, and credential:NAME is one "
    "that systemd hands over (LoadCredential=NAME:PATH)",
    _read_file,
)
TOPIC = Kind("an MQTT topic", _read_topic)
LEVEL = Kind("an id, one level of a topic", _read_level)
HASH = Kind("64 hexadecimal digits", _read_hash)
