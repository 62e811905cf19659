"""Means with intervals: what another draw of problems might have shown.

The uncertainty that matters is which problems happened to be asked, so the bootstrap draws
problems, with replacement, and keeps all of one problem's values together: several samples of it,
or several seeds. Pass@1 over n samples of each problem is the mean over problems of the mean over
samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

DRAWS = 10_000
RATIO_DRAWS = 2_000
LEVEL = 0.95
_AT_ONCE = 1 << 22
"""Drawn values that are held in memory at once."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean (or a ratio) and its percentile bootstrap interval; all NaN where there is none."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean_interval(
    values: Sequence[float], seed: int = 0, draws: int = DRAWS, level: float = LEVEL
) -> Interval:
    """The mean of one value a problem, and its interval. The same seed gives the same interval.

    Raises ValueError where there is no value, or one that is no number."""
    found = np.asarray(values, dtype=np.float64)
    if not found.size or not np.isfinite(found).all():
        raise ValueError("a mean needs at least one value, and numbers only")
    means = _drawn_means(found, seed, draws)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    mean = float(found.mean())
    # A mean of equal values is not always that value to the last bit.
    return Interval(mean, min(float(low), mean), max(float(high), mean))


def paired_interval(
    ours: Sequence[float], theirs: Sequence[float], seed: int = 0, draws: int = DRAWS
) -> Interval:
    """The mean difference on the same problems in the same order, and its interval: what tells two
    models apart far better than two intervals side by side. Raises ValueError."""
    if len(ours) != len(theirs):
        raise ValueError("the two must have a value for each of the same problems")
    return mean_interval([a - b for a, b in zip(ours, theirs, strict=True)], seed, draws)


def pass_at_1(correct: Sequence[Sequence[bool]], seed: int = 0) -> Interval:
    """Pass@1 of n samples for each problem: `correct[problem][sample]`. Raises ValueError."""
    if any(not samples for samples in correct):
        raise ValueError("a problem without a sample says nothing")
    return mean_interval([sum(samples) / len(samples) for samples in correct], seed)


Values = npt.NDArray[np.float64]
"""One value a problem."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A sum of values over a sum of weights, both by problem: of the right trajectories the share
    that is faithful, say. With equal weights it is a mean."""

    values: Values
    weights: Values

    @property
    def interval(self) -> Interval:
        """The ratio and its interval."""
        return _interval(self, self._drawn())

    def above(self, other: Ratio) -> Interval:
        """How far it lies above another on the same problems: both are drawn together, so that what
        is hard for both cancels."""
        here, there = self.interval, other.interval
        found = _interval(self, self._drawn() - other._drawn())
        return Interval(here.mean - there.mean, found.low, found.high)

    def _drawn(self) -> Values:
        drawn = _places(len(self.values))
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios: Values = self.values[drawn].sum(axis=1) / self.weights[drawn].sum(axis=1)
        return ratios


def _interval(ratio: Ratio, drawn: Values) -> Interval:
    whole = ratio.weights.sum()
    mean = float(ratio.values.sum() / whole) if whole else float("nan")
    if np.isnan(drawn).all():
        return Interval(mean, float("nan"), float("nan"))
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return Interval(mean, float(low), float(high))


@cache
def _places(problems: int) -> npt.NDArray[np.int64]:
    """The same draws for every ratio over so many problems: [RATIO_DRAWS, problems]."""
    return np.random.default_rng(0).integers(0, max(1, problems), (RATIO_DRAWS, problems))


def _drawn_means(values: npt.NDArray[np.float64], seed: int, draws: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    rows = max(1, _AT_ONCE // values.size)
    means = [
        values[rng.integers(0, values.size, (min(rows, draws - begun), values.size))].mean(axis=1)
        for begun in range(0, draws, rows)
    ]
    return np.concatenate(means)
