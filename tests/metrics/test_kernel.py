"""The kernel distance: clean-fid's on one whole subset, the pair-by-pair oracle, and unbiasedness."""

import cleanfid.fid
import numpy as np
import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.metrics import kernel
from mad_ray.metrics.kernel import kernel_distance
from tests.oracles import metrics as oracle


def normal(seed, n, d, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


@pytest.mark.parametrize("d", [2, 84])
def test_equals_clean_fid_on_one_subset_of_all_rows(d):
    real, synthetic = normal(0, 300, d), normal(1, 300, d, 0.2)
    theirs = cleanfid.fid.kernel_distance(real, synthetic, num_subsets=1, max_subset_size=300)
    assert kernel_distance(real=real, synthetic=synthetic) == pytest.approx(theirs, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_equals_the_oracle_for_unequal_sets(degree):
    real, synthetic = normal(0, 25, 4), normal(1, 18, 4, 0.5)
    found = kernel_distance(real=real, synthetic=synthetic, degree=degree)
    assert found == pytest.approx(oracle.kernel_distance(real, synthetic, degree), rel=1e-11)


def test_tiles_change_nothing(monkeypatch):
    real, synthetic = normal(0, 100, 5), normal(1, 90, 5, 0.5)
    whole = kernel_distance(real=real, synthetic=synthetic)
    monkeypatch.setattr(kernel, "_TILE", 700)
    assert kernel_distance(real=real, synthetic=synthetic) == pytest.approx(whole, rel=1e-12)


def test_zero_on_average_between_equal_distributions_and_symmetric():
    found = [kernel_distance(real=normal(2 * s, 40, 6), synthetic=normal(2 * s + 1, 60, 6)) for s in range(300)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(300)
    assert min(found) < 0
    x, y = normal(0, 40, 6), normal(1, 60, 6)
    assert kernel_distance(real=x, synthetic=y) == pytest.approx(kernel_distance(real=y, synthetic=x), rel=1e-12)


def test_grows_with_the_shift():
    found = [kernel_distance(real=normal(0, 200, 6), synthetic=normal(1, 200, 6, shift)) for shift in (0.0, 0.5, 1.0)]
    assert found == sorted(found)


def test_needs_two_rows():
    with pytest.raises(InvalidInput, match="1 synthetic samples, it needs at least 2"):
        kernel_distance(real=normal(0, 5, 2), synthetic=normal(0, 1, 2))
