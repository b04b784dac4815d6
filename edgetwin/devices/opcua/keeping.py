"""One value where it belongs: in the column, and beside it what a float64 does not hold."""

from datetime import UTC, datetime, timedelta
from typing import Any

from edgetwin.core.reading import Scalar
from edgetwin.devices.opcua.columns import DATETIME, EPOCH, INT64, UINT64, Columns

EXACT = 1 << 53
"""Up to here a float64 has room for each whole number."""


def keep(columns: Columns, place: int, kind: int, value: Any) -> None:  # noqa: ANN401 (by built-in type)
    """Put one number where it belongs: the column, and the exact lane if float64 would round it."""
    if kind == DATETIME:
        columns.values[place] = (value - EPOCH) / 1e7
        columns.objects.append((place, moment(value)))
        return
    columns.values[place] = value
    if kind in (INT64, UINT64) and abs(value) > EXACT:
        columns.objects.append((place, value))


def moment(ticks: int) -> Scalar:
    """A DateTime as ISO 8601 in UTC; the standard's bounds where a calendar ends."""
    try:
        when = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return "9999-12-31T23:59:59+00:00"
    return when.isoformat()
