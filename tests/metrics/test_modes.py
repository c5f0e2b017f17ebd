"""What became of the modes, in samples of which the answer is known."""

import numpy as np
import pytest

from mad_ray.core.keys import Keys
from mad_ray.data.modes import Modes
from mad_ray.metrics.modes import MODE_METRICS, mode_metrics

DATA = Modes()
LAW = DATA.law()


def real(n: int = 20_000, data: Modes = DATA) -> np.ndarray:
    return data.rows(0, n, Keys((3,))).x[0]


def test_real_samples_have_every_mode() -> None:
    """Within 3 spreads of a centre: 1 - exp(-4.5); their variance: 2 - 9 / (exp(4.5) - 1) spreads squared."""
    found = mode_metrics(real(), LAW, MODE_METRICS)
    assert found["sample_modes_alive"] == 25
    assert found["high_quality"] == pytest.approx(1 - np.exp(-4.5), abs=0.003)
    assert found["sample_modal_variance"] == pytest.approx((2 - 9 / (np.exp(4.5) - 1)) * 0.01, rel=0.02)


def test_samples_without_a_mode_have_one_less() -> None:
    x = real()
    for gone in (0, 7, 24):
        kept = x[np.abs(x - DATA.centres[gone]).max(axis=1) > 0.5]
        assert mode_metrics(kept, LAW, MODE_METRICS)["sample_modes_alive"] == 24


def test_a_mode_dies_below_a_tenth_of_its_fair_share() -> None:
    """1,000 samples of 25 modes: 4 are a tenth of the fair share."""
    for n, alive in ((3, 1), (4, 2)):
        x = np.repeat(DATA.centres[[0, 1]], [1000 - n, n], axis=0)
        assert mode_metrics(x, LAW, ("sample_modes_alive",)) == {"sample_modes_alive": alive}


def test_a_mode_reaches_three_spreads() -> None:
    x = DATA.centres[12] + np.array([[0.299, 0.0], [0.0, -0.299], [0.22, 0.22], [0.301, 0.0]])
    assert mode_metrics(x, LAW, ("high_quality",)) == {"high_quality": 0.5}


def test_shrunken_modes_have_less_variance_and_shifted_ones_less_quality() -> None:
    x = real()
    whole = mode_metrics(x, LAW, MODE_METRICS)
    centre = DATA.centres[np.argmin(((x[:, None] - DATA.centres) ** 2).sum(axis=2), axis=1)]
    shrunk = mode_metrics(centre + (x - centre) / 4, LAW, MODE_METRICS)
    assert shrunk["sample_modal_variance"] == pytest.approx(0.02 / 16, rel=0.02)
    assert shrunk["high_quality"] == 1.0
    shifted = mode_metrics(x + 0.2, LAW, MODE_METRICS)
    assert shifted["high_quality"] < 0.7 * whole["high_quality"]
    between = mode_metrics(x + 0.5, LAW, MODE_METRICS)
    assert between["sample_modes_alive"] == 0
    assert np.isnan(between["sample_modal_variance"])


def test_variance_is_about_the_modes_own_mean() -> None:
    """Two modes of 1,000 samples each, one moved as a whole; squared distances 2 s^2 = 0.0008, both."""
    z = 0.02 * np.random.default_rng(0).standard_normal((1000, 2))
    x = np.concatenate([DATA.centres[0] + z, DATA.centres[5] + 0.1 + z])
    expected = np.square(z - z.mean(axis=0)).sum(axis=1).mean()
    assert mode_metrics(x, LAW, ("sample_modal_variance",))["sample_modal_variance"] == pytest.approx(expected)


def test_only_what_is_wanted_and_nothing_without_modes() -> None:
    assert mode_metrics(real(100), LAW, ("high_quality", "recall")).keys() == {"high_quality"}
    assert np.isnan(list(mode_metrics(real(100), {}, MODE_METRICS).values())).all()
