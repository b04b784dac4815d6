"""JSON Schemas (draft 2020-12), one for each kind of message.

They are strict: a member that is not declared is wrong. Additions come with a new version of the
contract, or as optional members; so keep to the schema of the version that a message carries.
"""

from typing import Any

from edgetwin.core.contract.message import Message
from edgetwin.core.contract.shape import record
from edgetwin.core.payload import VERSION

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema(of: Message) -> dict[str, Any]:
    """The schema of one kind of message."""
    return {
        "$schema": DRAFT,
        "$id": f"urn:edgetwin:v{VERSION}:{of.suffix}",
        "title": of.title,
        "description": of.text,
        **record(*of.fields),
        **({"oneOf": [{"required": [name]} for name in of.one_of]} if of.one_of else {}),
        "examples": [dict(of.example)],
    }
