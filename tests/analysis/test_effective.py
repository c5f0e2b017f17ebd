"""n_e is the n whose models do as well, its interval covers it, and what cannot be told is not told."""

import math

import numpy as np
import pytest
from scipy import stats

from mad_ray.analysis.effective import Baseline, baseline_grid, effective_n
from mad_ray.core.keys import Keys
from mad_ray.core.stopping import Judgement

KEYS = Keys((0,), ("test_effective",))
D = 100
NOISE = 0.02
"""Relative sd of the squared W2 over seeds, d = 100, as simulated for n >= 100 (0.01 to 0.06 below)."""


def gaussian_w2(n: float, d: int = D) -> float:
    """E[W2^2] of a Gaussian fitted on n rows of N(0, I): d/n + d E(1 - sqrt(l))^2, l by the Marchenko-Pastur law.

    With gamma = d/(n - 1): E sqrt(l) = 2/pi times the integral over 0..pi of sin^2(a) / sqrt(1 + gamma + 2 sqrt(gamma)
    cos(a)).
    """
    gamma = d / (n - 1)
    a = (np.arange(4000) + 0.5) * np.pi / 4000
    root = 2 * np.mean(np.sin(a) ** 2 / np.sqrt(1 + gamma + 2 * np.sqrt(gamma) * np.cos(a)))
    return d / n + 2 * d * (1 - root)


def fitted_w2(rng: np.random.Generator, n: int, d: int) -> float:
    """Oracle: rows, mean, unbiased covariance, squared W2 to N(0, I)."""
    x = rng.normal(size=(n, d))
    eigenvalues = np.linalg.eigvalsh(np.cov(x, rowvar=False))
    return float((x.mean(axis=0) ** 2).sum() + ((1 - np.sqrt(np.clip(eigenvalues, 0, None))) ** 2).sum())


def exact(n: tuple[int, ...]) -> Baseline:
    return Baseline(np.array(n, float), np.array([gaussian_w2(k) for k in n]), np.zeros(len(n)), np.full(len(n), 64))


def limit(mean: float, half: float = 0.0) -> Judgement:
    return Judgement("settled", 64, 8, 33, mean, mean - half, mean + half)


def test_the_oracle_curve_is_that_of_fitted_gaussians():
    """Rows against the formula that other tests lean on: within 4 standard errors and 0.5 % (d is finite)."""
    for n in (5, 30, 100, 400):
        found = np.array([fitted_w2(KEYS.generator(0, "rows", n, i), n, D) for i in range(40)])
        assert abs(found.mean() - gaussian_w2(n)) < 4 * found.std() / math.sqrt(40) + 0.005 * gaussian_w2(n)
    assert gaussian_w2(20_000) == pytest.approx(D * (D + 5) / 4 / 20_000, rel=0.02)


@pytest.mark.parametrize(("n_points", "worst", "typical"), [(25, 0.013, 0.002), (40, 0.0065, 0.001)])
def test_interpolation_costs_little(n_points, worst, typical):
    """Sizes from 2 to 40,000, no noise: the error of n_e anywhere in between; the worst is at the kink n = d."""
    baseline = exact(baseline_grid(2, 40_000, n_points))
    errors = [effective_n(limit(gaussian_w2(n)), baseline).n / n - 1 for n in np.geomspace(2.001, 39_999, 400)]
    assert np.abs(errors).max() < worst
    assert np.sqrt(np.mean(np.square(errors))) < typical


def test_the_interval_covers_and_holds_both_uncertainties():
    """Baseline of 64 seeds, limits of 8: 400 of each; coverage within z = 3.3 of 95 % or above, and not by width."""
    sizes, n_tries, covered, ratios = baseline_grid(2, 40_000), 400, 0, []
    truth = np.array([gaussian_w2(n) for n in sizes])
    for i in range(n_tries):
        rng = KEYS.generator(0, "cover", i)
        noise = 1 + NOISE * rng.normal(size=(64, len(sizes)))
        baseline = Baseline.of_values(dict(zip(sizes, (truth * noise).T, strict=True)))
        n = math.exp(rng.uniform(math.log(20), math.log(20_000)))
        values = gaussian_w2(n) * (1 + NOISE * rng.normal(size=8))
        inner = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        found = effective_n(Judgement("settled", 64, 8, 33, values.mean(), inner.low, inner.high), baseline)
        covered += found.low <= n <= found.high
        alone = effective_n(Judgement("settled", 64, 8, 33, values.mean(), inner.low, inner.high), exact(sizes))
        ratios.append((found.high - found.low) / (alone.high - alone.low))
    assert covered / n_tries > 0.95 - 3.3 * math.sqrt(0.95 * 0.05 / n_tries)
    assert 1 < np.median(ratios) < 1.3


@pytest.mark.parametrize("rises", [False, True], ids=["a distance", "recall"])
def test_metrics_may_fall_or_rise_with_n(rises):
    n = np.array([10.0, 100, 1000, 10_000])
    mean = 1 - 2 / np.sqrt(n) if rises else 40 / n
    baseline = Baseline(n, mean, np.full(4, 1e-9), np.full(4, 9))
    wanted = float(mean[2])
    better = 1e-3 if rises else -1e-3
    found = effective_n(limit(wanted), baseline)
    assert (found.state, found.n) == ("known", pytest.approx(1000))
    assert effective_n(limit(wanted + better), baseline).n > 1000 > effective_n(limit(wanted - better), baseline).n


def test_a_metric_that_starts_at_zero_has_no_logarithm_and_an_n():
    baseline = Baseline(np.array([10.0, 100, 1000]), np.array([0.0, 0.4, 0.8]), np.full(3, 0.01), np.full(3, 8))
    assert effective_n(limit(0.4), baseline).n == pytest.approx(100)
    assert effective_n(limit(0.0), baseline).low == 0


def test_outside_the_baseline_there_are_bounds_only():
    baseline = exact((10, 100, 1000))
    below = effective_n(limit(gaussian_w2(5), 1.0), baseline)
    assert (below.state, below.low, below.high) == ("below", 0, 10)
    assert np.isnan(below.n)
    beyond = effective_n(limit(gaussian_w2(5000), 0.01), baseline)
    assert (beyond.state, beyond.low, beyond.high) == ("beyond", 1000, math.inf)
    unsure = effective_n(limit(0.9 * gaussian_w2(1000), 0.5), baseline)
    assert unsure.state == "beyond"
    assert 500 < unsure.low < 1000


def test_an_interval_that_reaches_past_the_baseline_is_open():
    baseline = exact((10, 100, 1000))
    found = effective_n(limit(gaussian_w2(950), 0.5), baseline)
    assert (found.state, found.high) == ("known", math.inf)
    assert found.low < 950


def test_without_a_limit_nothing_is_known():
    assert effective_n(limit(math.nan), exact((10, 100))).state == "unknown"
    found = effective_n(Judgement("drifting", 64, 8, 33, gaussian_w2(50)), exact((10, 50, 100)))
    assert found.n == pytest.approx(50)
    assert np.isnan([found.low, found.high]).all()


def test_noise_that_turns_the_curve_back_is_smoothed_away():
    """One value out of order: the curve is monotone, n_e lies in the flat part, and the interval holds all of it."""
    n, mean = np.array([100.0, 200, 300, 400]), np.array([4.0, 2.0, 2.1, 1.0])
    baseline = Baseline(n, mean, 0.05 * mean, np.full(4, 30))
    assert np.all(np.diff(baseline.curve[1]) <= 1e-12)
    found = effective_n(limit(baseline.curve[1][np.searchsorted(baseline.curve[0], np.log(250))]), baseline)
    assert found.low < 200 < found.n < 300 < found.high


def test_elasticity_turns_the_limits_precision_into_that_of_n():
    baseline = exact(baseline_grid(2, 40_000))
    assert baseline.elasticity(5_000) == pytest.approx(-1, abs=0.02)
    for n in (40, 300, 5_000):
        mean = gaussian_w2(n)
        found = effective_n(limit(mean, 0.01 * mean), baseline)
        assert (found.high - found.low) / 2 / n == pytest.approx(0.01 / -baseline.elasticity(n), rel=0.05)


@pytest.mark.parametrize(("n_min", "n_max", "n_points"), [(2, 40_000, 25), (10, 20, 25), (2, 3, 5), (1, 1, 4)])
def test_baseline_grids_are_whole_ascending_and_reach_both_ends(n_min, n_max, n_points):
    found = baseline_grid(n_min, n_max, n_points)
    assert list(found) == sorted(set(found))
    assert found[0] == max(2, n_min)
    assert found[-1] == max(3, n_max)
    assert 2 <= len(found) <= n_points


def test_a_baseline_of_one_size_or_one_seed_is_refused():
    with pytest.raises(ValueError, match="two or more"):
        Baseline.of_values({10: np.ones(5)})
    with pytest.raises(ValueError, match="two seeds"):
        Baseline.of_values({10: np.ones(5), 20: np.ones(1)})
