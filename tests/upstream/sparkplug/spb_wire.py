"""Sparkplug payloads read and written by hand, field by field: nothing here is edgetwin's.

A second reading of the specification's message definition (6.4.1), so that a mistake in the first
one shows.
"""

import struct
from dataclasses import dataclass, field

VALUES = {
    10: "int",
    11: "long",
    12: "float",
    13: "double",
    14: "boolean",
    15: "string",
    16: "bytes",
    17: "dataset",
    18: "template",
}
PROPERTY_VALUES = {3: "int", 4: "long", 5: "float", 6: "double", 7: "boolean", 8: "string"}


@dataclass
class Property:
    type: int | None = None
    field: str = ""
    value: object = None


@dataclass
class Metric:
    name: str = ""
    alias: int | None = None
    timestamp: int | None = None
    datatype: int | None = None
    is_historical: bool = False
    is_null: bool = False
    keys: list[str] = field(default_factory=list)
    properties: list[Property] = field(default_factory=list)
    field: str = ""
    value: object = None

    @property
    def quality(self):
        found = dict(zip(self.keys, self.properties, strict=True)).get("Quality")
        return 192 if found is None else found.value


@dataclass
class Payload:
    timestamp: int | None = None
    seq: int | None = None
    metrics: list[Metric] = field(default_factory=list)

    def metric(self, name):
        return next((each for each in self.metrics if each.name == name), None)


def _varint(raw, at):
    value, shift = 0, 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(raw):
    """(number, value) of every field; raises on anything that is no protobuf."""
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(raw, at)
        elif kind == 1:
            value, at = struct.unpack("<d", raw[at : at + 8])[0], at + 8
        elif kind == 5:
            value, at = struct.unpack("<f", raw[at : at + 4])[0], at + 4
        elif kind == 2:
            size, at = _varint(raw, at)
            assert at + size <= len(raw), "cut short"
            value, at = raw[at : at + size], at + size
        else:
            raise ValueError(f"wire type {kind}")
        yield number, value


def read(raw):
    made = Payload()
    for number, value in fields(raw):
        if number == 1:
            made.timestamp = value
        elif number == 2:
            made.metrics.append(_metric(value))
        elif number == 3:
            made.seq = value
        else:
            raise ValueError(f"field {number} of a payload")
    return made


def _metric(raw):
    made = Metric()
    simple = {2: "alias", 3: "timestamp", 4: "datatype"}
    flags = {5: "is_historical", 7: "is_null"}
    for number, value in fields(raw):
        if number == 1:
            made.name = value.decode("utf-8", "strict")
        elif number in simple:
            setattr(made, simple[number], value)
        elif number in flags:
            setattr(made, flags[number], bool(value))
        elif number == 9:
            _properties(value, made)
        else:
            made.field = VALUES[number]
            made.value = _plain(made.field, value)
    return made


def _properties(raw, metric):
    for number, value in fields(raw):
        if number == 1:
            metric.keys.append(value.decode())
        else:
            made = Property()
            for inner, content in fields(value):
                if inner == 1:
                    made.type = content
                else:
                    made.field = PROPERTY_VALUES[inner]
                    made.value = _plain(made.field, content)
            metric.properties.append(made)


def _plain(kind, value):
    if kind == "boolean":
        return bool(value)
    return value.decode() if kind == "string" else value


def _key(number, kind):
    return _bytes(number << 3 | kind)


def _bytes(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _block(number, raw):
    return _key(number, 2) + _bytes(len(raw)) + raw


def command(timestamp, *metrics):
    """An NCMD or DCMD: (name, value) each, of a Boolean or a Double."""
    out = _key(1, 0) + _bytes(timestamp)
    for name, value in metrics:
        body = _block(1, name.encode()) + _key(3, 0) + _bytes(timestamp)
        if isinstance(value, bool):
            body += _key(14, 0) + _bytes(int(value))
        else:
            body += _key(13, 1) + struct.pack("<d", value)
        out += _block(2, body)
    return out
