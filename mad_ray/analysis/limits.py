"""Means and medians over seeds with their intervals. One seed has none, and gets none."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from mad_ray.analysis.curves import Curves

NAN = float("nan")


@dataclass(frozen=True)
class Interval:
    """A centre and its confidence interval; low, high and level are NaN where n values cannot carry one.

    level: the confidence attained, at least what was asked for.
    """

    centre: float
    low: float
    high: float
    n: int
    level: float

    @property
    def is_known(self) -> bool:
        return not np.isnan(self.low)


def mean_interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """Mean and Student's t interval of the finite values; exact for normal values, needs two of them."""
    x = _finite(values)
    if len(x) < 2:
        return Interval(float(x[0]) if len(x) else NAN, NAN, NAN, len(x), NAN)
    half = stats.t.ppf(0.5 + level / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return Interval(float(x.mean()), float(x.mean() - half), float(x.mean() + half), len(x), level)


def median_interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """Median and the interval between two order statistics, valid for every continuous distribution.

    [x_(k), x_(n+1-k)] covers the median with probability 1 - 2 P(Binomial(n, 1/2) < k); 95 % needs six values.
    """
    x = np.sort(_finite(values))
    k = _rank(len(x), level)
    if k == 0:
        return Interval(float(np.median(x)) if len(x) else NAN, NAN, NAN, len(x), NAN)
    return Interval(float(np.median(x)), float(x[k - 1]), float(x[-k]), len(x), _coverage(len(x), k))


def seed_band(values: np.ndarray, level: float = 0.95) -> Interval:
    """The median's interval at this level, or the whole range of two to five values with the level that it has."""
    found = median_interval(values, level)
    if found.is_known or found.n < 2:
        return found
    x = _finite(values)
    return Interval(found.centre, float(x.min()), float(x.max()), found.n, _coverage(found.n, 1))


def last_interval(curves: Curves, level: float = 0.95) -> Interval:
    """Median and its interval at the last generation that at least half of the seeds have reached."""
    return median_interval(curves.shared().values[:, -1], level)


def limit_interval(curves: Curves, level: float = 0.95) -> Interval:
    """Where a settled loop rests: each seed's mean over the second half, then mean and t interval over seeds."""
    late = late_half(curves.shared()).values
    measured = late[np.isfinite(late).any(axis=1)]
    return mean_interval(np.nanmean(measured, axis=1), level)


def late_half(curves: Curves) -> Curves:
    """Generations ceil(T/2) .. T."""
    start = max(0, (curves.n_generations + 1) // 2 - 1)
    return curves.select(curves.generations[start:])


def _finite(values: np.ndarray) -> np.ndarray:
    x = np.asarray(values, dtype=float).ravel()
    return x[np.isfinite(x)]


@lru_cache
def _rank(n: int, level: float) -> int:
    """The largest k whose interval still covers enough; 0 if none does."""
    return max((k for k in range(1, n // 2 + 1) if _coverage(n, k) >= level), default=0)


@lru_cache
def _coverage(n: int, k: int) -> float:
    return float(1 - 2 * stats.binom.cdf(k - 1, n, 0.5))
