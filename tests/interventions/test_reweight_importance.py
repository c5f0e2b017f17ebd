"""Importance weights: of two Gaussians the ratio is known in closed form, and D^t moves to the real data."""

import numpy as np
import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.samples import Samples
from mad_ray.data.analytic import GaussianData
from mad_ray.data.digits import Digits
from mad_ray.data.zipf import Zipf
from mad_ray.interventions.reweight_importance import ReweightImportance, log_odds
from mad_ray.interventions.rowwise import of
from tests.interventions.lessons import SmallLesson

D = 2
M, S = 0.6, 1.5
"""D^t is N(m, s I)."""


@pytest.fixture(scope="module")
def shifted():
    """(rows of N(m, s I), the estimate that they give)."""
    rows = Samples.of(M + np.sqrt(S) * GaussianData(d=D).rows(0, 20_000, Keys((5,))).x)
    one = ReweightImportance(n_real=20_000, n_fit=20_000, max_ratio=1e6)
    return one, rows, one.learn(SmallLesson(GaussianData(d=D), rows))


def log_ratio(x):
    """log N(x; 0, I) - log N(x; m, s I)."""
    return (-(x**2).sum(axis=-1) + ((x - M) ** 2).sum(axis=-1) / S + D * np.log(S)) / 2


def test_the_log_ratio_of_two_gaussians(shifted):
    """Of 20,000 rows each the coefficients have standard errors near 0.02: 0.1 is five, over one standard deviation."""
    one, _, state = shifted
    x = GaussianData(d=D).rows(30_000, 31_000, Keys((5,))).x[0]
    found = one.log_factor(x, np.full(len(x), -1), of(state, 0))
    assert np.sqrt(np.mean((found - log_ratio(x)) ** 2)) < 0.1


def test_weighted_rows_have_the_moments_of_the_real_ones(shifted):
    """Kish's count of these weights is some 10,000, so means of +-0.01 and variances of +-0.015; five of these."""
    one, rows, state = shifted
    weight = one.admit(rows, state).weight[0].astype(np.float64)
    mean = weight @ rows.x[0] / weight.sum()
    variance = weight @ (rows.x[0] - mean) ** 2 / weight.sum()
    assert np.abs(rows.x[0].mean(axis=0) - M).max() < 0.05
    assert np.abs(mean).max() < 0.05
    assert np.abs(variance - 1).max() < 0.075
    assert weight.mean() == pytest.approx(1, abs=1e-6)


def test_half_the_strength_is_the_root_of_the_ratio(shifted):
    one, rows, state = shifted
    full = np.log(one.admit(rows, state).weight[0])
    half_one = ReweightImportance(n_real=20_000, n_fit=20_000, max_ratio=1e6, strength=0.5)
    half = np.log(half_one.admit(rows, half_one.learn(SmallLesson(GaussianData(d=D), rows))).weight[0])
    assert np.allclose(np.diff(half), np.diff(full) / 2, atol=1e-4)


def test_of_equal_laws_weights_are_near_one():
    data = GaussianData(d=D)
    rows = data.rows(0, 4000, Keys((1,)))
    one = ReweightImportance(n_real=4000, n_fit=4000)
    after = one.admit(rows, one.learn(SmallLesson(data, rows)))
    assert np.abs(np.log(after.weight)).mean() < 0.1


def test_weights_that_came_in_count():
    """D^t of two halves, one dropped before: the estimate sees the other one alone."""
    data = GaussianData(d=D)
    good, far = data.rows(0, 500, Keys((1,))).x, 50 + data.rows(500, 1000, Keys((1,))).x
    one = ReweightImportance()
    weight = np.repeat(np.array([[1, 0]], np.float32), 500, axis=1)
    rows = Samples.of(np.concatenate([good, far], axis=1), weight=weight)
    after = one.admit(rows, one.learn(SmallLesson(data, rows)))
    alone = one.admit(Samples.of(good), one.learn(SmallLesson(data, Samples.of(good))))
    assert np.array_equal(after.weight[:, :500], alone.weight)
    assert (after.weight[:, 500:] == 0).all()


def test_on_digits_real_rows_outweigh_noisy_ones():
    """Half of D^t is noisy: the real half, from half of the weight, comes to more than three quarters."""
    real = Digits().rows(0, 600, Keys((3,)))
    noise = np.random.default_rng(0).normal(0, 60, real.x[:, 300:].shape)
    noisy = np.clip(real.x[:, 300:] + noise, 0, 255).astype(np.uint8)
    rows = Samples.of(np.concatenate([real.x[:, :300], noisy], axis=1))
    one = ReweightImportance(n_real=400)
    weight = one.admit(rows, one.learn(SmallLesson(Digits(), rows))).weight[0]
    assert weight[:300].sum() / weight.sum() > 0.75


def test_lost_symbols_are_pulled_back():
    """D^t has the commonest symbol twice as often as it should be."""
    data = Zipf(n_symbols=6)
    x = data.rows(0, 4000, Keys((3,))).x
    rows = Samples.of(np.concatenate([x, np.zeros((1, 4000, 1))], axis=1))
    one = ReweightImportance(n_real=4000, n_fit=8000, max_ratio=100)
    weight = one.admit(rows, one.learn(SmallLesson(data, rows))).weight[0]
    share = np.bincount(rows.x[0, :, 0].astype(int), weight, minlength=6) / weight.sum()
    # Standard errors of shares of 4,000 real rows are below 0.008.
    assert np.abs(share - data.probabilities).max() < 0.04


def test_the_log_odds_are_a_stationary_point():
    """The gradient of the penalised likelihood, written out once more, is 0."""
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(300, 4)), rng.uniform(0.1, 3, 300)
    target = rng.random(300) < 1 / (1 + np.exp(-x[:, 0] + 0.5))
    beta = log_odds(x, target, weight)
    p = 1 / (1 + np.exp(-(beta[0] + x @ beta[1:])))
    assert abs((weight * (p - target)).sum()) < 1e-6
    assert np.abs(x.T @ (weight * (p - target)) + beta[1:]).max() < 1e-6


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("spread", [1, 1e4])
def test_the_log_odds_of_separable_classes_are_finite(spread):
    x = spread * np.linspace(-1, 1, 50)[:, None]
    beta = log_odds(x, x[:, 0] > 0, np.ones(50))
    assert np.isfinite(beta).all()
    assert beta[1] > 1 / spread


@pytest.mark.parametrize(("settings", "named"), [({"n_real": 1}, "n_real=1"), ({"strength": 11.0}, "strength=11.0")])
def test_bad_settings(settings, named):
    with pytest.raises(InvalidInput, match=rf"interventions\.reweight_importance\.{named}"):
        ReweightImportance(**settings)
