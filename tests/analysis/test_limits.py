"""Intervals cover what they claim to cover, and are absent where nothing can be claimed."""

import numpy as np
import pytest
from scipy import stats

from mad_ray.analysis.curves import Curves
from mad_ray.analysis.limits import last_interval, limit_interval, mean_interval, median_interval, seed_band
from mad_ray.core.keys import Keys

KEYS = Keys((0,), ("test_limits",))


@pytest.mark.parametrize("interval", [mean_interval, median_interval, seed_band])
def test_one_value_has_a_centre_and_no_interval(interval):
    found = interval(np.array([3.5, np.nan]))
    assert (found.centre, found.n, found.is_known) == (3.5, 1, False)
    assert np.isnan([found.low, found.high, found.level]).all()


@pytest.mark.parametrize("interval", [mean_interval, median_interval, seed_band])
def test_no_value_is_unknown(interval):
    found = interval(np.array([np.nan]))
    assert np.isnan(found.centre)
    assert not found.is_known


def test_mean_interval_is_students():
    x = KEYS.generator(0, "t").normal(size=7)
    found = mean_interval(x, 0.9)
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_a_median_interval_needs_six_values_for_95_percent(n):
    assert not median_interval(np.arange(float(n))).is_known
    band = seed_band(np.arange(float(n)))
    assert (band.low, band.high) == (0, n - 1)
    assert band.level == pytest.approx(1 - 2.0 ** (1 - n))


def test_six_values_give_their_range():
    found = median_interval(np.arange(6.0))
    assert (found.low, found.centre, found.high) == (0, 2.5, 5)
    assert found.level == pytest.approx(1 - 2 / 64)


@pytest.mark.parametrize("n", [6, 9, 25])
def test_median_interval_covers_at_the_level_attained(n):
    """3,000 skewed samples; the coverage is within the 99.9 % binomial interval of `level`."""
    truth, n_samples = np.log(2), 3_000
    found = [median_interval(KEYS.generator(0, n, i).exponential(size=n)) for i in range(n_samples)]
    low, high = stats.binom.interval(0.999, n_samples, found[0].level)
    assert found[0].level >= 0.95
    assert low <= sum(interval.low <= truth <= interval.high for interval in found) <= high


def test_last_generation_is_the_last_that_half_of_the_seeds_have_reached():
    values = np.array([[1.0, 2, 3, 4], [1, 2, 3, np.nan], [1, 4, np.nan, np.nan]])
    assert last_interval(Curves("frechet", np.arange(1, 5), values)).centre == 3


def test_limit_is_the_mean_of_the_second_half():
    values = np.array([[9.0, 5, 2, 2], [9, 5, 4, 1]])
    found = limit_interval(Curves("frechet", np.arange(1, 5), values))
    assert found.centre == pytest.approx((3 + 10 / 3) / 2)
    assert found.n == 2
