"""The AsyncAPI 3.0 document: topics, messages and who sends them, for tools and for people."""

import re
from collections.abc import Collection, Iterator
from typing import Any

from edgetwin.core.contract.kinds import MESSAGES
from edgetwin.core.contract.message import Direction, Message
from edgetwin.core.contract.schema import schema
from edgetwin.core.encoding import GZIP, PLAIN
from edgetwin.core.payload import VERSION

_MQTT = "0.2.0"
"""The version of AsyncAPI's binding for MQTT."""

_SCHEMA = "application/schema+json;version=draft-2020-12"

_JOSE = "application/jose"
"""JWS in its compact form (RFC 7515 §9.2.1)."""

_PARAMETERS = "#/components/parameters"
_PART = re.compile(r"\{(\w+)\}")
_TYPE = {"description": "A type of machine, as assets say it.", "examples": ["pump-40"]}

_ABOUT = (
    "What an edgetwin gateway says over MQTT: one JSON object per message, QoS 1, below one topic. "
    "Names, units and types travel once, in the retained birth; after that a tag is its place in "
    "the birth's list. Each record carries a stream and a number in it, so that a subscriber can "
    "prove that nothing is missing and nothing is doubled. All times are milliseconds since 1970, "
    f"UTC. A record of content type {GZIP} is the same, compressed: see the channel accept. "
    "The prose is docs/upstream.md; this document is rendered from edgetwin/core/contract."
)
_TOPIC = (
    "What all topics of a gateway begin with, one level or several: the option topic: of its "
    "upstream."
)


def document(
    topic: str = "",
    host: str = "",
    *,
    tls: bool = True,
    kinds: Collection[str] = tuple(MESSAGES),
) -> dict[str, Any]:
    """The whole document; with ``topic`` (and broker) that of one gateway, schemas included.

    ``kinds`` are the messages that it tells of.
    """
    address = topic or "{topic}"
    told = [each for suffix, each in MESSAGES.items() if suffix in kinds]
    named = {name for each in told for name in _PART.findall(each.levels)}
    parameters = {
        **({} if topic else {"topic": _topic()}),
        **({"type": _TYPE} if "type" in named else {}),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "edgetwin upstream",
            "version": f"{VERSION}.0.0",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": PLAIN,
        "servers": {"broker": _server(host, tls=tls)},
        "channels": {each.suffix: _channel(each, address) for each in told},
        "operations": dict(map(_operation, told)),
        "components": {
            **({"parameters": parameters} if parameters else {}),
            "messages": {each.suffix: _message(each, whole=bool(topic)) for each in told},
        },
    }


def _server(host: str, *, tls: bool) -> dict[str, Any]:
    return {
        "host": host or "broker.example:8883",
        "protocol": "secure-mqtt" if tls else "mqtt",
        "protocolVersion": "5.0",
        "description": "The broker of the upstream; 3.1.1 where it knows no other version.",
    }


def _topic() -> dict[str, Any]:
    return {"description": _TOPIC, "default": "edgetwin/pump-7", "examples": ["plant/line-1"]}


def _channel(message: Message, address: str) -> dict[str, Any]:
    parameters = {} if address != "{topic}" else {"topic": {"$ref": f"{_PARAMETERS}/topic"}}
    for name in _PART.findall(message.levels):
        parameters[name] = {"$ref": f"{_PARAMETERS}/{name}"}
    return {
        "address": f"{address}/{message.suffix}{message.levels}",
        "title": message.title,
        "description": message.text,
        "messages": {message.suffix: {"$ref": f"#/components/messages/{message.suffix}"}},
        **({"parameters": parameters} if parameters else {}),
    }


def _operation(message: Message) -> tuple[str, dict[str, Any]]:
    suffix = message.suffix
    binding = {"qos": message.qos, "bindingVersion": _MQTT}
    if message.direction is Direction.SENT:
        binding["retain"] = message.retained
    return f"{message.direction}{message.title.replace(' ', '')}", {
        "action": str(message.direction),
        "channel": {"$ref": f"#/channels/{suffix}"},
        "title": f"{message.title}, {message.when}",
        "messages": [{"$ref": f"#/channels/{suffix}/messages/{suffix}"}],
        "bindings": {"mqtt": binding},
    }


def _message(message: Message, *, whole: bool) -> dict[str, Any]:
    content = schema(message) if whole else {"$ref": f"./schemas/{message.suffix}.json"}
    if message.signed:
        content = {"type": "string", "contentMediaType": _JOSE, "contentSchema": content}
    return {
        "name": message.suffix,
        "title": message.title,
        "summary": f"{message.when[0].upper()}{message.when[1:]}.",
        "contentType": _JOSE if message.signed else PLAIN,
        "payload": {"schemaFormat": _SCHEMA, "schema": content},
        **({} if message.signed else {"examples": [{"payload": dict(message.example)}]}),
        "tags": [{"name": tag} for tag in _tags(message)],
    }


def _tags(message: Message) -> Iterator[str]:
    if message.retained:
        yield "retained"
    if message.stored:
        yield "record"
    if message.signed:
        yield "signed"
