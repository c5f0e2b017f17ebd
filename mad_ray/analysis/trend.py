"""Does a distance grow with the generations? Mann-Kendall pooled over seeds, exact where it matters; Theil-Sen slopes.

The statistic C counts, within each seed, the pairs of generations of which the later has the larger value. Under the
null hypothesis each seed's values are exchangeable, so C is a sum of independent counts of a random permutation's
rising pairs. Ties count as not rising: breaking them at random gives a count with exactly the null distribution, and
ours is never larger, so the p-value is valid and errs on the side of no trend.
"""

from bisect import bisect_left, insort
from functools import lru_cache
from math import exp, lgamma

import numpy as np
from scipy import stats

MAX_EXACT_PAIRS = 5_000
"""Beyond so many pairs the normal approximation is good to 6e-4 (test_normal_approximation_joins_the_exact_law)."""
MAX_SLOPE_GENERATIONS = 200


def prefix_rising_pairs(values: np.ndarray) -> np.ndarray:
    """values [T], NaN where missing -> for each t the rising pairs among the first t values, [T] int64."""
    seen: list[float] = []
    counts = np.zeros(len(values), np.int64)
    for t, value in enumerate(values.tolist()):
        if not np.isnan(value):
            counts[t] = bisect_left(seen, value)
            insort(seen, value)
    return counts.cumsum()


def prefix_p_rising(values: np.ndarray) -> np.ndarray:
    """values [n_seeds, T] -> one-sided p-value of a rise over generations 1..t, for every t, [T]."""
    pairs = np.sum([prefix_rising_pairs(row) for row in values], axis=0)
    lengths = np.sort(np.cumsum(~np.isnan(values), axis=1), axis=0)
    return np.array([upper_tail(int(c), tuple(n.tolist())) for c, n in zip(pairs, lengths.T, strict=True)])


def p_rising(values: np.ndarray) -> float:
    """values [n_seeds, T] -> one-sided p-value of a rise."""
    return float(prefix_p_rising(values)[-1])


def p_falling(values: np.ndarray) -> float:
    """values [n_seeds, T] -> one-sided p-value of a fall."""
    return p_rising(-values)


def smallest_p(values: np.ndarray) -> float:
    """The p-value if every seed rose at every step: what so many generations and seeds can show at best."""
    lengths = (~np.isnan(values)).sum(axis=1)
    return exp(-sum(lgamma(n + 1) for n in lengths.tolist()))


def upper_tail(n_rising: int, lengths: tuple[int, ...]) -> float:
    """P(C >= n_rising) for seeds with so many values each; by convolution, or the normal law for many pairs."""
    if _n_pairs(lengths) > MAX_EXACT_PAIRS:
        return normal_tail(n_rising, lengths)
    return float(min(1.0, null_law(lengths)[n_rising:].sum()))


def normal_tail(n_rising: int, lengths: tuple[int, ...]) -> float:
    """P(C >= n_rising) by the normal law, with continuity correction (Kendall 1938)."""
    variance = sum(n * (n - 1) * (2 * n + 5) for n in lengths) / 72
    return float(stats.norm.sf(n_rising - 0.5, _n_pairs(lengths) / 2, variance**0.5))


@lru_cache(maxsize=512)
def null_law(lengths: tuple[int, ...]) -> np.ndarray:
    """P(C = c), c = 0 .. number of pairs, for independent seeds with so many values each."""
    if len(lengths) == 0:
        return np.ones(1)
    if len(lengths) == 1:
        return _permutation_law(lengths[0])
    half = len(lengths) // 2
    return np.convolve(null_law(lengths[:half]), null_law(lengths[half:]))


@lru_cache(maxsize=512)
def _permutation_law(n: int) -> np.ndarray:
    """Rising pairs of a random permutation: the n-th value adds 0 .. n - 1 of them, all equally likely."""
    return np.ones(1) if n <= 1 else np.convolve(_permutation_law(n - 1), np.full(n, 1 / n))


def _n_pairs(lengths: tuple[int, ...]) -> int:
    return sum(n * (n - 1) // 2 for n in lengths)


def theil_sen(generations: np.ndarray, values: np.ndarray) -> float:
    """Change per generation: the median of all pairs' slopes within a seed, then the median over seeds.

    NaN without a pair. Beyond MAX_SLOPE_GENERATIONS, that many evenly spaced generations stand for all.
    """
    keep = spread(len(generations), MAX_SLOPE_GENERATIONS)
    slopes = [_seed_slope(generations[keep].astype(float), row) for row in values[:, keep]]
    known = [slope for slope in slopes if not np.isnan(slope)]
    return float(np.median(known)) if known else float("nan")


def _seed_slope(generations: np.ndarray, values: np.ndarray) -> float:
    finite = np.isfinite(values)
    t, x = generations[finite], values[finite]
    i, j = np.triu_indices(len(t), 1)
    return float(np.median((x[j] - x[i]) / (t[j] - t[i]))) if len(i) else float("nan")


def spread(n: int, most: int) -> np.ndarray:
    """At most `most` of the indices 0 .. n - 1, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
