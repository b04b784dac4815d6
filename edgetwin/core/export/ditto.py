"""The twin as a thing of Eclipse Ditto: one feature for each owner of tags, one property for each.

A property's ``value`` is null until a connection of Ditto's maps our messages to it; beside it
stand unit, range and where in them it is found. Thing ids: namespace (Java package notation), a
colon, a name.
"""

from typing import Any

from edgetwin.core.export.quantities import MEASURES
from edgetwin.core.export.view import bounds, identifier, own_name, owners, write_bounds
from edgetwin.core.plan import GatewayPlan, MqttSettings
from edgetwin.core.tags import Tag

_NAMESPACE = "edgetwin"


def thing(plan: GatewayPlan) -> dict[str, Any]:
    """The thing of one gateway."""
    levels = [identifier(value).lower() for value in plan.hierarchy.values()]
    id_ = f"{'.'.join([_NAMESPACE, *levels])}:{plan.name}"
    return {
        "thingId": id_,
        "policyId": id_,
        "definition": f"{_NAMESPACE}:gateway:1.0.0",
        "attributes": {
            "gateway": plan.name,
            "hierarchy": dict(plan.hierarchy),
            "upstreams": {
                each.name: {"topic": each.topic, "broker": _broker(each.broker)}
                for each in plan.upstreams
                if each.sparkplug is None
            },
        },
        "features": {owner: _feature(tags) for owner, tags in owners(plan).items()},
    }


def _broker(broker: MqttSettings) -> str:
    scheme = "mqtts" if broker.tls else "mqtt"
    return f"{scheme}://{broker.host}:{broker.port}"


def _feature(tags: list[Tag]) -> dict[str, Any]:
    return {"properties": {own_name(tag): _property(tag) for tag in tags}}


def _property(tag: Tag) -> dict[str, Any]:
    known = MEASURES.get(tag.unit)
    limits = write_bounds(tag)
    return {
        "value": None,
        "place": tag.index,
        "kind": str(tag.kind),
        "type": str(tag.type),
        **({"unit": tag.unit} if tag.unit else {}),
        **({"ucum": known.ucum} if known else {}),
        **bounds(tag),
        **({"writeLimits": limits} if limits else {}),
    }
