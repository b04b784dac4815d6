"""The twin as a W3C Web of Things Thing Description 1.1.

Each tag is a property, observed in the summaries: these carry arrays, so a form says by our own
terms where in them it stands (``place`` in the birth's order, ``column``). What is sent besides is
an event. TD: https://www.w3.org/TR/wot-thing-description11; forms: the MQTT binding's ``mqv``.
"""

from collections.abc import Iterator
from typing import Any

from edgetwin.core.errors import EdgetwinError
from edgetwin.core.export.quantities import MEASURES
from edgetwin.core.export.view import about, bounds, is_whole, second_names, write_bounds
from edgetwin.core.plan import GatewayPlan, UpstreamPlan
from edgetwin.core.tags import Tag, ValueType

_CONTEXT = [
    "https://www.w3.org/2022/wot/td/v1.1",
    {
        "mqv": "https://www.w3.org/2019/wot/mqtt#",
        "unit": "http://qudt.org/vocab/unit/",
        "edgetwin": "urn:edgetwin:v1:",
    },
]
_EVENTS = {
    "event": "Something happened: an anomaly, an alarm, a write, a mode.",
    "report": "Points of tags that are told by exception.",
    "capture": "The raw readings around an anomaly.",
    "gap": "Something will never come, and why.",
    "status": "The gateway came, or left.",
}
_RETAINED = {"status"}
_SCHEMES: dict[str, dict[str, str]] = {
    "password": {"scheme": "basic", "in": "auto"},
    "certificate": {"scheme": "auto"},
    "open": {"scheme": "nosec"},
}


def thing_description(plan: GatewayPlan) -> dict[str, Any]:
    """The Thing Description of one gateway.

    Raises:
        EdgetwinError: no upstream speaks edgetwin's own JSON, so there is nothing to observe.
    """
    lines = [each for each in plan.upstreams if each.sparkplug is None]
    if not lines:
        raise EdgetwinError(
            "a Thing Description tells where its values are observed, and no upstream sends "
            "edgetwin's own JSON. Add one below upstream:"
        )
    return {
        "@context": _CONTEXT,
        "@type": "Thing",
        "id": f"urn:edgetwin:gateway:{plan.name}",
        "title": plan.name,
        "description": "The twin that an edgetwin gateway keeps of its machines.",
        **_hierarchy(plan),
        "version": {"instance": "1.0.0"},
        **_security(lines),
        "properties": dict(_properties(plan, lines)),
        "events": {
            kind: _event(kind, text, lines)
            for kind, text in _EVENTS.items()
            if kind != "report" or any(tag.report for tag in plan.tags)
        },
        **_actions(lines),
    }


def _hierarchy(plan: GatewayPlan) -> dict[str, Any]:
    return {"edgetwin:hierarchy": dict(plan.hierarchy)} if plan.hierarchy else {}


def _security(lines: list[UpstreamPlan]) -> dict[str, Any]:
    names = [_scheme(line) for line in lines]
    return {
        "securityDefinitions": {name: _SCHEMES[name] for name in names},
        "security": names[:1],
    }


def _scheme(line: UpstreamPlan) -> str:
    """How a subscriber would most likely log in: as the gateway does."""
    if line.broker.user:
        return "password"
    return "certificate" if line.broker.cert_file else "open"


def _properties(
    plan: GatewayPlan, lines: list[UpstreamPlan]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tags that anything tells of: without a form there is no property."""
    for tag in plan.tags:
        if forms := [form for line in lines for form in _observe(plan, tag, line)]:
            yield tag.name, _property(plan, tag, forms)


def _property(plan: GatewayPlan, tag: Tag, forms: list[dict[str, Any]]) -> dict[str, Any]:
    others = second_names(plan, tag)
    writable = write_bounds(tag)
    return {
        "title": tag.name,
        "description": about(plan, tag),
        **_data(tag),
        **_unit(tag),
        **bounds(tag),
        "readOnly": True,
        "observable": True,
        **({"edgetwin:alsoCalled": others} if others else {}),
        **({"edgetwin:writeLimits": writable} if writable else {}),
        **({"edgetwin:writeBy": "request"} if _can_be_asked(plan, tag) else {}),
        "forms": forms,
    }


def _data(tag: Tag) -> dict[str, str]:
    """Bits are 0 and 1 on the wire, since a summary has their mean."""
    if tag.type is ValueType.TEXT:
        return {"type": "string"}
    return {"type": "integer" if is_whole(tag) or tag.type is ValueType.BIT else "number"}


def _unit(tag: Tag) -> dict[str, str]:
    known = MEASURES.get(tag.unit)
    if known:
        return {"unit": f"unit:{known.qudt}", "edgetwin:ucum": known.ucum}
    return {"unit": tag.unit} if tag.unit else {}


def _observe(plan: GatewayPlan, tag: Tag, line: UpstreamPlan) -> Iterator[dict[str, Any]]:
    """Where it is told: in summaries, in reports, with every value, each with its place there."""
    op = {"op": ["observeproperty", "unobserveproperty"]}
    if tag.summary is not None:
        place = [each.index for each in plan.tags if each.summary == tag.summary].index(tag.index)
        which = {"edgetwin:set": tag.summary} if tag.summary else {}
        column = {"edgetwin:column": "last", "edgetwin:place": place}
        yield {**_form(line, "summary"), **op, **which, **column}
    if tag.report:
        yield {**_form(line, "report"), **op, "edgetwin:place": tag.index}
    if line.values:
        yield {**_form(line, "values"), **op, "edgetwin:member": tag.name}


def _event(kind: str, text: str, lines: list[UpstreamPlan]) -> dict[str, Any]:
    return {
        "title": kind,
        "description": text,
        "data": {"type": "object"},
        "forms": [
            {**_form(line, kind), "op": ["subscribeevent", "unsubscribeevent"]} for line in lines
        ],
    }


def _can_be_asked(plan: GatewayPlan, tag: Tag) -> bool:
    return any(
        each.requests is not None and tag.index in each.requests.tags
        for each in plan.upstreams
        if each.sparkplug is None
    )


def _actions(lines: list[UpstreamPlan]) -> dict[str, Any]:
    """A request is an action: it is signed, judged and answered, which no property write is."""
    listening = [line for line in lines if line.requests is not None]
    if not listening:
        return {}
    action = {
        "title": "request",
        "description": "Ask for a write, or for a loop's mode. Signed (JWS, Ed25519).",
        "input": {"type": "object"},
        "safe": False,
        "idempotent": False,
        "forms": [_ask(line) for line in listening],
    }
    return {"actions": {"request": action}}


def _ask(line: UpstreamPlan) -> dict[str, Any]:
    form = {**_form(line, "request"), "op": "invokeaction", "contentType": "application/jose"}
    topic = form.pop("mqv:filter")
    reply = {"edgetwin:reply": f"{line.topic}/reply"}
    return {**form, "mqv:controlPacket": "publish", "mqv:topic": topic, **reply}


def _form(line: UpstreamPlan, kind: str) -> dict[str, Any]:
    scheme = "mqtts" if line.broker.tls else "mqtt"
    host = f"[{line.broker.host}]" if ":" in line.broker.host else line.broker.host
    return {
        "href": f"{scheme}://{host}:{line.broker.port}",
        "contentType": "application/json",
        "security": [_scheme(line)],
        "mqv:controlPacket": "subscribe",
        "mqv:filter": f"{line.topic}/{kind}",
        "mqv:qos": "1",
        "mqv:retain": kind in _RETAINED,
    }
