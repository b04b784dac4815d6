"""The twin as an Asset Administration Shell (metamodel V3.0, JSON): a shell and two submodels.

``OperationalData`` has a collection for each owner of tags and a property for each tag, with unit
and bounds by data specification IEC 61360; ``MqttInterface`` says where they are told. Rules: IDTA
01001-3-0 (idShort, ids, constraints AASd- and AASc-), IDTA 01003-a.
"""

from collections.abc import Iterable
from typing import Any

from edgetwin.core.export.quantities import MEASURES
from edgetwin.core.export.view import (
    about,
    bounds,
    identifiers,
    is_whole,
    own_name,
    owners,
    write_bounds,
)
from edgetwin.core.plan import GatewayPlan, UpstreamPlan
from edgetwin.core.tags import Tag, ValueType

_IEC_61360 = "https://admin-shell.io/DataSpecificationTemplates/DataSpecificationIec61360/3/0"
_XS = {"integer": "xs:long", "boolean": "xs:boolean", "string": "xs:string", "number": "xs:double"}
_MEASURED = {"integer": "INTEGER_MEASURE", "number": "REAL_MEASURE"}
_COUNTED = {"integer": "INTEGER_COUNT", "number": "REAL_COUNT", "boolean": "BOOLEAN"}


def environment(plan: GatewayPlan) -> dict[str, Any]:
    """An environment with one shell and its submodels."""
    asset = f"urn:edgetwin:gateway:{plan.name}"
    parts = [_operational(plan, asset)]
    lines = [each for each in plan.upstreams if each.sparkplug is None]
    if lines:
        parts.append(_interface(lines, asset))
    shell = {
        "modelType": "AssetAdministrationShell",
        "id": f"{asset}:aas",
        "idShort": identifiers([plan.name])[plan.name],
        "assetInformation": {"assetKind": "Instance", "globalAssetId": asset, **_places(plan)},
        "submodels": [_reference(each["id"]) for each in parts],
    }
    return {"assetAdministrationShells": [shell], "submodels": parts}


def _places(plan: GatewayPlan) -> dict[str, Any]:
    ids = [{"name": level, "value": value} for level, value in plan.hierarchy.items()]
    return {"specificAssetIds": ids} if ids else {}


def _reference(id_: str) -> dict[str, Any]:
    return {"type": "ModelReference", "keys": [{"type": "Submodel", "value": id_}]}


def _submodel(name: str, asset: str, elements: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "modelType": "Submodel",
        "id": f"{asset}:{name}",
        "idShort": name,
        "kind": "Instance",
        "submodelElements": elements,
    }


def _operational(plan: GatewayPlan, asset: str) -> dict[str, Any]:
    found = owners(plan)
    names = identifiers(found)
    collections = [
        _collection(names[owner], owner, _properties(plan, tags)) for owner, tags in found.items()
    ]
    return _submodel("OperationalData", asset, collections)


def _collection(name: str, shown: str, elements: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "modelType": "SubmodelElementCollection",
        "idShort": name,
        "displayName": _text(shown),
        "value": elements,
    }


def _text(text: str) -> list[dict[str, str]]:
    return [{"language": "en", "text": text}]


def _properties(plan: GatewayPlan, tags: list[Tag]) -> list[dict[str, Any]]:
    names = identifiers(own_name(tag) for tag in tags)
    return [_property(plan, tag, names[own_name(tag)]) for tag in tags]


def _property(plan: GatewayPlan, tag: Tag, name: str) -> dict[str, Any]:
    kind = _kind(tag)
    qualifiers = [*_qualifiers("range", bounds(tag)), *_qualifiers("write", write_bounds(tag))]
    return {
        "modelType": "Property",
        "idShort": name,
        "category": "PARAMETER" if tag.write else "VARIABLE",
        "displayName": _text(own_name(tag)[:128]),
        "description": _text(about(plan, tag)[:1023]),
        "valueType": _XS[kind],
        **({"qualifiers": qualifiers} if qualifiers else {}),
        "embeddedDataSpecifications": [_specification(tag, kind)],
    }


def _kind(tag: Tag) -> str:
    if tag.type is ValueType.TEXT:
        return "string"
    if tag.type is ValueType.BIT:
        return "boolean"
    return "integer" if is_whole(tag) else "number"


def _qualifiers(what: str, ends: dict[str, float]) -> Iterable[dict[str, Any]]:
    for end, value in ends.items():
        yield {
            "kind": "ConceptQualifier",
            "type": f"{what}.{end}",
            "valueType": "xs:double",
            "value": repr(float(value)),
        }


def _specification(tag: Tag, kind: str) -> dict[str, Any]:
    known = MEASURES.get(tag.unit)
    data_type = _MEASURED if tag.unit and kind in _MEASURED else {**_COUNTED, "string": "STRING"}
    content = {
        "modelType": "DataSpecificationIec61360",
        "preferredName": _text(tag.name[:255]),
        "dataType": data_type[kind],
        **({"unit": tag.unit} if tag.unit else {}),
        **({"unitId": _global(f"http://qudt.org/vocab/unit/{known.qudt}")} if known else {}),
    }
    return {"dataSpecification": _global(_IEC_61360), "dataSpecificationContent": content}


def _global(value: str) -> dict[str, Any]:
    return {"type": "ExternalReference", "keys": [{"type": "GlobalReference", "value": value}]}


def _interface(lines: list[UpstreamPlan], asset: str) -> dict[str, Any]:
    names = identifiers(line.name for line in lines)
    collections = [
        _collection(
            names[line.name],
            line.name,
            [
                _plain("broker", f"{'mqtts' if line.broker.tls else 'mqtt'}://{line.broker.host}"),
                _plain("port", str(line.broker.port)),
                _plain("topic", line.topic),
                _plain("schemas", "urn:edgetwin:v1"),
            ],
        )
        for line in lines
    ]
    return _submodel("MqttInterface", asset, collections)


def _plain(name: str, value: str) -> dict[str, Any]:
    return {"modelType": "Property", "idShort": name, "valueType": "xs:string", "value": value}
