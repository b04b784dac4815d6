"""The built-in detector: what normal is, how far from it a window is, and when that is an alarm.

Theory of operation. A window of raw rows is averaged over its last two fifths (*short*) and over
all of it (*long*). Three distances from the mean of the training rows are taken, each the root of a
sum of squares with one term a tag:

    T   short mean, Mahalanobis; the covariance is that of short means plus the drift to expect
    Q   short mean, the part outside the principal space of that covariance, each tag counted in
        its own spread: relations that no longer hold
    Z   long mean, tag by tag over its own spread plus drift; the largest counts

The drift to expect comes from how far the means of blocks of training rows lie apart. A tag that
does little else than wander (a bearing that warms up) will go on to where it has not been yet, and
a few blocks of it tell little about how far; so its drift is widened by how much of its variance
is slow (``_slowness``). A tag that is noise about a level keeps narrow limits.

Each is divided by its own limit: the geometric mean of its 99 % point on the training rows, and of
that on their second half under a model of the first half, which tells how much worse than on its
own rows a model is later. The score is the geometric mean of the three; a tag's share is the mean
of its parts of T, Q and Z.

All of it is two matrix products (``Fit.smooth``, ``Fit.mix``), so it fits into one small ONNX
graph; ``evaluate`` is the reference that the graph is checked against. The constants were chosen
on 19 experiments of a real rig (docs/anomaly.md).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgetwin.core.errors import ModelError
from edgetwin.core.plan import rows_needed
from edgetwin.core.reading import Floats

BLOCKS = 8
DRIFT_WEIGHT = 6.0
SLOW_WEIGHT = 40.0
SHORT_SHARE = 0.4
SPREAD_FLOOR = 0.01
PRINCIPAL_SHARE = 0.85
LIMIT_QUANTILE = 0.99
LIMIT_FLOOR = 0.05
PART_FLOOR = 0.1
PART_CEILING = 1e5
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Score:
    """How far from normal a window is; ``shares`` float64[tags] of each tag in that, sum 1 or 0."""

    value: float
    shares: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What was learned, for n tags and windows of w rows.

    ``center``      float64[n], in the tags' own units
    ``smooth``      float64[2, w], the weights of the short and the long mean
    ``mix``         float64[2n, 3n], from both means' deviations to the terms of T, Q and Z
    ``low`` ``high``  float64[n], the range of the training rows
    """

    center: Floats
    smooth: Floats
    mix: Floats
    low: Floats
    high: Floats
    rows: int


def fit(rows: Floats, window: int) -> Fit:
    """Learn from float64[rows, n] of normal operation, evenly spaced in time, oldest first.

    Raises:
        ModelError: too few rows, or one of them holds no number.
    """
    _check(rows, window)
    smooth = _smooth(window)
    scale = _scale(rows)
    half = len(rows) // 2
    center, mix = _learn(rows, scale, smooth)
    early = _learn(rows[:half], scale, smooth)
    own = _parts(_means(rows, smooth), center, mix)
    later = _parts(_means(rows[half - window + 1 :], smooth), *early)
    limits = np.sqrt(_limit(own) * _limit(later))
    return Fit(
        center=center,
        smooth=smooth,
        mix=mix / np.repeat(np.maximum(limits, LIMIT_FLOOR), rows.shape[1]),
        low=rows.min(axis=0),
        high=rows.max(axis=0),
        rows=len(rows),
    )


def evaluate(learned: Fit, window: NDArray[np.float32]) -> Score:
    """Score one window, float32[w, n]: the reference that an ONNX file is checked against."""
    n = len(learned.center)
    means = learned.smooth @ (window - learned.center)
    terms = np.clip(means.reshape(2 * n) @ learned.mix, -PART_CEILING, PART_CEILING) ** 2
    tqz = terms.reshape(3, n)
    sums = tqz.sum(axis=1)
    parts = np.maximum(np.array([sums[0], sums[1], tqz[2].max()]), PART_FLOOR**2)
    shares = (tqz / np.maximum(sums, TINY)[:, None]).sum(axis=0)
    return Score(float(np.prod(parts) ** (1 / 6)), shares / max(float(shares.sum()), TINY))


# ---------------------------------------------------------------- learning


def _check(rows: Floats, window: int) -> None:
    need = rows_needed(window)
    if len(rows) < need:
        raise ModelError(
            f"{len(rows)} rows are too few to learn from; a window of {window} needs {need}"
        )
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise ModelError(f"row {row}, column {column} of the training rows is no number")


def _smooth(window: int) -> Floats:
    short = max(1, round(SHORT_SHARE * window))
    weights = np.zeros((2, window))
    weights[0, -short:] = 1 / short
    weights[1] = 1 / window
    return weights


def _scale(rows: Floats) -> Floats:
    """The spread of each tag; a constant one is counted in steps of 1 % of its value."""
    spread, level = rows.std(axis=0), np.abs(rows.mean(axis=0))
    constant = spread <= 1e-6 * level + 1e-12
    return np.where(constant, np.where(level > 0, 0.01 * level, 1.0), spread)


def _trailing(x: Floats, size: int) -> Floats:
    total = np.vstack([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)])
    return (total[size:] - total[:-size]) / size


def _means(rows: Floats, smooth: Floats) -> Floats:
    """Short and long mean at the end of every whole window: float64[windows, 2, n].

    The running sums are taken about the first row, so that a large level costs no digits.
    """
    window = smooth.shape[1]
    x = rows - rows[0]
    short = _trailing(x, int(np.count_nonzero(smooth[0])))[-(len(rows) - window + 1) :]
    result: Floats = np.stack([short, _trailing(x, window)], axis=1) + rows[0]
    return result


def _learn(rows: Floats, scale: Floats, smooth: Floats) -> tuple[Floats, Floats]:
    """Center float64[n] and mix float64[2n, 3n], the limits not yet in it."""
    n = rows.shape[1]
    center = rows.mean(axis=0)
    x = (rows - center) / scale
    drift = _drift(x)
    short = np.cov(_trailing(x, int(np.count_nonzero(smooth[0]))), rowvar=False)
    covariance = np.atleast_2d(short) + drift + SPREAD_FLOOR * np.eye(n)
    spread = _trailing(x, smooth.shape[1]).var(axis=0) + np.diag(drift) + SPREAD_FLOOR
    mix = np.zeros((2, n, 3, n))
    mix[0, :, 0] = _inverse_root(covariance)
    mix[0, :, 1] = _residual(covariance)
    mix[1, :, 2] = np.diag(1 / np.sqrt(spread))
    return center, mix.reshape(2 * n, 3 * n) / np.tile(scale, 2)[:, None]


def _drift(x: Floats) -> Floats:
    """How far from their training means tags may wander by themselves: a covariance."""
    blocks = np.array([block.mean(axis=0) for block in np.array_split(x, BLOCKS)])
    steps = np.diff(blocks, axis=0)
    wide = np.sqrt(1 + SLOW_WEIGHT * _slowness(x) ** 2)
    result: Floats = DRIFT_WEIGHT * (steps.T @ steps) / len(steps) * np.outer(wide, wide)
    return result


def _slowness(x: Floats) -> Floats:
    """The share of each tag's variance that is slower than half a block.

    0 for noise about a level, 1 for a tag that does nothing but wander.
    """
    size = max(2, len(x) // (2 * BLOCKS))
    slow = _trailing(x, size).var(axis=0) / np.maximum(x.var(axis=0), TINY)
    result: Floats = np.clip((slow - 1 / size) / (1 - 1 / size), 0, 1)
    return result


def _inverse_root(covariance: Floats) -> Floats:
    """The symmetric inverse root: squared terms that add up to the distance, each of one tag.

    (The decomposition of Garthwaite and Koch, 2016, without their scaling.)
    """
    values, vectors = np.linalg.eigh(covariance)
    result: Floats = (vectors / np.sqrt(values)) @ vectors.T
    return result


def _residual(covariance: Floats) -> Floats:
    """The projection out of the principal space of the correlations, and the way there.

    One dimension at least is always left.
    """
    spread = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(spread, spread))
    falling = np.maximum(values[::-1], 0.0)
    inside = np.cumsum(falling) < PRINCIPAL_SHARE * falling.sum()
    count = min(int(inside.sum()) + 1, len(values) - 1)
    principal = vectors[:, len(values) - count :]
    result: Floats = (np.eye(len(values)) - principal @ principal.T) / spread[:, None]
    return result


def _parts(means: Floats, center: Floats, mix: Floats) -> Floats:
    """T, Q and Z of many windows: float64[windows, 3]."""
    n = len(center)
    terms = ((means - center).reshape(len(means), 2 * n) @ mix).reshape(-1, 3, n) ** 2
    sums = terms.sum(axis=2)
    sums[:, 2] = terms[:, 2].max(axis=1)
    result: Floats = np.sqrt(sums)
    return result


def _limit(parts: Floats) -> Floats:
    result: Floats = np.quantile(parts, LIMIT_QUANTILE, axis=0)
    return result


# ---------------------------------------------------------------- alarms


@dataclass(frozen=True, slots=True)
class Alarm:
    """Where the alarm rule stands. ``peak`` is that of the alarm that is on, or was.

    ``since`` and ``cleared`` are monotonic ns; ``cleared_at`` is the score at which it ended.
    """

    on: bool = False
    since: int = 0
    peak: float = 0.0
    cleared: int = 0
    cleared_at: float = 0.0


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """Scores to alarms, a pure step.

    An alarm starts above the bar and ends below ``release`` of its peak (of ``ceiling`` limits at
    most: an extreme peak must not end the alarm while the score is still far out). A plant that
    recovers wobbles, so right after an alarm the bar is ``caution`` times the score at its end, and
    sinks back to ``limit`` with the time constant ``calm_s``.

    A second fault cannot hide behind that bar. It stays below release x caution = 0.75 of the peak,
    so a fault as strong as the last is seen at once; and below 0.75 x ceiling = 4.5 limits, so one
    of twice the limit is seen after at most 1.3 calm_s. Measured on the rig: 120 s costs 0.6
    points of F1, 600 s or no decay at all would gain 0.15.
    """

    limit: float
    release: float = 0.5
    caution: float = 1.5
    ceiling: float = 6.0
    calm_s: float = 300.0

    def bar(self, alarm: Alarm, now: int) -> float:
        """The score above which an alarm would start now (monotonic ns)."""
        raised = self.caution * alarm.cleared_at - self.limit
        if raised <= 0:
            return self.limit
        return self.limit + raised * math.exp((alarm.cleared - now) / (self.calm_s * 1e9))

    def step(self, alarm: Alarm, score: float, now: int) -> Alarm:
        """What a finite score at this moment (monotonic ns) makes of the alarm."""
        if not alarm.on:
            if score <= self.bar(alarm, now):
                return alarm
            return replace(alarm, on=True, since=now, peak=score)
        peak = max(alarm.peak, score)
        if score < self.release * min(peak, self.ceiling * self.limit):
            return replace(alarm, on=False, peak=peak, cleared=now, cleared_at=score)
        return replace(alarm, peak=peak)
