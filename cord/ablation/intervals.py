"""Intervals by bootstrap over problems: what another draw of problems might have shown.

A problem is drawn with its values of all seeds: runs of one problem under several seeds are no
independent problems.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def estimate(values: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> Estimate:
    """The mean of `values` [problems], with the interval that draws of the problems give.

    With `weights` [problems] it is a ratio, sum of values over sum of weights: the share of right
    trajectories that are faithful, say. NaN where nothing has a weight."""
    weights = np.ones_like(values) if weights is None else weights
    drawn = _draws(len(values))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = values[drawn].sum(axis=1) / weights[drawn].sum(axis=1)
        mean = float(values.sum() / weights.sum()) if len(values) else float("nan")
    if np.isnan(means).all():
        return Estimate(mean, float("nan"), float("nan"))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(means, [tail, 100 - tail])
    return Estimate(mean, float(low), float(high))


def difference(
    one: tuple[NDArray[np.float64], NDArray[np.float64] | None],
    other: tuple[NDArray[np.float64], NDArray[np.float64] | None],
) -> Estimate:
    """How far the mean (or ratio) of `one` lies above that of `other`, on the same problems: both
    are drawn together, so that what is hard for both cancels."""
    (a, a_weights), (b, b_weights) = one, other
    a_weights = np.ones_like(a) if a_weights is None else a_weights
    b_weights = np.ones_like(b) if b_weights is None else b_weights
    drawn = _draws(len(a))
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = a[drawn].sum(axis=1) / a_weights[drawn].sum(axis=1) - b[drawn].sum(
            axis=1
        ) / b_weights[drawn].sum(axis=1)
        mean = float(a.sum() / a_weights.sum() - b.sum() / b_weights.sum())
    if np.isnan(apart).all():
        return Estimate(mean, float("nan"), float("nan"))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(apart, [tail, 100 - tail])
    return Estimate(mean, float(low), float(high))


def _draws(problems: int) -> NDArray[np.int64]:
    """The same draws for every figure: [DRAWS, problems]."""
    return np.random.default_rng(0).integers(0, max(1, problems), (DRAWS, problems))
