"""Addressed randomness: a stream is its name, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mad_ray.core.keys import Keys

PARTS = st.one_of(st.integers(-(10**20), 10**20), st.text(max_size=6))
PATHS = st.lists(PARTS, max_size=4).map(tuple)


@given(PATHS, PATHS)
def test_distinct_paths_have_distinct_streams(first: tuple, second: tuple) -> None:
    same = Keys((3,), first).bits(0) == Keys((3,), second).bits(0)
    assert same == (first == second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1,), ("1",)),
        (("a", "b"), ("a/b",)),
        (("a", "b"), ("a'/'b",)),
        (("'a'",), ("a",)),
        ((1, 2), (12,)),
        ((), ("",)),
        (("ä",), ("\\xe4",)),
    ],
)
def test_parts_that_look_alike_differ(first: tuple, second: tuple) -> None:
    assert Keys((0,), first).bits(0) != Keys((0,), second).bits(0)


def test_a_number_that_is_no_index_is_refused() -> None:
    """int(0.5) is 0: two streams would silently be one."""
    with pytest.raises(TypeError):
        Keys((0,)).at(0.5).bits(0)  # type: ignore[arg-type]


def test_numpys_integers_name_the_same_streams() -> None:
    assert Keys((np.int64(7),)).at(np.uint8(2)).bits(0) == Keys((7,)).at(2).bits(0)


def test_seed_path_and_index_all_count() -> None:
    bits = {
        Keys(seeds, path).bits(b, *i)
        for seeds, b in (((0, 1), 0), ((0, 1), 1))
        for path in ((), (0,))
        for i in ((), (1,))
    }
    # ((), (0,)) x ((), (1,)) x 2 seeds, none of them equal.
    assert len(bits) == 8


def test_an_index_is_a_further_step_of_the_path() -> None:
    keys = Keys((5,))
    assert keys.at("a", 1).bits(0, 2) == keys.at("a").at(1, 2).bits(0) == keys.bits(0, "a", 1, 2)


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5), PATHS)
def test_a_row_of_a_cohort_is_that_trajectory_alone(seeds: list[int], path: tuple) -> None:
    keys = Keys(tuple(seeds)).at(*path)
    for b, seed in enumerate(seeds):
        alone = Keys((seed,)).at(*path)
        assert keys.row(b) == alone
        assert keys.bits(b, 3) == alone.bits(0, 3)


def test_golden_streams() -> None:
    """Never change these: every committed result was drawn from such streams."""
    keys = Keys((0, 7)).at("sample", 3)
    assert keys.bits(1, 2).hex() == "083b7ef8225716962f0b4088ab531d02721513f1ca8b2c7b2d71a0e0acdbc893"
    assert keys.seed(1, 2) == 5407463681443175812
    assert keys.generator(1, 2).integers(0, 2**32, 4).tolist() == [3409982015, 2641189051, 2644361887, 875349398]
    np.testing.assert_array_equal(
        keys.generator(0).standard_normal(3), [-0.7182002446980348, 0.3243421853649102, -0.6986915588215302]
    )


def test_seeds_fit_in_a_signed_64_bit_integer() -> None:
    seeds = [Keys((0,)).seed(0, i) for i in range(1000)]
    assert min(seeds) >= 0
    assert max(seeds) < 2**63
    assert len(set(seeds)) == 1000


def test_neighbouring_streams_are_independent_and_normal() -> None:
    """Bounds are 5 standard errors: one false alarm in a million runs, were the seeds not fixed."""
    n, m = 400, 500
    x = np.stack([Keys((0,)).at("s").generator(0, i).standard_normal(m) for i in range(n)])
    assert abs(x.mean()) < 5 / np.sqrt(n * m)
    assert abs(x.var() - 1) < 5 * np.sqrt(2 / (n * m))
    along = (x[:-1] * x[1:]).mean(axis=1)
    assert np.abs(along).max() < 5 / np.sqrt(m)
    first = x[:, 0]
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 5 / np.sqrt(n)
