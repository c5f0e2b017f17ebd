"""Roots of covariances: lower-triangular, and right whatever the rank."""

import numpy as np
import pytest

from mad_ray.core.cholesky import covariance_root, pivoted_factor
from mad_ray.core.moments import rows_to_moments


def covariance(n: int, d: int, b: int = 3) -> np.ndarray:
    return rows_to_moments(np.random.default_rng(n).normal(size=(b, n, d)) * np.arange(1.0, d + 1)).covariance


@pytest.mark.parametrize(("n", "d"), [(40, 12), (13, 12), (12, 12), (5, 12), (2, 12), (2, 1)])
def test_a_root_squared_is_the_covariance(n: int, d: int) -> None:
    given = covariance(n, d)
    root = covariance_root(given)
    np.testing.assert_array_equal(root, np.tril(root))
    # Factorisations are backward stable: rounding of about d times 1e-16 of the largest entry.
    np.testing.assert_allclose(root @ root.transpose(0, 2, 1), given, atol=1e-14 * d * np.abs(given).max())


def test_what_lacks_rank_lacks_columns() -> None:
    root = covariance_root(covariance(5, 12))
    assert (np.abs(root[:, :, :4]).max(axis=1) > 0).all()
    np.testing.assert_array_equal(root[:, :, 4:], np.zeros((3, 12, 8)))


def test_nothing_has_the_root_nothing() -> None:
    np.testing.assert_array_equal(covariance_root(np.zeros((2, 3, 3))), np.zeros((2, 3, 3)))
    assert pivoted_factor(np.zeros((3, 3))).shape == (3, 0)


def test_a_singular_member_changes_no_bit_of_the_others() -> None:
    given = covariance(40, 12)
    whole = covariance_root(given)
    mixed = covariance_root(np.concatenate([given[:2], covariance(5, 12, 1)]))
    assert mixed[:2].tobytes() == whole[:2].tobytes()


def test_nearly_singular() -> None:
    """Directions 1e-9 as wide as others: Cholesky may stumble over them, the root is right all the same."""
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0]
    given = (rotation * 10.0 ** -np.linspace(0, 18, 20)) @ rotation.T
    given = (given + given.T)[None] / 2
    root = covariance_root(given)
    np.testing.assert_allclose(root @ root.transpose(0, 2, 1), given, atol=1e-14)


def test_pivots_are_judged_on_each_variables_own_scale() -> None:
    widths = 10.0 ** -np.arange(12)
    assert pivoted_factor(np.diag(widths**2)).shape == (12, 12)
