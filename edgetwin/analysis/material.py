"""What a model is learned from, and the form in which it goes to the learning process."""

import io
import zipfile
from dataclasses import dataclass

import numpy as np

from edgetwin.core.errors import ModelError
from edgetwin.core.reading import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Rows of normal operation, float64[rows, tags], evenly spaced, oldest first.

    ``window`` is in rows; ``limit`` is the score above which an alarm starts; ``start`` and ``end``
    are UTC ns of the first and the last row (0: not known).
    """

    rows: Floats
    tags: tuple[str, ...]
    units: tuple[str, ...]
    window: int
    limit: float
    start: int = 0
    end: int = 0


def pack(material: Material) -> bytes:
    """As the bytes of an npz file."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        rows=material.rows,
        tags=np.array(material.tags, np.str_),
        units=np.array(material.units, np.str_),
        window=np.int64(material.window),
        limit=np.float64(material.limit),
        start=np.int64(material.start),
        end=np.int64(material.end),
    )
    return buffer.getvalue()


def unpack(packed: bytes) -> Material:
    """Read what ``pack`` wrote.

    Raises:
        ModelError: these bytes are nothing of the kind.
    """
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as file:
            return Material(
                rows=np.asarray(file["rows"], np.float64),
                tags=tuple(str(tag) for tag in file["tags"]),
                units=tuple(str(unit) for unit in file["units"]),
                window=int(file["window"]),
                limit=float(file["limit"]),
                start=int(file["start"]),
                end=int(file["end"]),
            )
    except (ValueError, KeyError, EOFError, OSError, TypeError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"the rows to learn from cannot be read ({error}); "
            "they are an .npz file with rows, tags, units, window, limit, start and end"
        ) from error
