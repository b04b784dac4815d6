"""What a value may be, as fragments of JSON Schema (draft 2020-12)."""

from collections.abc import Iterable, Mapping
from typing import Any

from edgetwin.core.contract.message import Field, Shape

SCALAR: Shape = {"type": ["number", "string", "boolean", "null"]}
"""A number, a text, or null: what a tag can hold."""

FLAG: Shape = {"type": "boolean"}
NAMED: Shape = {"type": "string", "minLength": 1}
ANY_TEXT: Shape = {"type": "string"}
BIRTH: Shape = {"type": "string", "pattern": "^[0-9a-f]{12}$"}


def whole(least: int | None = 0, *, nullable: bool = False) -> Shape:
    """A whole number, from ``least`` on."""
    kind: Any = ["integer", "null"] if nullable else "integer"
    return {"type": kind} if least is None else {"type": kind, "minimum": least}


def number(*, nullable: bool = False, **bounds: float) -> Shape:
    """A number; ``minimum`` and ``maximum`` as JSON Schema has them."""
    return {"type": ["number", "null"] if nullable else "number", **bounds}


def constant(value: object) -> Shape:
    """Always this."""
    return {"const": value}


def one_of(words: Iterable[object]) -> Shape:
    """One of these."""
    return {"enum": list(words)}


def told(meanings: Mapping[str, str]) -> Shape:
    """One of these words, each with what it means."""
    choices = [{"const": word, "description": meaning} for word, meaning in meanings.items()]
    return {"type": "string", "oneOf": choices}


def pattern(regex: str) -> Shape:
    """A text of this form."""
    return {"type": "string", "pattern": regex}


def array(of: Shape, least: int = 0) -> Shape:
    """Any number of the same."""
    return {"type": "array", "items": of, **({"minItems": least} if least else {})}


def column(of: Shape) -> Shape:
    """One value for each tag that a summary tells of."""
    return array(of)


def row(*places: Shape) -> Shape:
    """An array whose places each have a meaning of their own: exactly so many."""
    size = len(places)
    return {
        "type": "array",
        "prefixItems": list(places),
        "items": False,
        "minItems": size,
    }


def titled(shape: Shape, meaning: str) -> Shape:
    """A shape that says what it is."""
    return {**shape, "description": meaning}


def names_to(of: Shape, name: str = "") -> Shape:
    """An object with names of the plant's own; ``name`` is the form of the names."""
    keys: Shape = {"propertyNames": {"pattern": name}} if name else {}
    return {"type": "object", "additionalProperties": of, **keys}


def record(*fields: Field) -> Shape:
    """An object of exactly these fields."""
    return {
        "type": "object",
        "properties": {each.name: _described(each) for each in fields},
        "required": [each.name for each in fields if not each.optional],
        "additionalProperties": False,
    }


def _described(field: Field) -> Shape:
    unit = {"x-unit": field.unit} if field.unit else {}
    return {"description": field.meaning, **unit, **field.shape}
