"""Moments merge: whoever counted which rows, the sum is the same to rounding."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mad_ray.core.keys import Keys
from mad_ray.core.moments import (
    Factored,
    Moments,
    exact_moments,
    lower_trapezoid,
    merge_all,
    merge_many,
    rows_to_moments,
)
from mad_ray.core.wishart import drawn_moments

# Rounding of sums over at most 60 rows of size about 1e3 (squares 1e6) in float64, with room for a factor of 100.
RELATIVE = 1e-12


def rows(seed: int, n: int = 60, d: int = 3, b: int = 2) -> np.ndarray:
    """Rows far from the origin, where the naive sum of squares loses digits."""
    generator = np.random.default_rng(seed)
    return 1000 + generator.standard_normal((b, n, d)) * np.arange(1, d + 1)


def assert_close(found: Moments, expected: Moments) -> None:
    np.testing.assert_allclose(found.n, expected.n, rtol=RELATIVE)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=RELATIVE)
    scale = np.abs(expected.scatter).max()
    # The mean's own rounding (1e-13) times the rows' spread, summed.
    np.testing.assert_allclose(found.scatter, expected.scatter, atol=1e-9 * scale, rtol=1e-9)


def test_numpys_mean_and_covariance() -> None:
    x = rows(0)
    moments = rows_to_moments(x)
    for b in range(2):
        np.testing.assert_allclose(moments.mean[b], x[b].mean(axis=0), rtol=RELATIVE)
        np.testing.assert_allclose(moments.covariance[b], np.cov(x[b].T), rtol=1e-9)


def test_numpys_weighted_covariance() -> None:
    x = rows(1)
    weight = np.random.default_rng(2).integers(0, 4, (2, 60))
    moments = rows_to_moments(x, weight.astype(np.float32))
    for b in range(2):
        np.testing.assert_allclose(moments.covariance[b], np.cov(x[b].T, fweights=weight[b]), rtol=1e-9)


@settings(max_examples=60)
@given(st.integers(0, 1000), st.lists(st.integers(0, 60), max_size=5))
def test_merging_any_split_is_counting_at_once(seed: int, cuts: list[int]) -> None:
    x = rows(seed)
    weight = np.random.default_rng(seed).random((2, 60))
    edges = [0, *sorted(cuts), 60]
    parts = [rows_to_moments(x[:, a:b], weight[:, a:b]) for a, b in itertools.pairwise(edges)]
    assert_close(merge_all(parts), rows_to_moments(x, weight))


@given(st.integers(0, 1000), st.integers(0, 60), st.integers(0, 60))
def test_merging_is_associative(seed: int, i: int, j: int) -> None:
    i, j = sorted((i, j))
    x = rows(seed)
    a, b, c = (rows_to_moments(part) for part in (x[:, :i], x[:, i:j], x[:, j:]))
    assert_close(a.merge(b).merge(c), a.merge(b.merge(c)))


def test_nothing_merges_as_nothing() -> None:
    x = rows_to_moments(rows(3))
    nothing = rows_to_moments(np.empty((2, 0, 3)))
    for merged in (x.merge(nothing), nothing.merge(x)):
        np.testing.assert_array_equal(merged.mean, x.mean)
        np.testing.assert_array_equal(merged.scatter, x.scatter)


@given(st.integers(0, 1000))
def test_a_whole_weight_is_a_repetition_and_zero_drops_the_row(seed: int) -> None:
    x = rows(seed, b=1)
    weight = np.random.default_rng(seed).integers(0, 4, 60)
    repeated = rows_to_moments(np.repeat(x, weight, axis=1))
    assert_close(rows_to_moments(x, weight[None].astype(np.float32)), repeated)


def test_images_are_flattened() -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 9, 1, 4, 4)).astype(np.uint8)
    moments = rows_to_moments(x)
    assert moments.mean.shape == (2, 16)
    np.testing.assert_allclose(moments.covariance[1], np.cov(x[1].reshape(9, 16).T.astype(float)), rtol=1e-10)


def test_a_covariance_needs_two_samples() -> None:
    with pytest.raises(ValueError, match="at least 2 samples, found 1"):
        _ = rows_to_moments(np.ones((1, 1, 2))).covariance


def test_a_distributions_own_moments_are_exact_and_do_not_merge() -> None:
    exact = exact_moments(np.zeros((1, 2)), 3 * np.eye(2)[None])
    np.testing.assert_array_equal(exact.covariance[0], 3 * np.eye(2))
    sample = rows_to_moments(rows(0, d=2, b=1))
    for first, second in ((exact, sample), (sample, exact)):
        with pytest.raises(ValueError, match="do not merge"):
            first.merge(second)
        with pytest.raises(ValueError, match="do not merge"):
            merge_many([first, second])


def drawn(sizes: list[int], d: int, b: int = 3) -> list[Moments]:
    """Factored parts of these sizes, far apart."""
    keys, root = Keys(tuple(range(b))), np.tril(np.random.default_rng(0).normal(size=(1, d, d))) + np.eye(d)
    return [drawn_moments(np.full((1, d), 3.0 * i), root, i, i + n, keys) for i, n in enumerate(sizes)]


def assert_equal(found: Moments, expected: Moments) -> None:
    """To rounding: 1e-16 of the largest entry, times the number of additions."""
    np.testing.assert_array_equal(found.n, expected.n)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(found.scatter, expected.scatter, atol=1e-13 * np.abs(expected.scatter).max())


@pytest.mark.parametrize("d", [1, 4, 30])
@pytest.mark.parametrize(
    "sizes", [[5, 3], [1, 1], [1, 2, 1], [2, 0, 3], [0, 5], [0, 0], [40, 1, 7], [3] * 100, [50, 60], [15, 15], [16, 15]]
)
def test_merging_many_is_merging_from_left_to_right(sizes: list[int], d: int) -> None:
    parts = drawn(sizes, d)
    assert_equal(merge_many(parts), merge_all(parts))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_factored_parts_and_others_merge_in_any_order(order: tuple[int, ...]) -> None:
    """Rows with weights among draws: n need not be whole."""
    x = rows(5, d=4, b=3)
    weighted = rows_to_moments(x, np.random.default_rng(0).random((3, 60)))
    parts = [*drawn([9, 3], 4), weighted]
    assert_equal(merge_many([parts[i] for i in order]), merge_all(parts))


def test_one_part_comes_back_as_it_is() -> None:
    for part in (drawn([9], 3)[0], rows_to_moments(rows(0))):
        assert merge_many([part]) is part


@pytest.mark.parametrize(("sizes", "rank"), [([2, 3, 1], 5), ([4, 3], 6), ([1, 1], 1)])
def test_few_samples_stay_factored_so_that_no_rank_is_made_up(sizes: list[int], rank: int) -> None:
    merged = merge_many(drawn(sizes, 6))
    assert isinstance(merged, Factored)
    assert merged.factor.shape == (3, 6, rank)
    np.testing.assert_array_equal(merged.factor, np.tril(merged.factor))
    assert not isinstance(merge_many(drawn([5, 3], 6)), Factored)


@pytest.mark.parametrize("sizes", [[2, 3], [50, 3, 70], [9] * 20])
def test_a_row_of_a_cohort_merges_as_if_alone(sizes: list[int]) -> None:
    whole = merge_many(drawn(sizes, 20, b=64))
    for b in (1, 2, 8):
        few = merge_many(drawn(sizes, 20, b=b))
        assert few.scatter.tobytes() == whole.scatter[:b].tobytes()
        assert few.mean.tobytes() == whole.mean[:b].tobytes()


def test_a_factor_turned_into_a_lower_trapezoid_has_the_same_square() -> None:
    factor = np.random.default_rng(0).normal(size=(3, 7, 5))
    lower = lower_trapezoid(factor)
    np.testing.assert_array_equal(lower, np.tril(lower))
    np.testing.assert_allclose(lower @ lower.transpose(0, 2, 1), factor @ factor.transpose(0, 2, 1), atol=1e-13)


def test_factored_moments_are_stored_as_others_are() -> None:
    part = drawn([9], 3)[0]
    stored = Moments.from_arrays(part.arrays())
    assert stored.scatter.tobytes() == part.scatter.tobytes()
    np.testing.assert_array_equal(part.covariance, part.scatter / 8)
