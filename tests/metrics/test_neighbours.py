"""Precision, recall, density, coverage: prdc's answers, the exact oracle on ties, and which way each one points."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prdc import compute_prdc

from mad_ray.core.errors import InvalidInput
from mad_ray.metrics.neighbours import coverage, density, neighbours, precision, recall
from tests.oracles import metrics as oracle


def normal(seed, n, d, scale=1.0, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) * scale + shift


@pytest.mark.parametrize("d", [1, 2, 16, 84])
@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize(("n", "m"), [(700, 700), (300, 650)])
def test_equals_prdc_on_random_data(d, k, n, m, capsys):
    real, synthetic = normal(0, n, d), normal(1, m, d, 0.9, 0.1)
    theirs = compute_prdc(real, synthetic, k)
    ours = neighbours(real=real, synthetic=synthetic, k=k, block=256)
    for name, value in theirs.items():
        # Counts over the same n: equal counts may differ in the division's last bit.
        assert getattr(ours, name) == pytest.approx(value, abs=1e-14)


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 3), st.sampled_from([1.0, 255.0, 3e6]))
@settings(max_examples=60, deadline=None)
def test_ties_and_duplicates_equal_the_integer_oracle(seed, d, k, unit):
    """On a coarse lattice nearly every distance is a tie; rounding (1/255, a far origin) must decide none."""
    rng = np.random.default_rng(seed)
    real, synthetic = rng.integers(0, 4, (17, d)), rng.integers(0, 5, (13, d))
    found = neighbours(real=real / unit + 7 / unit, synthetic=synthetic / unit + 7 / unit, k=k, block=6)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(
        oracle.neighbours(real, synthetic, k), abs=1e-14
    )


def test_blocks_change_nothing():
    real, synthetic = normal(0, 230, 8).round(1), normal(1, 190, 8).round(1)
    answers = {neighbours(real=real, synthetic=synthetic, block=block) for block in (7, 64, 1000)}
    assert len(answers) == 1


def test_a_far_origin_changes_nothing():
    real, synthetic = normal(0, 300, 8), normal(1, 300, 8)
    # A multiple of a power of two: adding it loses digits that the samples, rounded so, do not have.
    real, synthetic = np.round(real * 2**20) / 2**20, np.round(synthetic * 2**20) / 2**20
    assert neighbours(real=real, synthetic=synthetic) == neighbours(real=real + 2**24, synthetic=synthetic + 2**24)


def test_a_perfect_copy():
    real = normal(0, 400, 5)
    found = neighbours(real=real, synthetic=real.copy(), k=5)
    assert (found.precision, found.recall, found.coverage) == (1.0, 1.0, 1.0)
    # Each closed ball holds its centre and its five neighbours.
    assert found.density == pytest.approx(6 / 5)


def test_fresh_real_samples_reach_density_one():
    found = [neighbours(real=normal(2 * s, 500, 4), synthetic=normal(2 * s + 1, 500, 4)).density for s in range(20)]
    assert np.mean(found) == pytest.approx(1.0, abs=4 * np.std(found) / np.sqrt(20))


def test_a_collapsed_set_is_precise_and_recalls_nothing():
    real = normal(0, 500, 8)
    found = neighbours(real=real, synthetic=np.repeat(real[:1], 500, axis=0))
    assert found.precision == 1.0
    assert found.recall == 1 / 500  # the copied sample itself
    assert found.coverage < 0.2


def test_duplicated_real_samples_are_recalled_and_precise():
    """Six copies of each: radii are zero, and a synthetic copy still lies on its ball."""
    real = np.repeat(normal(0, 60, 8), 6, axis=0)
    found = neighbours(real=real, synthetic=real[::-1].copy(), k=5)
    assert (found.precision, found.recall, found.coverage) == (1.0, 1.0, 1.0)


def test_a_spread_set_recalls_and_is_not_precise():
    real, wide = normal(0, 500, 8), normal(1, 500, 8, 3.0)
    found = neighbours(real=real, synthetic=wide)
    assert found.precision < 0.1
    assert found.recall > 0.9
    assert found.density < 0.1


def test_a_shifted_set_is_neither():
    found = neighbours(real=normal(0, 500, 8), synthetic=normal(1, 500, 8, 1.0, 20.0))
    assert (found.precision, found.recall, found.density, found.coverage) == (0, 0, 0, 0)


def test_half_of_the_modes_are_half_of_the_recall():
    centres = np.array([[0.0, 0.0], [50.0, 0.0]])
    real = normal(0, 600, 2) + np.repeat(centres, 300, axis=0)
    found = neighbours(real=real, synthetic=normal(1, 600, 2))
    assert found.precision > 0.9
    assert found.recall == pytest.approx(0.5, abs=0.05)
    assert found.coverage == pytest.approx(0.5, abs=0.05)


def test_swapping_real_and_synthetic_swaps_precision_and_recall():
    x, y = normal(0, 300, 6), normal(1, 400, 6, 0.7)
    there, back = neighbours(real=x, synthetic=y), neighbours(real=y, synthetic=x)
    assert there.precision == back.recall
    assert there.recall == back.precision
    # Narrower synthetic samples: realistic, and not diverse.
    assert there.precision > there.recall


def test_single_functions_are_the_fields():
    x, y = normal(0, 100, 3), normal(1, 90, 3, 0.7)
    found = neighbours(real=x, synthetic=y, k=3)
    singles = [function(real=x, synthetic=y, k=3) for function in (precision, recall, density, coverage)]
    assert singles == [found.precision, found.recall, found.density, found.coverage]


def test_memory_does_not_grow_with_pairs():
    real, synthetic = normal(0, 6000, 4), normal(1, 6000, 4)
    neighbours(real=real[:50], synthetic=synthetic[:50])  # imports
    tracemalloc.start()
    neighbours(real=real, synthetic=synthetic)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The whole matrix would take 288 MB.
    assert peak < 20e6


@pytest.mark.parametrize(
    ("n", "m", "k", "message"), [(5, 50, 5, "5 real"), (50, 4, 5, "4 synthetic"), (9, 9, 0, "k=0")]
)
def test_too_few_samples_are_refused(n, m, k, message):
    with pytest.raises(InvalidInput, match=message):
        neighbours(real=normal(0, n, 2), synthetic=normal(1, m, 2), k=k)
