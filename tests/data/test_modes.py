"""The grid of modes: rows by index, moments known exactly, modes where the law says."""

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments, rows_to_moments
from mad_ray.data.modes import Modes

KEYS = Keys((0, 1)).at("real")


def test_the_law_says_where_the_modes_are() -> None:
    data = Modes(side=3, spacing=2.0, spread=0.5)
    law = data.law()
    assert {tuple(centre) for centre in law["centres"]} == {(x, y) for x in (-2.0, 0.0, 2.0) for y in (-2.0, 0.0, 2.0)}
    assert law["spread"].shape == ()
    assert law["spread"] == 0.5
    assert data.draw(Moments, 0, 10, KEYS) is None


@pytest.mark.parametrize("data", [Modes(), Modes(side=2, spacing=3.0, spread=0.3)])
def test_modes_are_equal_gaussians(data: Modes) -> None:
    """Well separated, so each row's mode is the nearest centre: as many rows in each, spread as N(0, spread^2 I)."""
    x, centres = data.rows(0, 20_000, KEYS.row(0)).x[0], data.centres
    mode = np.argmin(((x[:, None] - centres) ** 2).sum(axis=2), axis=1)
    assert chisquare(np.bincount(mode, minlength=len(centres))).pvalue > 1e-3
    z = (x - centres[mode]) / data.spread
    assert kstest(z[:, 0], "norm").pvalue > 1e-3
    assert kstest(z[:, 1], "norm").pvalue > 1e-3
    assert kstest((z**2).sum(axis=1), "chi2", args=(2,)).pvalue > 1e-3


@pytest.mark.parametrize("data", [Modes(), Modes(side=1), Modes(side=4, spacing=0.3, spread=1.0)])
def test_rows_have_the_moments_it_states(data: Modes) -> None:
    """5 standard errors of 20,000 rows; a fourth moment is at most that of a Gaussian, 3."""
    n, exact = 20_000, data.moments()
    found = rows_to_moments(data.rows(0, n, KEYS).x)
    variance = exact.covariance[0, 0, 0]
    assert np.abs(found.mean - exact.mean).max() < 5 * np.sqrt(variance / n)
    assert np.abs(found.covariance - exact.covariance).max() < 5 * variance * np.sqrt(2 / n)


def test_held_out_rows_are_never_trained_on() -> None:
    data = Modes()
    held = {tuple(row) for row in data.held_out(500).x[0]}
    assert len(held) == 500
    for seed in (0, 1):
        assert not held & {tuple(row) for row in data.rows(0, 2000, Keys((seed,)).at("real")).x[0]}


@pytest.mark.parametrize("settings", [{"side": 0}, {"spacing": 0.0}, {"spread": -0.1}, {"spread": np.nan}])
def test_a_grid_needs_lengths(settings: dict) -> None:
    with pytest.raises(InvalidInput, match=f"data.{next(iter(settings))}="):
        Modes(**settings)
