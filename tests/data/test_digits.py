"""The embedded real data: disjoint parts, an order of its own per seed, the same rows however they are asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import digest_bytes
from mad_ray.core.keys import Keys
from mad_ray.data import Digits

DIGITS = Digits()
KEYS = Keys((0, 1)).at("real")


def sorted_rows(x: np.ndarray) -> np.ndarray:
    flat = x.reshape(len(x), -1)
    return flat[np.lexsort(flat.T)]


def test_what_a_digit_is() -> None:
    assert (DIGITS.n_rows, DIGITS.n_held_out) == (1200, 597)
    assert DIGITS.event.shape == (1, 8, 8)
    assert (DIGITS.event.dtype, DIGITS.event.n_classes) == ("uint8", 10)
    assert DIGITS.moments() is None
    x = DIGITS.rows(0, 1200, KEYS).x
    assert x.dtype == np.uint8
    assert (x.min(), x.max()) == (0, 255), "16 grey levels are spread over a byte"


def test_the_two_parts_are_all_of_the_data_each_row_once() -> None:
    bunch = load_digits()
    both = np.concatenate([DIGITS.rows(0, 1200, KEYS.row(0)).x[0], DIGITS.held_out(597).x[0]])
    np.testing.assert_array_equal(sorted_rows(both), sorted_rows(np.rint(bunch.images * (255 / 16)).astype(np.uint8)))
    labels = np.concatenate([DIGITS.rows(0, 1200, KEYS.row(0)).label[0], DIGITS.held_out(597).label[0]])
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(bunch.target))


def test_labels_belong_to_their_images() -> None:
    """Nearest training rows tell the held-out labels; with labels shuffled they would be right in 10 %."""
    train, held = DIGITS.rows(0, 1200, KEYS.row(1)), DIGITS.held_out(597)
    a, b = held.x[0].reshape(597, -1).astype(float), train.x[0].reshape(1200, -1).astype(float)
    nearest = ((a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)).argmin(axis=1)
    assert (train.label[0][nearest] == held.label[0]).mean() > 0.95


def test_the_split_is_fair() -> None:
    """Class shares of the held-out part lie within 4 standard errors of the whole's."""
    held = np.bincount(DIGITS.held_out(597).label[0], minlength=10)
    share = np.bincount(load_digits().target) / 1797
    error = np.sqrt(597 * share * (1 - share) * (1 - 597 / 1797))
    assert np.all(np.abs(held - 597 * share) < 4 * error)


def test_the_split_never_changes() -> None:
    """Committed results were measured against these very rows."""
    assert digest_bytes(DIGITS.held_out(597).x.tobytes())[:16] == "a4473ef29319f7ed"


def test_every_trajectory_walks_in_its_own_order() -> None:
    whole = DIGITS.rows(0, 1200, KEYS)
    first, second = whole.trajectory(0), whole.trajectory(1)
    assert not np.array_equal(first.x[:, :100], second.x[:, :100])
    np.testing.assert_array_equal(sorted_rows(first.x[0]), sorted_rows(second.x[0]))
    alone = DIGITS.rows(0, 1200, KEYS.row(1))
    np.testing.assert_array_equal(alone.x, second.x)
    np.testing.assert_array_equal(alone.label, second.label)


@settings(max_examples=30)
@given(st.integers(0, 1200), st.integers(0, 1200))
def test_any_split_gives_the_same_rows(a: int, b: int) -> None:
    start, stop = sorted((a, b))
    whole, part = DIGITS.rows(0, 1200, KEYS), DIGITS.rows(start, stop, KEYS)
    np.testing.assert_array_equal(part.x, whole.x[:, start:stop])
    np.testing.assert_array_equal(part.label, whole.label[:, start:stop])


def test_rows_that_do_not_exist_are_refused() -> None:
    with pytest.raises(InvalidInput, match="data=digits: 1201 real rows needed, 1200 exist"):
        DIGITS.rows(1100, 1201, KEYS)
