"""Numbers, texts and columns as JSON: how every value upstream is written.

Ten significant digits, so that 32-bit integers stay exact; what is no finite number is null.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgetwin.core.reading import Floats, Scalar

DIGITS = "%.10g"
ROUGHLY = "%.4g"  # a standard deviation is not known better
_WHOLE = 1e15
_LARGEST = 1.797693134e308  # what lies above rounds to a number that no parser can hold


def document(content: object) -> bytes:
    """A whole JSON document, without spaces."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace")  # half a surrogate pair becomes its JSON escape


def scalar(value: Scalar) -> Scalar | None:
    """A value as it goes into a document."""
    if isinstance(value, float):
        return float(DIGITS % value) if abs(value) <= _LARGEST else None
    return value


def text(value: Scalar | None, form: str = DIGITS) -> str:
    """One value as JSON; integers and text are exact."""
    if isinstance(value, float):
        return form % value if abs(value) <= _LARGEST else "null"
    return json.dumps(value)


def exactly(value: Scalar | None) -> str:
    """One value as short as it can be written and still be the same."""
    if isinstance(value, float):
        if not abs(value) <= _LARGEST:
            return "null"
        whole = value == int(value) and abs(value) < _WHOLE
        return str(int(value)) if whole else repr(value)
    return json.dumps(value)


def all_numbers(column: Floats) -> bool:
    """Whether each of them can be written as a number."""
    return bool((np.abs(column) <= _LARGEST).all())


def integers(column: "np.ndarray[Any, Any]") -> bytes:
    """A column of whole numbers."""
    return b"[%s]" % ",".join(map(str, column.tolist())).encode()


def array(column: Floats, objects: Sequence[tuple[int, Scalar]] = (), form: str = DIGITS) -> bytes:
    """One call formats a whole column; members are taken singly only where one is no number."""
    if not objects and all_numbers(column):
        joined = ",".join((form,) * len(column)) % tuple(column.tolist())
    else:
        exact = dict(objects)
        joined = ",".join(text(exact.get(i, v), form) for i, v in enumerate(column.tolist()))
    return b"[%s]" % joined.encode()
