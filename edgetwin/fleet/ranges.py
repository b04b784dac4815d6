"""What is normal for a type of asset, seen over many gateways.

Of each window a gateway tells the least, the mean and the greatest value of each tag. Per gateway
and tag the last ``KEPT`` windows are kept; from them come four edges:

    low   1 % of its minima        mean_low   1 % of its means
    high  99 % of its maxima       mean_high  99 % of its means

A machine that is not well, or a gateway that lies, must not widen what is normal for all others. So
an edge of the fleet is the median of the gateways' edges, moved outwards by ``REACH`` robust
deviations (1.4826 x the median distance from the median: for normal scatter one standard
deviation). Less than half of the gateways, whatever they say, cannot move a median beyond what the
rest says; and with fewer than ``least`` gateways nothing is said at all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from edgetwin.core.ranges import Edges, Ranges
from edgetwin.core.reading import Floats

KEPT = 300
REACH = 4.0
FEWEST_WINDOWS = 20
_MAD = 1.4826
_TAIL = 0.01
_LEAST_REACH = 0.02  # of the width: a fleet of equals still scatters
_EDGES = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """One tag in one window, over its good readings."""

    minimum: float
    mean: float
    maximum: float


class _Ring:
    """The last windows of one tag of one gateway: float64[KEPT, 3]."""

    __slots__ = ("count", "rows")

    def __init__(self) -> None:
        self.rows: Floats = np.empty((KEPT, 3))
        self.count = 0

    def put(self, seen: Seen) -> None:
        self.rows[self.count % KEPT] = seen.minimum, seen.mean, seen.maximum
        self.count += 1

    def edges(self) -> Floats:
        """float64[4]: low, mean_low, mean_high, high."""
        rows = self.rows[: min(self.count, KEPT)]
        means = np.quantile(rows[:, 1], (_TAIL, 1 - _TAIL))
        low, high = np.quantile(rows[:, 0], _TAIL), np.quantile(rows[:, 2], 1 - _TAIL)
        return np.array([low, *means, high])


class Gathering:
    """Windows of one type of asset, from all its gateways; ``window`` ms is their length."""

    def __init__(self, type_: str, window: int) -> None:
        self.type = type_
        self.window = window
        self._rings: dict[str, dict[str, _Ring]] = {}

    def take(self, owner: str, tags: Mapping[str, Seen]) -> None:
        """One window of one asset. ``owner`` tells assets apart (``gw-7/pump``)."""
        for tag, seen in tags.items():
            if np.isfinite((seen.minimum, seen.mean, seen.maximum)).all():
                self._rings.setdefault(tag, {}).setdefault(owner, _Ring()).put(seen)

    def ranges(self, made: int, least: int) -> Ranges | None:
        """What is normal, tag by tag; None where no tag has ``least`` assets to speak for it.

        ``made`` is UTC ms; later ranges replace earlier ones.
        """
        found: dict[str, Edges] = {}
        speakers = 0
        for tag, rings in sorted(self._rings.items()):
            full = [ring for ring in rings.values() if ring.count >= FEWEST_WINDOWS]
            if len(full) >= least:
                found[tag] = fleet_edges(ring.edges() for ring in full)
                speakers = max(speakers, len(full))
        if not found:
            return None
        return Ranges(self.type, made, self.window, speakers, found)


def fleet_edges(own: Iterable[Floats]) -> Edges:
    """The fleet's edges from those of each asset, float64[4]: low, mean_low, mean_high, high."""
    rows = np.array(list(own)).reshape(-1, _EDGES)
    middle = np.median(rows, axis=0)
    spread = _MAD * np.median(np.abs(rows - middle), axis=0)
    reach = np.maximum(REACH * spread, _LEAST_REACH * (middle[3] - middle[0]))
    low, mean_low, mean_high, high = (middle + reach * (-1, -1, 1, 1)).tolist()
    return Edges(low, mean_low, mean_high, high)
