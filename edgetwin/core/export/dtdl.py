"""The twin as DTDL v3: an interface for each owner of tags, and one for the gateway that has them.

What can be written is a writable property, everything else telemetry. Units come with the extension
for quantitative types where DTDL has a word for them. Rules: DTDL v3 §§ Interface, Telemetry,
Property, Component, DTMI; names at most 512 and an interface's id at most 128 characters.
"""

from typing import Any

from edgetwin.core.export.quantities import MEASURES
from edgetwin.core.export.view import about, identifier, identifiers, is_whole, own_name, owners
from edgetwin.core.plan import GatewayPlan
from edgetwin.core.tags import Tag, ValueType

_CONTEXT = ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"]
_NAME, _DISPLAY, _DESCRIPTION = 40, 64, 512


def interfaces(plan: GatewayPlan) -> list[dict[str, Any]]:
    """The array of interfaces, that of the gateway first."""
    gateway = identifier(plan.name, _NAME)
    found = owners(plan)
    names = identifiers(found, _NAME)
    ids = {owner: f"dtmi:edgetwin:{gateway}:{names[owner]};1" for owner in found}
    whole = _interface(
        f"dtmi:edgetwin:{gateway};1",
        plan.name,
        "The twin that an edgetwin gateway keeps of its machines",
        [_component(owner, names[owner], ids[owner]) for owner in found],
    )
    parts = [
        _interface(ids[owner], owner, _told(plan, owner), _contents(plan, tags))
        for owner, tags in found.items()
    ]
    return [whole, *parts]


def _told(plan: GatewayPlan, owner: str) -> str:
    if owner == "loop":
        return "The control loops"
    return f"Asset {owner}" if owner in plan.assets else f"Device {owner}"


def _interface(id_: str, name: str, text: str, contents: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "@context": _CONTEXT,
        "@id": id_,
        "@type": "Interface",
        "displayName": name[:_DISPLAY],
        "description": text,
        "contents": contents,
    }


def _component(owner: str, name: str, id_: str) -> dict[str, Any]:
    return {
        "@type": "Component",
        "name": name,
        "displayName": owner[:_DISPLAY],
        "schema": id_,
    }


def _contents(plan: GatewayPlan, tags: list[Tag]) -> list[dict[str, Any]]:
    names = identifiers((own_name(tag) for tag in tags), _NAME)
    return [_content(plan, tag, names[own_name(tag)]) for tag in tags]


def _content(plan: GatewayPlan, tag: Tag, name: str) -> dict[str, Any]:
    class_ = "Property" if tag.write else "Telemetry"
    known = MEASURES.get(tag.unit)
    quantity = known if known and known.kind and _schema(tag) in {"double", "long"} else None
    shown = own_name(tag) if quantity or not tag.unit else f"{own_name(tag)} ({tag.unit})"
    return {
        "@type": [class_, quantity.kind] if quantity else class_,
        "name": name,
        "displayName": shown[:_DISPLAY],
        "description": about(plan, tag)[:_DESCRIPTION],
        "schema": _schema(tag),
        **({"unit": quantity.dtdl} if quantity else {}),
        **({"writable": True} if tag.write else {}),
    }


def _schema(tag: Tag) -> str:
    if tag.type is ValueType.TEXT:
        return "string"
    if tag.type is ValueType.BIT:
        return "boolean"
    return "long" if is_whole(tag) else "double"
