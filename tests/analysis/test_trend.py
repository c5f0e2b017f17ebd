"""The trend test has exactly the null distribution that it claims."""

from itertools import permutations, product
from math import factorial

import numpy as np
import pytest
from scipy import stats

from mad_ray.analysis.trend import (
    normal_tail,
    null_law,
    p_falling,
    p_rising,
    prefix_p_rising,
    smallest_p,
    spread,
    theil_sen,
)
from mad_ray.core.keys import Keys

KEYS = Keys((0,), ("test_trend",))


def count_rising(row: tuple[float, ...]) -> int:
    """Oracle: all pairs, one by one."""
    return sum(row[i] < row[j] for j in range(len(row)) for i in range(j))


def permutation_p(rows: list[tuple[float, ...]]) -> float:
    """Oracle: every permutation of ranks within each seed, all equally likely."""
    observed = sum(count_rising(row) for row in rows)
    counts = [[count_rising(p) for p in permutations(range(len(row)))] for row in rows]
    totals = np.array([sum(draw) for draw in product(*counts)])
    return float((totals >= observed).mean())


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_one_seed_matches_every_permutation(n):
    for row in permutations(range(n)):
        assert p_rising(np.array([row], float)) == pytest.approx(permutation_p([row]), abs=1e-12)


@pytest.mark.parametrize("lengths", [(3, 3), (4, 3), (2, 3, 4), (1, 4), (2, 2, 2, 2)])
def test_pooled_seeds_match_every_permutation(lengths):
    rng = KEYS.generator(0, *lengths)
    for _ in range(5):
        rows = [tuple(rng.permutation(n).tolist()) for n in lengths]
        values = np.full((len(lengths), max(lengths)), np.nan)
        for row, filled in zip(rows, values, strict=True):
            filled[: len(row)] = row
        assert p_rising(values) == pytest.approx(permutation_p(rows), abs=1e-12)


@pytest.mark.parametrize("n", [6, 9, 20])
def test_one_seed_matches_scipy_kendalltau(n):
    for i in range(10):
        x = KEYS.generator(0, "scipy", n, i).normal(size=n)
        expected = stats.kendalltau(np.arange(n), x, method="exact", alternative="greater").pvalue
        assert p_rising(x[None]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("multiset", [(0, 0, 1, 1), (0, 0, 0, 1, 2), (1, 1, 1, 1), (0, 1, 2, 2, 3)])
def test_ties_never_make_the_test_reject_too_often(multiset):
    """P(p <= alpha) <= alpha over all arrangements of tied values, for every alpha that a p-value takes."""
    p = np.array([p_rising(np.array([row], float)) for row in permutations(multiset)])
    assert all((p <= alpha).mean() <= alpha + 1e-12 for alpha in np.unique(p))


def test_ties_count_against_a_trend_in_both_directions():
    flat = np.zeros((2, 4))
    assert (p_rising(flat), p_falling(flat)) == pytest.approx((1, 1))


def test_monotone_transformations_change_nothing():
    x = np.exp(KEYS.generator(0, "monotone").normal(size=(3, 7)))
    for transform in (np.log, np.sqrt, lambda v: v**3, lambda v: 5 * v - 2):
        assert np.array_equal(prefix_p_rising(transform(x)), prefix_p_rising(x))


def test_order_of_seeds_and_gaps_change_nothing():
    x = KEYS.generator(0, "seeds").normal(size=(4, 6))
    gaps = np.insert(x, [2, 4], np.nan, axis=1)
    assert p_rising(x) == p_rising(x[::-1]) == p_rising(gaps)


def test_falling_is_rising_in_the_mirror():
    x = KEYS.generator(0, "mirror").normal(size=(2, 5))
    assert p_falling(x) == p_rising(-x)
    assert p_rising(np.arange(5.0)[None]) == pytest.approx(1 / factorial(5))


def test_prefixes_equal_the_test_on_the_prefix():
    x = KEYS.generator(0, "prefix").normal(size=(3, 6))
    assert prefix_p_rising(x) == pytest.approx([p_rising(x[:, : t + 1]) for t in range(6)])


def test_smallest_p_is_reached_by_rising_at_every_step():
    rising = np.tile(np.arange(4.0), (3, 1))
    rising[2, 2:] = np.nan
    assert p_rising(rising) == pytest.approx(smallest_p(rising)) == pytest.approx(1 / (24 * 24 * 2))


def test_null_law_is_a_symmetric_distribution():
    law = null_law((2, 5, 7))
    assert law.sum() == pytest.approx(1)
    assert law == pytest.approx(law[::-1])


def test_normal_approximation_joins_the_exact_law():
    """At the change-over (4,950 pairs) all tails agree to 6e-4: the worst, 5.0e-4, is one seed of 100 generations."""
    for lengths in ((100,), (10,) * 110):
        tails = null_law(lengths)[::-1].cumsum()[::-1]
        normal = [normal_tail(c, lengths) for c in range(len(tails))]
        assert np.abs(tails - normal).max() < 6e-4


def test_rejects_a_null_as_often_as_it_says():
    """4,000 exchangeable studies of 3 seeds: rejections within the 99.9 % binomial interval of the exact size."""
    n_studies, alpha = 4_000, 0.05
    tails = null_law((5, 5, 5))[::-1].cumsum()
    size = tails[tails <= alpha].max()
    n = sum(p_rising(KEYS.generator(0, "null", i).normal(size=(3, 5))) <= alpha for i in range(n_studies))
    low, high = stats.binom.interval(0.999, n_studies, size)
    assert 0.03 < size <= alpha
    assert low <= n <= high


def test_theil_sen_is_exact_on_a_line_and_shrugs_off_an_outlier():
    t = np.arange(1, 10)
    line = 3.0 + 2.0 * t[None]
    line[0, 4] = 1e6
    assert theil_sen(t, line) == pytest.approx(2.0)


def test_theil_sen_agrees_with_scipy():
    t, x = np.arange(8), KEYS.generator(0, "sen").normal(size=8)
    assert theil_sen(t, x[None]) == pytest.approx(stats.theilslopes(x, t).slope)


def test_theil_sen_needs_two_generations():
    assert np.isnan(theil_sen(np.array([1]), np.ones((3, 1))))


@pytest.mark.parametrize(("n", "most"), [(1, 5), (5, 5), (100, 7), (2, 1_000)])
def test_spread_keeps_both_ends(n, most):
    kept = spread(n, most)
    assert kept[0] == 0
    assert kept[-1] == n - 1
    assert len(kept) == min(n, most)
