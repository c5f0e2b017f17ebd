"""The Gaussian source: rows by index, moments known exactly."""

import numpy as np
import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.moments import rows_to_moments
from mad_ray.data import GaussianData

KEYS = Keys((0, 1)).at("real")


def test_rows_are_addressed() -> None:
    data = GaussianData(d=3)
    whole = data.rows(0, 5000, KEYS)
    np.testing.assert_array_equal(data.rows(1000, 3000, KEYS).x, whole.x[:, 1000:3000])
    np.testing.assert_array_equal(data.rows(1000, 3000, KEYS.row(1)).x[0], whole.x[1, 1000:3000])
    assert data.event.shape == (3,)
    assert whole.x.dtype == data.event.dtype == "float64"


def test_rows_have_the_moments_it_states() -> None:
    """5 standard errors of a mean and a covariance of 20,000 rows; off the diagonal too."""
    data, n = GaussianData(d=4), 20_000
    exact = data.moments()
    found = rows_to_moments(data.rows(0, n, KEYS).x)
    assert np.abs(found.mean - exact.mean).max() < 5 / np.sqrt(n)
    assert np.abs(found.covariance - exact.covariance).max() < 5 * np.sqrt(2 / n)


def test_held_out_rows_are_never_trained_on() -> None:
    data = GaussianData(d=2)
    held = {tuple(row) for row in data.held_out(500).x[0]}
    for seed in (0, 1):
        assert not held & {tuple(row) for row in data.rows(0, 2000, Keys((seed,)).at("real")).x[0]}


def test_rows_never_run_out() -> None:
    data = GaussianData(d=1)
    assert data.n_rows is None
    assert np.isfinite(data.rows(10**9, 10**9 + 3, KEYS).x).all()


@pytest.mark.parametrize("d", [0, -1])
def test_a_space_needs_a_dimension(d: int) -> None:
    with pytest.raises(InvalidInput, match=f"data.d={d}"):
        GaussianData(d=d)
