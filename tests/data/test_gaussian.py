"""Gaussian references of any shape: rows, draws, law and moments tell of one distribution."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from mad_ray.core.counts import Counts
from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import identity
from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments, rows_to_moments
from mad_ray.data import GaussianData

SHAPES = {
    "identity": GaussianData(d=3),
    "shifted": GaussianData(d=3, mean=-2.0),
    "spectrum": GaussianData(d=3, spectrum=[4.0, 1.0, 0.01]),
    "condition": GaussianData(d=4, condition=100.0),
    "correlated": GaussianData(d=4, correlation=-0.7),
    "all at once": GaussianData(d=3, mean=1.0, condition=10.0, correlation=0.5),
    "a line": GaussianData(d=1, spectrum=[9.0]),
}
MAX_Z = 5.0


def z_of(found: Moments, exact: Moments, n: int) -> np.ndarray:
    """Entries of a sample's covariance [B, d, d] in standard errors from the exact ones."""
    sigma = exact.covariance[0]
    diagonal = np.diag(sigma)
    return (found.covariance - sigma) / np.sqrt((sigma**2 + np.outer(diagonal, diagonal)) / n)


@pytest.mark.parametrize("name", SHAPES)
def test_rows_and_draws_have_the_moments_that_it_states(name: str) -> None:
    data, n, keys = SHAPES[name], 20_000, Keys((0, 1)).at("real")
    exact = data.moments()
    for found in (rows_to_moments(data.rows(0, n, keys).x), data.draw(Moments, 0, n, keys)):
        assert np.abs(z_of(found, exact, n)).max() < MAX_Z
        assert (np.abs(found.mean - exact.mean) < MAX_Z * np.sqrt(np.diag(exact.covariance[0]) / n)).all()
    held = rows_to_moments(data.held_out(n).x)
    assert np.abs(z_of(held, exact, n)).max() < MAX_Z


@pytest.mark.parametrize("name", SHAPES)
def test_the_law_is_the_moments(name: str) -> None:
    data = SHAPES[name]
    law, exact = data.law(), data.moments()
    np.testing.assert_array_equal(law["mean"], exact.mean[0])
    np.testing.assert_array_equal(law["covariance"], exact.covariance[0])
    assert np.linalg.eigvalsh(law["covariance"]).min() > 0


@pytest.mark.parametrize("name", ["identity", "all at once"])
@pytest.mark.parametrize("n", [2, 30])
def test_draws_have_the_law_of_moments_of_rows(name: str, n: int) -> None:
    data, keys = SHAPES[name], Keys(tuple(range(1000))).at("real")
    drawn = data.draw(Moments, 0, n, keys)
    summed = rows_to_moments(data.rows(0, n, keys).x)
    for of in (lambda m: m.mean[:, -1], lambda m: m.scatter[:, 0, 0], lambda m: m.scatter[:, 0, -1]):
        assert ks_2samp(of(drawn), of(summed)).pvalue > 1e-3


def test_of_other_summaries_it_knows_nothing() -> None:
    assert GaussianData(d=2).draw(Counts, 0, 10, Keys((0,))) is None


@pytest.mark.parametrize("name", SHAPES)
def test_rows_are_addressed_whatever_the_shape(name: str) -> None:
    data, keys = SHAPES[name], Keys((0, 1)).at("real")
    whole = data.rows(0, 3000, keys).x
    assert data.rows(1000, 1100, keys).x.tobytes() == whole[:, 1000:1100].tobytes()
    assert data.rows(5, 9, keys.row(1)).x.tobytes() == whole[1, 5:9].tobytes()


def test_what_the_settings_say() -> None:
    np.testing.assert_allclose(np.diag(GaussianData(d=3, condition=100.0).covariance), [1, 0.1, 0.01])
    np.testing.assert_allclose(np.linalg.cond(GaussianData(d=30, condition=100.0).covariance), 100)
    sigma = GaussianData(d=3, spectrum=[4, 1, 1], correlation=0.5).covariance
    np.testing.assert_allclose(sigma, [[4, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]])


def test_defaults_are_no_part_of_the_identity() -> None:
    assert identity(GaussianData()) == {"name": "gaussian"}
    assert identity(GaussianData(d=3)) == {"name": "gaussian", "d": 3}
    assert identity(GaussianData(d=2, spectrum=[1.0, 0.5])) == {"name": "gaussian", "d": 2, "spectrum": [1, 0.5]}


def test_the_largest_there_is_can_be_drawn() -> None:
    data = GaussianData(d=512, correlation=0.9, condition=1e4)
    found = data.draw(Moments, 0, 600, Keys((0,)))
    assert np.isfinite(found.covariance).all()
    # tr is a sum of 512 variances, each known to sqrt(2 / 600), correlated ones to more: 0.9 makes about 10 one.
    assert np.trace(found.covariance[0]) == pytest.approx(np.trace(data.covariance), rel=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"d": 0}, "data.d=0"),
        ({"d": 3, "spectrum": [1.0, 2.0]}, "has 2 variances, d=3 coordinates need 3"),
        ({"d": 2, "spectrum": [1.0, 0.0]}, "a variance is not above 0"),
        ({"d": 2, "spectrum": [1.0, float("nan")]}, "a variance is not above 0"),
        ({"d": 2, "spectrum": [1.0, 2.0], "condition": 4.0}, "drop one of them"),
        ({"condition": 0.5}, "data.condition=0.5"),
        ({"condition": float("inf")}, "data.condition=inf"),
        ({"correlation": 1.0}, "data.correlation=1.0"),
        ({"correlation": -1.5}, "data.correlation=-1.5"),
        ({"correlation": float("nan")}, "data.correlation=nan"),
        ({"mean": float("inf")}, "data.mean=inf"),
    ],
)
def test_what_it_cannot_be_it_refuses(settings: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        GaussianData(**settings)
    assert "\n" not in str(caught.value)
