"""Samples: rebatching keeps every row, in order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mad_ray.core.samples import NO_LABEL, Samples, concatenate, rebatch


def block(start: int, n: int) -> Samples:
    index = np.arange(start, start + n)
    x = np.stack([index, index + 1000]).astype(np.float64)[..., None]
    return Samples.of(x, np.stack([index, index]), np.stack([index, index]))


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 12))
def test_rebatch_keeps_rows_and_order(sizes: list[int], size: int) -> None:
    starts = np.cumsum([0, *sizes])
    batches = list(rebatch((block(int(start), n) for start, n in zip(starts, sizes, strict=False)), size))
    total = sum(sizes)
    assert [batch.n for batch in batches] == [size] * (total // size) + ([total % size] if total % size else [])
    if batches:
        joined = concatenate(batches)
        np.testing.assert_array_equal(joined.x, block(0, total).x)
        np.testing.assert_array_equal(joined.label, block(0, total).label)
        np.testing.assert_array_equal(joined.weight, block(0, total).weight)


def test_what_is_missing_is_filled_in() -> None:
    samples = Samples.of(np.zeros((2, 3, 1, 4, 4), np.uint8))
    assert samples.label.dtype == np.int32
    assert samples.weight.dtype == np.float32
    assert np.all(samples.label == NO_LABEL)
    assert np.all(samples.weight == 1)
    assert (samples.n_trajectories, samples.n, samples.event) == (2, 3, (1, 4, 4))


def test_a_trajectory_keeps_its_axis() -> None:
    whole = block(0, 5)
    assert whole.trajectory(1).x.shape == (1, 5, 1)
    np.testing.assert_array_equal(whole.trajectory(1).x[0], whole.x[1])
    np.testing.assert_array_equal(whole.rows(2, 4).x, whole.x[:, 2:4])
