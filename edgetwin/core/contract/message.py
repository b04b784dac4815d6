"""A kind of message, as it is declared: where it goes, when, and what each of its fields means."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

Shape: TypeAlias = Mapping[str, Any]
"""What a value may be: a fragment of JSON Schema, made by ``contract.shape``."""


class Direction(StrEnum):
    """Which way a message goes, seen from the gateway; the value is AsyncAPI's word."""

    SENT = "send"
    HEARD = "receive"


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a message. ``optional``: it may be missing, and ``meaning`` says when."""

    name: str
    shape: Shape
    meaning: str
    unit: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of message: a JSON object of exactly these fields, below ``TOPIC/suffix``.

    ``stored``: a record, with stream and sequence, from the outbox on disk. ``signed``: it travels
    as JWS. ``one_of``: exactly one of these optional fields is there. ``levels``: what follows the
    suffix in its topic. ``example`` is a whole one.
    """

    suffix: str
    title: str
    when: str
    text: str
    fields: tuple[Field, ...]
    example: Mapping[str, Any]
    retained: bool = False
    stored: bool = True
    qos: int = 1
    signed: bool = False
    one_of: tuple[str, ...] = ()
    levels: str = ""
    direction: Direction = Direction.SENT
