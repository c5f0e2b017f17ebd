"""Addressed rows: row i is the same bytes whichever rows are asked for with it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mad_ray.core.keys import Keys
from mad_ray.core.rows import CHUNK, addressed_normal

KEYS = Keys((0, 9)).at("rows")
WHOLE = addressed_normal(KEYS, 0, 3 * CHUNK, 2)


@settings(max_examples=40)
@given(st.integers(0, 3 * CHUNK), st.integers(0, 3 * CHUNK))
def test_any_split_gives_the_same_rows(a: int, b: int) -> None:
    start, stop = sorted((a, b))
    np.testing.assert_array_equal(addressed_normal(KEYS, start, stop, 2), WHOLE[:, start:stop])


def test_a_trajectory_alone() -> None:
    np.testing.assert_array_equal(addressed_normal(KEYS.row(1), 5, 2000, 2), WHOLE[1:, 5:2000])


def test_rows_are_standard_normal() -> None:
    """5 standard errors on 12,288 numbers."""
    n = WHOLE.size
    assert abs(WHOLE.mean()) < 5 / np.sqrt(n)
    assert abs(WHOLE.var() - 1) < 5 * np.sqrt(2 / n)
    assert len(np.unique(WHOLE)) == n, "no number stands twice, across chunks and trajectories"
