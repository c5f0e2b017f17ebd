"""The banana: rows by index, a density that is theirs, moments known exactly."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments, rows_to_moments
from mad_ray.data.rosenbrock import Rosenbrock

KEYS = Keys((0, 1)).at("real")
SOURCES = [Rosenbrock(), Rosenbrock(a=-2.0, b=5.0, scale=20.0)]


@pytest.mark.parametrize("data", SOURCES)
def test_log_density_is_rosenbrocks_function_and_integrates_to_one(data: Rosenbrock) -> None:
    x = data.rows(0, 100, KEYS).x[0]
    function = (data.a - x[:, 0]) ** 2 + data.b * (x[:, 1] - x[:, 0] ** 2) ** 2
    np.testing.assert_allclose(data.log_density(x) - data.log_density(x[0]), -(function - function[0]) / data.scale)
    half_x, half_y = (8 * np.sqrt(variance) for variance in data.variances)

    def over_y(at: float) -> float:
        return quad(lambda y: np.exp(data.log_density(np.array([at, y]))), at * at - half_y, at * at + half_y)[0]

    # 8 standard deviations leave out 1e-15; the rest is the quadrature's own error.
    assert quad(over_y, data.a - half_x, data.a + half_x)[0] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("data", SOURCES)
def test_rows_follow_the_density(data: Rosenbrock) -> None:
    x = data.rows(0, 20_000, KEYS.row(0)).x[0]
    z = (x - np.stack([np.full(len(x), data.a), x[:, 0] ** 2], axis=1)) / np.sqrt(data.variances)
    assert kstest(z[:, 0], "norm").pvalue > 1e-3
    assert kstest(z[:, 1], "norm").pvalue > 1e-3
    assert kstest((z**2).sum(axis=1), "chi2", args=(2,)).pvalue > 1e-3


@pytest.mark.parametrize("data", SOURCES)
def test_rows_have_the_moments_it_states(data: Rosenbrock) -> None:
    """5 standard errors of 100,000 rows, taken from the rows themselves: y has long tails."""
    exact, x = data.moments(), data.rows(0, 100_000, KEYS.row(0)).x[0]
    found = rows_to_moments(x[None])
    error = x.std(axis=0) / np.sqrt(len(x))
    assert np.all(np.abs(found.mean - exact.mean)[0] < 5 * error)
    deviation = x - x.mean(axis=0)
    products = deviation[:, :, None] * deviation[:, None, :]
    assert np.all(np.abs(found.covariance - exact.covariance)[0] < 5 * products.std(axis=0, ddof=1) / np.sqrt(len(x)))


def test_the_law_holds_rows_apart_and_their_entropy() -> None:
    data = Rosenbrock()
    law = data.law()
    np.testing.assert_array_equal(law["held_out"], data.held_out(4096).x[0])
    surprise = -data.log_density(law["held_out"])
    assert abs(surprise.mean() - law["entropy"]) < 5 * surprise.std() / 64
    assert data.draw(Moments, 0, 10, KEYS) is None
    held = {tuple(row) for row in law["held_out"]}
    assert len(held) == 4096
    for seed in (0, 1):
        assert not held & {tuple(row) for row in data.rows(0, 2000, Keys((seed,)).at("real")).x[0]}


@pytest.mark.parametrize("settings", [{"a": np.inf}, {"b": 0.0}, {"scale": -1.0}, {"scale": np.nan}])
def test_what_is_no_density_is_refused(settings: dict) -> None:
    with pytest.raises(InvalidInput, match=f"data.{next(iter(settings))}="):
        Rosenbrock(**settings)
