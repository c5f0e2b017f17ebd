"""The surface passes through what was seen, knows how little it knows elsewhere, and follows its equations."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from mad_ray.analysis.surface import _misfit, fit_surface
from mad_ray.core.keys import Keys

KEYS = Keys((0,), ("test_surface",))


def bowl(x: np.ndarray) -> np.ndarray:
    return np.sin(3 * x[:, 0]) + x[:, 1] ** 2


def seen(n: int, *index: int, noise: float = 0.01) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = KEYS.generator(0, n, *index)
    x = rng.random((n, 2))
    return x, bowl(x) + noise * rng.normal(size=n), np.full(n, noise**2)


def test_the_misfits_gradient_is_its_gradient():
    x, y, variance = seen(15)
    for theta in (np.zeros(3), np.array([-0.5, -1.0, 0.7])):
        error = check_grad(lambda t: _misfit(t, x, y, variance)[0], lambda t: _misfit(t, x, y, variance)[1], theta)
        assert error < 1e-4 * np.linalg.norm(_misfit(theta, x, y, variance)[1])


def test_it_predicts_within_its_own_intervals():
    """20 surfaces of 30 noisy values, 200 places each: 95 % intervals cover 90 % to 100 %, errors below 0.1."""
    covered = []
    for i in range(20):
        surface, at = fit_surface(*seen(30, i)), KEYS.generator(0, "at", i).random((200, 2))
        mean, sd = surface.posterior(at)
        covered.append(np.mean(np.abs(mean - bowl(at)) <= 1.96 * sd))
        assert np.sqrt(np.mean((mean - bowl(at)) ** 2)) < 0.1
    assert 0.9 < np.mean(covered) <= 1


def test_far_from_what_was_seen_little_is_known():
    x, y, variance = seen(12)
    surface = fit_surface(x * [0.3, 1], y, variance)
    _, sd = surface.posterior(np.array([[0.15, 0.5], [0.6, 0.5], [1.0, 0.5]]))
    assert sd[0] < sd[1] < sd[2]


def test_believing_moves_no_mean_and_narrows_the_interval_there():
    surface = fit_surface(*seen(20))
    at, place = KEYS.generator(0, "at").random((50, 2)), np.array([0.9, 0.9])
    later = surface.believing(place, 0.01**2)
    assert later.posterior(at)[0] == pytest.approx(surface.posterior(at)[0], abs=1e-6)
    assert np.all(later.posterior(at)[1] <= surface.posterior(at)[1] + 1e-9)
    assert later.posterior(place[None])[1] < 0.0101 < surface.posterior(place[None])[1] + 0.0101


def test_order_of_points_changes_nothing():
    x, y, variance = seen(20)
    at = KEYS.generator(0, "at").random((20, 2))
    one, two = fit_surface(x, y, variance), fit_surface(x[::-1], y[::-1], variance)
    assert one.posterior(at)[0] == pytest.approx(two.posterior(at)[0], abs=1e-8)
