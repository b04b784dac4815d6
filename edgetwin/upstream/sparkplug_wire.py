"""The door to protobuf: Sparkplug payloads as bytes and back.

The message definition is the specification's (6.4.1), written here as a table of what we use: what
is not in it (data sets, templates, metadata) is skipped when read and never written. Signed values
of 32 bits and less travel as two's complement in ``uint32``, of 64 bits in ``uint64`` (6.4.16).
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from edgetwin.core.reading import Scalar
from edgetwin.core.sparkplug.metric import DataType, Metric, Payload, Property

_PACKAGE = "edgetwin.sparkplug_b"
_VALUES = (
    ("int_value", "uint32"),
    ("long_value", "uint64"),
    ("float_value", "float"),
    ("double_value", "double"),
    ("boolean_value", "bool"),
    ("string_value", "string"),
)
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Payload": (("timestamp", 1, "uint64"), ("metrics", 2, "Metric*"), ("seq", 3, "uint64")),
    "Metric": (
        ("name", 1, "string"),
        ("alias", 2, "uint64"),
        ("timestamp", 3, "uint64"),
        ("datatype", 4, "uint32"),
        ("is_historical", 5, "bool"),
        ("is_null", 7, "bool"),
        ("properties", 9, "PropertySet"),
        *((name, number, kind) for number, (name, kind) in enumerate(_VALUES, 10)),
    ),
    "PropertySet": (("keys", 1, "string*"), ("values", 2, "PropertyValue*")),
    "PropertyValue": (
        ("type", 1, "uint32"),
        ("is_null", 2, "bool"),
        *((name, number, kind) for number, (name, kind) in enumerate(_VALUES, 3)),
    ),
}
_IN_INT = {DataType.INT16: 32, DataType.INT32: 32, DataType.UINT16: 32, DataType.UINT32: 32}
_IN_LONG = {DataType.INT64: 64, DataType.UINT64: 64}
_FIELDS = {
    **dict.fromkeys(_IN_INT, "int_value"),
    **dict.fromkeys(_IN_LONG, "long_value"),
    DataType.FLOAT: "float_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
    DataType.STRING: "string_value",
}
_BITS = {**_IN_INT, **_IN_LONG}


def _describe() -> descriptor_pb2.FileDescriptorProto:
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="edgetwin/sparkplug_b.proto", package=_PACKAGE, syntax="proto2"
    )
    alternatives = {name for name, _ in _VALUES}
    for title, fields in _MESSAGES.items():
        described = file.message_type.add(name=title)
        for name, number, written in fields:
            kind = written.rstrip("*")
            field = described.field.add(name=name, number=number)
            field.label = kinds.LABEL_REPEATED if written != kind else kinds.LABEL_OPTIONAL
            if kind in _MESSAGES:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                field.type = getattr(kinds, f"TYPE_{kind.upper()}")
            if name in alternatives:
                field.oneof_index = 0
        if alternatives & {name for name, _, _ in fields}:
            described.oneof_decl.add(name="value")
    return file


def _make() -> Any:  # noqa: ANN401 - protobuf makes the class at run time
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_describe())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


_Payload = _make()


# ---------------------------------------------------------------- writing


def encode(payload: Payload) -> bytes:
    """A payload as it travels."""
    made = _Payload(timestamp=payload.timestamp)
    if payload.seq is not None:
        made.seq = payload.seq
    for metric in payload.metrics:
        _put_metric(made.metrics.add(), metric)
    content: bytes = made.SerializeToString()
    return content


def _put_metric(made: Any, metric: Metric) -> None:  # noqa: ANN401 - as above
    if metric.name:
        made.name = metric.name
    if metric.alias is not None:
        made.alias = metric.alias
    made.timestamp = metric.timestamp
    if metric.is_definition:
        made.datatype = metric.type
    if metric.is_historical:
        made.is_historical = True
    if metric.value is None:
        made.is_null = True
    else:
        _put_value(made, metric.type, metric.value)
    for each in metric.properties:
        made.properties.keys.append(each.key)
        _put_property(made.properties.values.add(), each)


def _put_property(made: Any, each: Property) -> None:  # noqa: ANN401 - as above
    made.type = each.type
    _put_value(made, each.type, each.value)


def _put_value(made: Any, kind: DataType, value: Scalar) -> None:  # noqa: ANN401 - as above
    if kind in _BITS and not isinstance(value, str):
        value = int(value) & (1 << _BITS[kind]) - 1
    setattr(made, _FIELDS[kind], value)


# ---------------------------------------------------------------- reading


def decode(content: bytes) -> Payload | None:
    """What a host sent; None if it is no payload. Values come as they lie in their field."""
    try:
        made = _Payload.FromString(content)
    except (message.DecodeError, UnicodeDecodeError, ValueError):
        return None
    return Payload(made.timestamp, tuple(map(_metric, made.metrics)))


def _metric(made: Any) -> Metric:  # noqa: ANN401 - as above
    field = made.WhichOneof("value")
    value: Scalar | None = None if made.is_null or field is None else getattr(made, field)
    alias = made.alias if made.HasField("alias") else None
    return Metric(made.timestamp, DataType.DOUBLE, _text(value), str(_text(made.name)), alias)


def _text(value: Any) -> Any:  # noqa: ANN401 - as above
    """A string field that holds no UTF-8 is given as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
