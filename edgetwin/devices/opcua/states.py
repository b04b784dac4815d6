"""The names of an enumeration's values, wherever a server keeps them.

variable ─ HasProperty ─▶ EnumStrings, EnumValues      MultiState…DiscreteType (OPC 10000-8 §5.3.3)
         ─ HasProperty ─▶ TrueState, FalseState        TwoStateDiscreteType
         ─ DataType ─▶ HasProperty ─▶ EnumStrings, EnumValues       (OPC 10000-3 §8.14)
                     ─▶ DataTypeDefinition             an EnumDefinition (§8.50)
"""

from collections.abc import Iterator, Mapping
from typing import Any

from asyncua import ua
from asyncua.client.ua_client import UaClient

from edgetwin.devices.opcua.resolve import way_down
from edgetwin.devices.opcua.stack import AttributeIds

STATES = frozenset({"EnumStrings", "EnumValues", "TrueState", "FalseState"})
"""The properties that name states."""

MOST = 200
"""So many states of one tag are kept."""
_OF_TYPES = ("EnumValues", "EnumStrings")


async def names_of_type(client: UaClient, data_type: ua.NodeId) -> Mapping[int, str]:
    """What a DataType says of its values; nothing if it is no enumeration.

    Raises:
        Exception: whatever asyncua finds wrong with the connection.
    """
    ways = [way_down(data_type, [ua.QualifiedName(name, 0)]) for name in _OF_TYPES]
    for fact, end in zip(
        _OF_TYPES, await client.translate_browsepaths_to_nodeids(ways), strict=True
    ):
        if end.Targets and (names := states_in(fact, await _read(client, end.Targets[0].TargetId))):
            return names
    told = await _read(client, data_type, AttributeIds.DataTypeDefinition)
    fields = told.Fields if isinstance(told, ua.EnumDefinition) else ()
    return _named((each.Value, _text(each.DisplayName) or each.Name) for each in fields or ())


def states_in(fact: str, value: object) -> Mapping[int, str]:
    """What one property says."""
    if fact in ("TrueState", "FalseState"):
        return _named([(int(fact == "TrueState"), _text(value))])
    items: list[object] = value if isinstance(value, list) else []
    if fact == "EnumStrings":
        return _named((number, _text(each)) for number, each in enumerate(items))
    return _named(
        (each.Value, _text(each.DisplayName))
        for each in items
        if isinstance(each, ua.EnumValueType)
    )


async def _read(
    client: UaClient, node: ua.NodeId, attribute: AttributeIds = AttributeIds.Value
) -> Any:  # noqa: ANN401 (whatever the server holds there)
    plain = ua.NodeId(node.Identifier, node.NamespaceIndex, node.NodeIdType)
    value, *_ = await client.read_attributes([plain], attribute)
    return value.Value.Value if value.Value else None


def _text(value: object) -> str:
    text = value.Text if isinstance(value, ua.LocalizedText) else None
    return text or ""


def _named(pairs: "Iterator[tuple[int, str]] | list[tuple[int, str]]") -> Mapping[int, str]:
    """The first ``MOST`` of those that have a name."""
    named = [(int(number), text) for number, text in pairs if text]
    return dict(named[:MOST])
