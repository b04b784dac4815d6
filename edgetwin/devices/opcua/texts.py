"""Values that are told as text: read from the wire, and as asyncua has decoded them.

A text longer than ``LONGEST_TEXT`` is no value: the twin is no place for files.
"""

import struct
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from uuid import UUID

from edgetwin.devices.opcua.columns import (
    BYTE_STRING,
    GUID,
    LOCALIZED_TEXT,
    LONGEST_TEXT,
    QUALIFIED_NAME,
    STRING,
    XML_ELEMENT,
)
from edgetwin.devices.opcua.skip import Bytes, skip_string, text_at

Read = tuple[str | None, int]
"""The text (None: there is none) and where it ends."""


def _base64(content: bytes) -> str | None:
    """As OPC UA's JSON has it (OPC 10000-6 §5.4.2.8)."""
    return b64encode(content).decode() if len(content) <= LONGEST_TEXT else None


def _guid(data: Bytes, at: int) -> Read:
    if len(data) < at + 16:
        raise struct.error("the reply ends within a Guid")
    return str(UUID(bytes_le=bytes(data[at : at + 16]))), at + 16


def _bytes(data: Bytes, at: int) -> Read:
    end = skip_string(data, at)
    if data[at : at + 4] == b"\xff\xff\xff\xff":
        return None, end
    return _base64(data[at + 4 : end]), end


def _qualified(data: Bytes, at: int) -> Read:
    return text_at(data, at + 2)


def _localized(data: Bytes, at: int) -> Read:
    """LocalizedText (OPC 10000-6 §5.2.2.14): a mask says whether locale and text follow."""
    mask, text = data[at], None
    at += 1
    if mask & 1:
        _, at = text_at(data, at)
    if mask & 2:
        text, at = text_at(data, at)
    return text, at


READERS: dict[int, Callable[[Bytes, int], Read]] = {
    STRING: text_at,
    GUID: _guid,
    BYTE_STRING: _bytes,
    XML_ELEMENT: text_at,
    QUALIFIED_NAME: _qualified,
    LOCALIZED_TEXT: _localized,
}
"""By the number of the built-in type."""

_OF_ASYNCUA: dict[int, Callable[[Any], str | None]] = {
    STRING: lambda value: value,
    GUID: str,
    BYTE_STRING: _base64,
    XML_ELEMENT: lambda value: value.Value,
    QUALIFIED_NAME: lambda value: value.Name,
    LOCALIZED_TEXT: lambda value: value.Text,
}


def told(kind: int, value: Any) -> str | None:  # noqa: ANN401 (by type)
    """The same text from what asyncua makes of a value."""
    text = None if value is None else _OF_ASYNCUA[kind](value)
    return None if text is None or len(text) > LONGEST_TEXT else text
