"""Effective sample size: the n at which a model fitted on n real samples alone does as well as the loop in the limit.

n_e solves E[dist(G(n))] = WD(n_r, n_s, lambda) (Section 5 of Alemohammad et al. 2024). E[dist(G(n))], the baseline, is
measured at some n with its own interval, made monotone and interpolated in log n and log value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression
from scipy.special import stdtrit

NAN = float("nan")
FINE = 64
"""Points at which the baseline is read between two measured n; linear between them (error below 1e-4 in log n)."""


class Known(Protocol):
    """A limit with its 95 % interval: a Judgement, or a median's Interval by another name."""

    @property
    def mean(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


@dataclass(frozen=True)
class EffectiveN:
    """n_e with its 95 % interval.

    state: "known"; "below" (worse than the smallest n of the baseline; high bounds it), "beyond" (better than the
    largest; low bounds it): n is NaN there; "unknown" (nothing to invert). An open end is 0 or infinite.
    """

    n: float
    low: float
    high: float
    state: Literal["known", "below", "beyond", "unknown"]


@dataclass(frozen=True)
class Baseline:
    """E[metric] of models fitted on n real samples: n [N], ascending; mean and its standard error, [N], over seeds."""

    n: np.ndarray
    mean: np.ndarray
    se: np.ndarray
    n_seeds: np.ndarray

    def __post_init__(self) -> None:
        if len(self.n) < 2 or np.any(np.diff(self.n) <= 0) or np.any(self.n_seeds < 2):
            raise ValueError(f"a baseline needs two or more ascending n with two seeds each, found {self.n.tolist()}")

    @classmethod
    def of_values(cls, values: Mapping[int, np.ndarray]) -> "Baseline":
        """n -> the values [B] of B models, each fitted on its own n real samples."""
        n = sorted(values)
        finite = [x[np.isfinite(x)] for x in (np.asarray(values[k], dtype=float) for k in n)]
        sizes = np.array([len(x) for x in finite])
        se = np.array([x.std(ddof=1) / np.sqrt(len(x)) if len(x) > 1 else NAN for x in finite])
        return cls(np.array(n, dtype=float), np.array([x.mean() for x in finite]), se, sizes)

    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """Student's 95 % interval of the mean at each n."""
        half = stdtrit(self.n_seeds - 1, 0.975) * self.se
        return self.mean - half, self.mean + half

    @property
    def falls(self) -> bool:
        """Whether more data makes the metric smaller: distances fall, recall rises."""
        return bool(self.mean[-1] < self.mean[0])

    def elasticity(self, n: float) -> float:
        """d log E[metric] / d log n: n_e's relative interval is the limit's, divided by this (a Gaussian: -1)."""
        log_n, mean, _ = self.curve
        return float(np.interp(np.log(n), log_n, np.gradient(np.log(np.abs(mean)), log_n)))

    @cached_property
    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """log n, E[metric] and its interval's half-width, on a fine grid; by logarithms where all are positive."""
        half = self.interval()[1] - self.mean
        if np.any(self.mean <= 0):
            return self._monotone(self.mean, half)
        log_n, mean, half = self._monotone(np.log(self.mean), half / self.mean)
        return log_n, np.exp(mean), np.exp(mean) * half

    def _monotone(self, y: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """y at the nearest monotone values (weights 1/half^2), by shape-preserving cubics in log n."""
        x, sign = np.log(self.n), -1.0 if self.falls else 1.0
        weights = np.clip(half / (half.max() or 1.0), 1e-3, None) ** -2.0
        nearest = sign * isotonic_regression(sign * y, weights=weights).x
        at = np.unique(np.concatenate([np.linspace(*ends, FINE + 1) for ends in pairwise(x)]))
        return at, PchipInterpolator(x, nearest)(at), np.interp(at, x, half)


def baseline_grid(n_min: int, n_max: int, n_points: int = 40) -> tuple[int, ...]:
    """At most n_points whole numbers, evenly spaced in log n from n_min to n_max; 2 at least, for a covariance.

    A Gaussian's n_e between them is off by 0.6 % at worst, at the kink n = d, and 0.1 % elsewhere; with 25 points of
    2..40,000 by 1.3 % and 0.2 % (test_interpolation_costs_little).
    """
    return tuple(np.unique(np.geomspace(max(2, n_min), max(3, n_max), n_points).round().astype(int)).tolist())


def effective_n(limit: Known, baseline: Baseline) -> EffectiveN:
    """A limit -> n_e. Its interval holds each n whose E[metric] cannot be told from the limit:

    |E[metric](n) - limit| <= sqrt(a^2 + b(n)^2), a and b the half-widths of the limit's and the baseline's intervals.
    """
    if not np.isfinite(limit.mean):
        return EffectiveN(NAN, NAN, NAN, "unknown")
    log_n, curve, spread = baseline.curve
    excess = (curve - limit.mean) * (1.0 if baseline.falls else -1.0)
    reach = np.hypot(np.where(curve > limit.mean, limit.high - limit.mean, limit.mean - limit.low), spread)
    low, high = (float(np.exp(x)) for x in (_first_below(log_n, excess - reach), _last_above(log_n, excess + reach)))
    if excess[0] < 0:
        return EffectiveN(NAN, 0.0, max(high, float(baseline.n[0])), "below")
    if excess[-1] > 0:
        return EffectiveN(NAN, min(low, float(baseline.n[-1])), np.inf, "beyond")
    # Where noise made the baseline flat, the middle of the flat part.
    n = np.exp((_first_below(log_n, excess) + _last_above(log_n, excess)) / 2)
    return EffectiveN(float(n), low, high, "known")


def _first_below(x: np.ndarray, y: np.ndarray) -> float:
    """The first x at which y <= 0, linear between points; -inf if y starts below, inf if it never is."""
    if np.isnan(y).any():
        return NAN
    below = np.nonzero(y <= 0)[0]
    if len(below) == 0:
        return np.inf
    i = int(below[0])
    if i == 0:
        return -np.inf if y[0] < 0 else float(x[0])
    return float(x[i - 1] + (x[i] - x[i - 1]) * y[i - 1] / (y[i - 1] - y[i]))


def _last_above(x: np.ndarray, y: np.ndarray) -> float:
    """The last x at which y >= 0; inf if y ends above, -inf if it never is."""
    return -_first_below(-x[::-1], -y[::-1])
