"""W2 between Gaussians: right to 1e-12 of the traces, however narrow some directions are."""

import numpy as np
import pytest

from mad_ray.core.wasserstein import gaussian_w2, isotropic_w2, singular_values

D = 40
ZERO = np.zeros((1, D))


def root_of(widths: np.ndarray, seed: int) -> np.ndarray:
    """[1, d, d] lower-triangular, whose covariance has standard deviations `widths` along random axes."""
    axes = np.linalg.qr(np.random.default_rng(seed).normal(size=(D, D)))[0]
    return np.linalg.qr((axes * widths).T, mode="r").T[None]


@pytest.mark.parametrize("decades", [0.1, 1, 2.9, 3.1, 6, 20, 200])
def test_against_an_isotropic_reference(decades: float) -> None:
    """sum (width - s)^2, by construction; whichever way the singular values are computed."""
    widths = 10.0 ** -np.linspace(0, decades, D)
    root = root_of(widths, 0)
    for s in (1.0, 0.3):
        expected, traces = ((widths - s) ** 2).sum(), (widths**2).sum() + D * s * s
        found = isotropic_w2(ZERO, root, ZERO, s)[0]
        assert abs(found - expected) < 1e-12 * traces
        general = gaussian_w2(ZERO, root, ZERO, s * np.eye(D)[None])[0]
        assert abs(general - expected) < 1e-12 * traces


@pytest.mark.parametrize("decades", [0.5, 4, 12])
def test_commuting_covariances(decades: float) -> None:
    """Same axes: the distance is that of the widths."""
    one, other = 10.0 ** -np.linspace(0, decades, D), np.linspace(0.5, 2.0, D)
    found = gaussian_w2(ZERO, root_of(one, 1), np.ones((1, D)), root_of(other, 1))[0]
    assert abs(found - D - ((one - other) ** 2).sum()) < 1e-12 * (D + (one**2).sum() + (other**2).sum())


def test_close_to_the_truth_nothing_cancels() -> None:
    """Against I, a relative error of 1e-9 in the widths is a distance of 1e-18 each."""
    found = isotropic_w2(ZERO, (1 + 1e-9) * np.eye(D)[None], ZERO, 1.0)[0]
    assert found == pytest.approx(D * 1e-18, rel=1e-5)


def test_a_point_is_as_far_as_the_trace() -> None:
    point = np.zeros((1, D, D))
    assert isotropic_w2(ZERO + 2, point, ZERO, 3.0)[0] == 4 * D + 9 * D
    assert gaussian_w2(ZERO, point, ZERO, np.eye(D)[None])[0] == D


@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (5, 5)])
def test_singular_values_of_a_batch_are_those_of_its_members(shape: tuple[int, int]) -> None:
    """Some by eigenvalues, some directly: no member sees another."""
    x = np.random.default_rng(0).normal(size=(6, *shape))
    x[2, :, 1] = x[2, :, 0]
    x[4, 1] = 0
    found = singular_values(x)
    expected = np.linalg.svd(x, compute_uv=False)
    np.testing.assert_allclose(np.sort(found)[:, ::-1], expected, atol=1e-12)
    for b in range(6):
        assert singular_values(x[b : b + 1])[0].tobytes() == found[b].tobytes()
