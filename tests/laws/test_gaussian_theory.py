"""Loops of Gaussians do what mad_ray/analysis/theory.py says; z is the distance from theory in standard errors.

Seeds are fixed, so nothing here fails by chance; a right implementation stays within MAX_Z at once. Where a formula is
for large n, its own error is allowed for beside that, and stated.
"""

import math

import numpy as np
import pytest

from mad_ray.analysis.theory import (
    accumulate_mean_squared,
    accumulate_variance,
    biased_floor,
    biased_variance,
    expected_w2_of_fit,
    first_order_w2_of_fit,
    fresh_limit_moments,
    fresh_limit_ratio,
    fresh_limit_w2,
    log_det_rate,
    memory_limit_ratio,
    synthetic_mean_squared,
    w2_of_fit_on_spectrum,
)
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop, fresh_data, fully_synthetic, synthetic_augmentation
from mad_ray.core.moments import Moments
from mad_ray.data import GaussianData
from mad_ray.families import Gaussian
from tests.laws.gaussian_loop import MaximumLikelihood, Summed, measured, models, z_score

MAX_Z = 4.0


def squared_means(loop: Loop, d: int, n_generations: int, n_seeds: int, **rest) -> np.ndarray:
    return np.array([measured(m, "mean_squared", d) for m in models(loop, d, n_generations, n_seeds, **rest)])


def variances(loop: Loop, d: int, n_generations: int, n_seeds: int, **rest) -> np.ndarray:
    """tr Sigma_t / d, [generation, seed]."""
    found = models(loop, d, n_generations, n_seeds, **rest)
    return np.array([measured(m, "total_variance", d) / d for m in found])


def settled(loop: Loop, d: int, skip: int, n_generations: int, n_seeds: int, names: tuple[str, ...]) -> np.ndarray:
    """Measures per trajectory, averaged over the generations after `skip`: [name, seed]."""
    found = list(models(loop, d, n_generations, n_seeds))[skip:]
    return np.array([np.mean([measured(m, name, d) for m in found], axis=0) for name in names])


# --- one fit ---


@pytest.mark.parametrize(("n", "d"), [(1000, 100), (100, 100), (50, 100), (40, 10), (200, 3)])
def test_a_fit_on_n_real_samples_is_as_far_away_as_theory_says(n: int, d: int) -> None:
    seeds = 100 if d == 100 else 1500
    w2 = measured(next(models(fully_synthetic(n_initial=n), d, 1, seeds)), "w2_squared", d)
    # 1 % is the formula's own error.
    allowed = MAX_Z * w2.std() / math.sqrt(seeds) + 0.01 * w2.mean()
    assert abs(w2.mean() - expected_w2_of_fit(n, d)) < allowed
    if n >= 10 * d:
        assert first_order_w2_of_fit(n, d) == pytest.approx(expected_w2_of_fit(n, d), rel=d / n)
    else:
        assert abs(w2.mean() - first_order_w2_of_fit(n, d)) > allowed, "the test can tell the two formulas apart"


def test_a_fit_on_real_samples_of_any_spectrum() -> None:
    data, n, seeds = GaussianData(d=6, condition=50.0, correlation=0.6, mean=2.0), 4000, 4000
    moments = data.draw(Moments, 0, n, Keys(tuple(range(seeds))))
    model = Gaussian().fit(Summed(moments), Keys((0,)), lambda share: None)
    w2 = Gaussian().measure(model, data.law(), ["w2_squared"])["w2_squared"]
    spectrum = np.linalg.eigvalsh(data.covariance)
    assert abs(z_score(w2, w2_of_fit_on_spectrum(n, spectrum))) < MAX_Z
    assert abs(z_score(w2, first_order_w2_of_fit(n, 6) * spectrum.mean())) > MAX_Z
    assert w2_of_fit_on_spectrum(n, np.ones(6)) == pytest.approx(first_order_w2_of_fit(n, 6), rel=1e-3)


# --- fully synthetic ---


@pytest.mark.parametrize(("bias", "d", "n"), [(1.0, 3, 40), (0.8, 3, 40), (0.9, 5, 4)])
def test_the_mean_of_sigma_falls_as_lambda_to_the_t(bias: float, d: int, n: int) -> None:
    """E Sigma_t = lambda^(t-1) I, on the diagonal and off it, of n above and below d."""
    for t, model in enumerate(models(fully_synthetic(n_initial=n, bias=bias), d, 5, 2000), 1):
        sigma = Gaussian().moments(model).covariance
        assert abs(z_score(np.trace(sigma, axis1=1, axis2=2) / d, bias ** (t - 1))) < MAX_Z
        assert abs(z_score(sigma[:, 0, d - 1], 0.0)) < MAX_Z


def test_the_test_would_see_a_divisor_of_n() -> None:
    n, d, bias = 40, 3, 0.8
    first, second = (m["root"] for m in models(fully_synthetic(n_initial=n, bias=bias), d, 2, 2000))
    ratio = (second**2).sum(axis=(1, 2)) / (first**2).sum(axis=(1, 2))
    assert abs(z_score(ratio, bias)) < MAX_Z
    assert abs(z_score(ratio, bias * (n - 1) / n)) > MAX_Z


def test_the_mean_drifts_by_tr_sigma_over_n() -> None:
    n, d, bias, before = 25, 4, 0.7, None
    for model in models(fully_synthetic(n_initial=n, bias=bias), d, 4, 2000):
        if before is not None:
            step = model["mean"] - before["mean"]
            expected = bias * measured(before, "total_variance", d) / n
            assert abs(z_score(step[:, 0], 0.0)) < MAX_Z
            assert abs(z_score((step**2).sum(axis=1) - expected, 0.0)) < MAX_Z
        before = model


@pytest.mark.parametrize(("n", "d", "bias"), [(10, 1, 1.0), (50, 20, 1.0), (40, 5, 0.9)])
def test_the_determinant_falls_at_its_rate_whatever_the_mean_does(n: int, d: int, bias: float) -> None:
    n_generations = 40
    loop = fully_synthetic(n_initial=n, bias=bias)
    log_det = np.array([measured(m, "log_det_ratio", d) for m in models(loop, d, n_generations, 400)])
    rate = log_det_rate(n, d, bias)
    for t in (1, 2, 10, 40):
        # G^1 has been sampled once, from P_r and without bias.
        assert abs(z_score(log_det[t - 1], t * rate - d * math.log(bias))) < MAX_Z
    # The median falls in the same line, for a sum of many steps is symmetric; its error is 1.25 times the mean's.
    slope = np.polyfit(np.arange(1, n_generations + 1), np.median(log_det, axis=1), 1)[0]
    error = 1.25 * log_det[-1].std() / math.sqrt(400) / n_generations
    assert abs(slope - rate) < MAX_Z * error < -rate / 3


def test_the_fall_goes_on_for_thousands_of_generations() -> None:
    """The root of Sigma_t stays definite where Sigma_t's own smallest eigenvalues would long be rounding errors."""
    n, d, n_generations = 20, 4, 3000
    for model in models(fully_synthetic(n_initial=n), d, n_generations, 8):
        diagonal = np.abs(np.diagonal(model["root"], axis1=1, axis2=2))
        assert diagonal.min() > 0
    assert (diagonal.min(axis=1) < 1e-16 * diagonal.max(axis=1)).all()
    found = measured(model, "log_det_ratio", d)
    assert found.mean() == pytest.approx(n_generations * log_det_rate(n, d), rel=0.02)


def test_in_one_dimension_with_divisor_n() -> None:
    """E S_t = (1 - 1/n)^t, and E mu_t^2 = 1 - (1 - 1/n)^t: together they are always 1."""
    n, loop = 10, fully_synthetic(n_initial=10)
    s, mu = (f(loop, 1, 12, 4000, family=MaximumLikelihood()) for f in (variances, squared_means))
    for t in (1, 2, 5, 12):
        assert abs(z_score(s[t - 1], (1 - 1 / n) ** t)) < MAX_Z
        assert abs(z_score(mu[t - 1], 1 - (1 - 1 / n) ** t)) < MAX_Z


# --- replaced against accumulated: the regression law ---


def test_errors_grow_in_a_line_if_data_are_replaced_and_stay_if_they_accumulate() -> None:
    n, d, n_generations, seeds = 20, 3, 12, 1200
    replaced = squared_means(fully_synthetic(n_initial=n), d, n_generations, seeds)
    pooled = squared_means(synthetic_augmentation(n_initial=n, accumulate=True), d, n_generations, seeds)
    for t in (1, 2, 6, 12):
        assert abs(z_score(replaced[t - 1], synthetic_mean_squared(n, d, t))) < MAX_Z
        assert abs(z_score(pooled[t - 1], accumulate_mean_squared(n, d, t))) < MAX_Z
    assert accumulate_mean_squared(n, d, 10_000) < math.pi**2 / 6 * d / n < synthetic_mean_squared(n, d, 2)


@pytest.mark.parametrize(("family", "unbiased"), [(Gaussian(), True), (MaximumLikelihood(), False)])
def test_accumulation_keeps_the_variance(family: Gaussian, unbiased: bool) -> None:
    n = 6
    loop = synthetic_augmentation(n_initial=n, accumulate=True)
    found = variances(loop, 1, 12, 2500, family=family)
    for t in (1, 2, 3, 12):
        assert abs(z_score(found[t - 1], accumulate_variance(n, t, unbiased=unbiased))) < MAX_Z
    assert abs(z_score(found[11], accumulate_variance(n, 12, unbiased=not unbiased))) > MAX_Z
    x = math.pi / math.sqrt(n)
    assert accumulate_variance(n, 100_000) == pytest.approx(math.sin(x) / x, rel=1e-4)


# --- fresh data ---


@pytest.mark.parametrize(
    ("n_fresh", "n_synthetic", "bias"), [(10, 30, 1.0), (10, 30, 0.6), (5, 5, 0.9), (200, 600, 1.0)]
)
def test_the_limits_of_mean_and_variance(n_fresh: int, n_synthetic: int, bias: float) -> None:
    d = 3
    loop = fresh_data(n_fresh=n_fresh, n_synthetic=n_synthetic, bias=bias)
    mean, trace = settled(loop, d, 30, 50, 500, ("mean_squared", "total_variance")) / d
    expected = fresh_limit_moments(n_fresh, n_synthetic, bias)
    assert abs(z_score(mean, expected[0])) < MAX_Z
    assert abs(z_score(trace, expected[1])) < MAX_Z


@pytest.mark.parametrize(("r", "memory"), [(0.5, 1), (1, 1), (4, 1), (3, 4), (1, 10)])
def test_effective_sample_size(r: float, memory: int) -> None:
    """n_e / n_r = 1 + r K / (r + K): W2 of the limit is that of a fit on so many real samples, and so is |mu|^2."""
    d, n, seeds = 3, 1000, 200
    loop = fresh_data(n_fresh=n, n_synthetic=round(r * n), memory=memory)
    w2, mean = settled(loop, d, 25 + 2 * memory, 55 + 2 * memory, seeds, ("w2_squared", "mean_squared"))
    effective = n * memory_limit_ratio(r, memory)
    # Large n: d / n is 0.3 % here, and 1 % allows for three times that.
    for found, expected in ((w2, expected_w2_of_fit(effective, d)), (mean, d / effective)):
        assert abs(found.mean() - expected) < MAX_Z * found.std() / math.sqrt(seeds) + 0.01 * expected
    for other in (n * (1 + r), n * memory_limit_ratio(r, memory + 1), n):
        assert abs(z_score(w2, expected_w2_of_fit(other, d))) > MAX_Z or other == pytest.approx(effective, rel=0.1)
    assert fresh_limit_w2(d, n, round(r * n), memory=memory) == pytest.approx(
        first_order_w2_of_fit(effective, d), rel=1e-9
    )


def test_at_most_twice_as_many_without_memory_and_at_most_all_with_it() -> None:
    assert fresh_limit_ratio(0) == 1
    assert fresh_limit_ratio(1) == pytest.approx(1.5)
    assert fresh_limit_ratio(1e9) == pytest.approx(2)
    assert memory_limit_ratio(10, 1e9) == pytest.approx(11)
    # The paper's figure 30: "about 8-10" at K = 100, n_s = 10 n_r.
    assert memory_limit_ratio(10, 100) == pytest.approx(10.1, abs=0.01)


@pytest.mark.parametrize("r", [1.0, 9.0])
@pytest.mark.parametrize("memory", [1, 3])
def test_a_biased_loop_has_a_floor_that_no_number_of_samples_removes(r: float, memory: int) -> None:
    d, bias = 4, 0.8
    floor = biased_floor(d, r, bias)
    for n in (100, 1000, 200_000):
        loop = fresh_data(n_fresh=n, n_synthetic=round(r * n), bias=bias, memory=memory)
        w2, trace = settled(loop, d, 60 * memory, 60 * memory + 5, 60, ("w2_squared", "total_variance"))
        expected = fresh_limit_w2(d, n, round(r * n), bias, memory)
        assert abs(w2.mean() - expected) < MAX_Z * w2.std() / math.sqrt(len(w2)) + 3 * d / n * expected
    assert trace.mean() / d == pytest.approx(biased_variance(r, bias), rel=1e-3)
    assert w2.mean() == pytest.approx(floor, rel=0.01), "and down to it, no further"


@pytest.mark.parametrize(("bias", "limit"), [(1.0, 12.3), (0.8, 20.6)])
def test_figure_10_both_starts_meet_in_one_limit(bias: float, limit: float) -> None:
    d, found = 100, []
    for n_initial in (100, 1000):
        loop = fresh_data(n_fresh=100, n_synthetic=900, n_initial=n_initial, bias=bias)
        for t, model in enumerate(models(loop, d, 44, 4), 1):
            if t == 1:
                start = measured(model, "w2_squared", d).mean()
            if t == 40:
                found.append([measured(model, "w2_squared", d)])
            elif t > 40:
                found[-1].append(measured(model, "w2_squared", d))
        assert start == pytest.approx(expected_w2_of_fit(n_initial, d), rel=0.05)
    short, long = (np.mean(w2, axis=0) for w2 in found)
    error = math.hypot(short.std(ddof=1), long.std(ddof=1)) / math.sqrt(4)
    assert abs(short.mean() - long.mean()) < MAX_Z * error
    # The paper's curve can be read to about 1 %.
    assert (short.mean() + long.mean()) / 2 == pytest.approx(limit, rel=0.02)
