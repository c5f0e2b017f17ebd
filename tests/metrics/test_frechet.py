"""The Frechet distance: clean-fid's value where clean-fid is exact, and the laws of a Wasserstein distance."""

import numpy as np
import pytest
from cleanfid.fid import frechet_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from mad_ray.core.moments import exact_moments, rows_to_moments
from mad_ray.metrics.frechet import moments_to_frechet
from tests.oracles.metrics import frechet_of_factors


def sample(seed, n, d, spread=1.0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) * spread) @ rng.normal(size=(d, d)) + rng.normal(size=d)


def of_rows(real, synthetic):
    return moments_to_frechet(real=rows_to_moments(real[None]), synthetic=rows_to_moments(synthetic[None]))[0]


@pytest.mark.parametrize("d", [2, 17, 84, 256])
def test_equals_clean_fid_to_1e_9(d):
    real, synthetic = sample(0, 6 * d + 10, d), sample(1, 4 * d + 10, d)
    x, y = rows_to_moments(real[None]), rows_to_moments(synthetic[None])
    theirs = frechet_distance(x.mean[0], x.covariance[0], y.mean[0], y.covariance[0])
    assert moments_to_frechet(real=x, synthetic=y)[0] == pytest.approx(theirs, rel=1e-9)


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(2, 40))
@settings(max_examples=60, deadline=None)
def test_identical_moments_are_at_distance_zero(seed, d, n):
    x = sample(seed, n, d)
    trace = rows_to_moments(x[None]).covariance[0].trace()
    # 1e-13 of the traces is the error that the function states at full rank, and equal ranks cancel alike.
    assert of_rows(x, x) <= 1e-12 * trace


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(2, 40), st.integers(2, 40))
@settings(max_examples=60, deadline=None)
def test_symmetric(seed, d, n, m):
    x, y = sample(seed, n, d), sample(seed + 1, m, d)
    assert of_rows(x, y) == pytest.approx(of_rows(y, x), rel=1e-9, abs=1e-9)


@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(0.1, 30.0))
@settings(max_examples=40, deadline=None)
def test_a_shift_adds_its_square(seed, d, size):
    x, y = sample(seed, 50, d), sample(seed + 1, 60, d)
    y += x.mean(axis=0) - y.mean(axis=0)
    shift = np.random.default_rng(seed).normal(size=d) * size
    assert of_rows(x, y + shift) - of_rows(x, y) == pytest.approx((shift**2).sum(), rel=1e-8, abs=1e-8)


@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(0.0, 4.0))
@settings(max_examples=40, deadline=None)
def test_scaling_by_a_adds_its_closed_form(seed, d, a):
    x = rows_to_moments(sample(seed, 50, d)[None])
    centre = np.zeros_like(x.mean)
    real, scaled = exact_moments(centre, x.covariance), exact_moments(centre, x.covariance * a**2)
    trace = x.covariance[0].trace()
    expected = (1 - a) ** 2 * trace
    assert moments_to_frechet(real=real, synthetic=scaled)[0] == pytest.approx(expected, rel=1e-8, abs=1e-12 * trace)


@pytest.mark.parametrize("n", [10, 400])
def test_rotation_changes_nothing(n):
    d = 30
    rotation = ortho_group.rvs(d, random_state=0)
    x, y = sample(0, n, d), sample(1, n, d)
    assert of_rows(x @ rotation, y @ rotation) == pytest.approx(of_rows(x, y), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(10, 12), (10, 200), (200, 10), (2, 2)])
def test_fewer_samples_than_dimensions(n, m):
    d = 60
    x, y = sample(0, n, d), sample(1, m, d)
    expected = frechet_of_factors(
        x.mean(0), (x - x.mean(0)).T / np.sqrt(n - 1), y.mean(0), (y - y.mean(0)).T / np.sqrt(m - 1)
    )
    assert of_rows(x, y) == pytest.approx(expected, rel=1e-9)


def test_directions_of_very_different_width():
    """Every variable is judged on its own scale: none of these standard deviations is lost in the largest one."""
    widths = 10.0 ** -np.arange(12)
    real = exact_moments(np.zeros((1, 12)), np.diag(widths**2)[None])
    wide = exact_moments(np.zeros((1, 12)), np.eye(12)[None])
    expected = ((1 - widths) ** 2).sum()
    assert moments_to_frechet(real=real, synthetic=wide)[0] == pytest.approx(expected, rel=1e-14)


def test_a_point_is_as_far_as_the_trace():
    real = rows_to_moments(sample(0, 100, 5)[None])
    point = exact_moments(real.mean, np.zeros((1, 5, 5)))
    assert moments_to_frechet(real=real, synthetic=point)[0] == pytest.approx(real.covariance[0].trace(), rel=1e-12)
    assert moments_to_frechet(real=point, synthetic=point)[0] == 0.0


def test_row_b_of_a_batch_equals_the_trajectory_alone():
    d = 6
    reference = exact_moments(np.zeros((1, d)), np.eye(d)[None])
    rows = np.stack([sample(seed, 20, d) for seed in range(5)])
    rows[2, 3:] = rows[2, :1]  # one member of rank 2
    together = moments_to_frechet(real=reference, synthetic=rows_to_moments(rows))
    assert together.shape == (5,)
    for b in range(5):
        alone = moments_to_frechet(real=reference, synthetic=rows_to_moments(rows[b : b + 1]))[0]
        assert together[b] == pytest.approx(alone, rel=1e-12)


def test_a_fit_on_n_samples_is_d_d_plus_5_over_4n_away():
    d, n, cohort = 20, 2000, 200
    rows = np.random.default_rng(0).normal(size=(cohort, n, d))
    reference = exact_moments(np.zeros((1, d)), np.eye(d)[None])
    found = moments_to_frechet(real=reference, synthetic=rows_to_moments(rows))
    error = found.std() / np.sqrt(cohort)
    # Four standard errors, and the formula's own next order, d/n of it.
    assert abs(found.mean() - d * (d + 5) / (4 * n)) < 4 * error + found.mean() * d / n


def test_one_sample_has_no_covariance():
    with pytest.raises(ValueError, match="at least 2 samples, found 1"):
        of_rows(np.zeros((1, 3)), np.zeros((5, 3)))
