"""Moments that are drawn have the law of moments of rows: a two-sample test in every corner of (n, d)."""

import numpy as np
import pytest
from scipy.stats import ks_2samp, kstest

from mad_ray.core.keys import Keys
from mad_ray.core.moments import Factored, Moments, rows_to_moments
from mad_ray.core.rows import CHUNK
from mad_ray.core.wishart import drawn_moments, lower_product, normal_rows

N_DRAWS = 1500
KEYS = Keys(tuple(range(N_DRAWS))).at("here")
# Seeds are fixed, so nothing here fails by chance; a right implementation stays within these bounds at once.
MIN_P = 1e-3
MAX_Z = 4.5


def gaussian(d: int) -> tuple[np.ndarray, np.ndarray]:
    """mean [1, d] and root [1, d, d]."""
    rng = np.random.default_rng(d)
    return rng.normal(size=(1, d)), np.tril(rng.normal(size=(1, d, d))) + np.eye(d)


def of_rows(mean: np.ndarray, root: np.ndarray, n: int) -> Moments:
    z = np.random.default_rng(n).normal(size=(N_DRAWS, n, mean.shape[1]))
    return rows_to_moments(mean[:, None] + z @ root[0].T)


def statistics(moments: Moments, mean: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers that a wrong distribution would show in, [B] each."""
    scatter, d = moments.scatter, mean.shape[1]
    values = np.linalg.eigvalsh(scatter)
    rank = max(1, min(d, int(moments.n[0]) - 1))
    first, last = moments.mean[:, 0] - mean[:, 0], moments.mean[:, -1] - mean[:, -1]
    return {
        "mean": first,
        "distance": ((moments.mean - mean) ** 2).sum(axis=1),
        "trace": values.sum(axis=1),
        "first": scatter[:, 0, 0],
        "corner": scatter[:, 0, -1],
        "last": scatter[:, -1, -1],
        "largest": values[:, -1],
        "smallest but 0": values[:, d - rank],
        "mean with scatter": last**2 * scatter[:, -1, -1],
    }


CORNERS = [(n, d) for d in (1, 3, 20) for n in sorted({2, 5, d, d + 1, 50}) if n > 1]


@pytest.mark.parametrize(("n", "d"), CORNERS)
def test_drawn_and_summed_moments_have_one_law(n: int, d: int) -> None:
    mean, root = gaussian(d)
    drawn, summed = (statistics(m, mean) for m in (drawn_moments(mean, root, 0, n, KEYS), of_rows(mean, root, n)))
    for name in drawn:
        assert ks_2samp(drawn[name], summed[name]).pvalue > MIN_P, name


@pytest.mark.parametrize(("n", "d"), [(5, 3), (3, 20), (21, 20)])
def test_the_test_would_see_one_degree_of_freedom(n: int, d: int) -> None:
    mean, root = gaussian(d)
    fewer = statistics(drawn_moments(mean, root, 0, n, KEYS), mean)
    more = statistics(of_rows(mean, root, n + 1), mean)
    assert min(ks_2samp(fewer[name], more[name]).pvalue for name in fewer) < MIN_P


@pytest.mark.parametrize(("n", "d"), CORNERS)
def test_every_entry_has_its_mean_and_variance(n: int, d: int) -> None:
    """E W = (n - 1) S and Var W_ij = (n - 1) (S_ij^2 + S_ii S_jj); the mean's covariance is S / n."""
    mean, root = gaussian(d)
    sigma = root[0] @ root[0].T
    drawn = drawn_moments(mean, root, 0, n, KEYS)
    variance = (n - 1) * (sigma**2 + np.outer(np.diag(sigma), np.diag(sigma)))
    z = (drawn.scatter.mean(axis=0) - (n - 1) * sigma) / np.sqrt(variance / N_DRAWS)
    assert np.abs(z).max() < MAX_Z
    # chi^2 has heavy tails: 10 standard errors of a normal variable's variance, sqrt(2 / N_DRAWS).
    np.testing.assert_allclose(drawn.scatter.var(axis=0), variance, rtol=10 * np.sqrt(2 / N_DRAWS))
    centred = (drawn.mean - mean) * np.sqrt(n)
    spread = np.sqrt((sigma**2 + np.outer(np.diag(sigma), np.diag(sigma))) / N_DRAWS)
    assert (np.abs(centred.T @ centred / N_DRAWS - sigma) < MAX_Z * spread).all()


def test_one_sample_is_its_mean_and_none_is_nothing() -> None:
    mean, root = gaussian(3)
    one = drawn_moments(mean, root, 5, 6, KEYS)
    np.testing.assert_array_equal(one.scatter, np.zeros((N_DRAWS, 3, 3)))
    z = np.linalg.solve(root, (one.mean - mean)[:, :, None])
    assert kstest(z.ravel(), "norm").pvalue > MIN_P
    none = drawn_moments(mean, root, 5, 5, KEYS)
    np.testing.assert_array_equal(none.n, np.zeros(N_DRAWS))
    np.testing.assert_array_equal(none.scatter, np.zeros((N_DRAWS, 3, 3)))


def test_a_point_draws_itself() -> None:
    mean = np.ones((1, 4))
    drawn = drawn_moments(mean, np.zeros((1, 4, 4)), 0, 9, KEYS.row(0))
    np.testing.assert_array_equal(drawn.mean, mean)
    np.testing.assert_array_equal(drawn.scatter, np.zeros((1, 4, 4)))


@pytest.mark.parametrize("n", [2, 5, 30])
def test_cheap_roots_are_roots(n: int) -> None:
    """None is the identity and a vector a diagonal: the same draw, up to rounding."""
    mean, spread, keys = np.zeros((1, 6)), np.arange(1.0, 7.0), KEYS.row(0)
    for cheap, root in ((None, np.eye(6)), (spread, np.diag(spread))):
        one, other = (drawn_moments(mean, r, 0, n, keys) for r in (cheap, root[None]))
        np.testing.assert_allclose(one.mean, other.mean, rtol=1e-14)
        np.testing.assert_allclose(one.scatter, other.scatter, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("width", [1, 2, 8, 64])
@pytest.mark.parametrize(("n", "d"), [(7, 1), (3, 10), (40, 10), (60, 130), (300, 130)])
def test_a_row_of_a_cohort_is_drawn_as_if_alone(width: int, n: int, d: int) -> None:
    mean, root = (np.repeat(x, width, axis=0) for x in gaussian(d))
    keys = Keys(tuple(range(width))).at("sample", 3)
    whole = drawn_moments(mean, root, 10, 10 + n, keys)
    for b in {0, width // 2, width - 1}:
        alone = drawn_moments(mean[b : b + 1], root[b : b + 1], 10, 10 + n, keys.row(b))
        for name in ("n", "mean", "factor", "scatter"):
            assert getattr(alone, name)[0].tobytes() == getattr(whole, name)[b].tobytes()


def test_pieces_are_addressed_and_independent() -> None:
    mean, root = gaussian(2)
    first, again, other = (drawn_moments(mean, root, start, start + 9, KEYS) for start in (0, 0, 9))
    assert first.mean.tobytes() == again.mean.tobytes()
    assert first.scatter.tobytes() == again.scatter.tobytes()
    for one, two in ((first.mean[:, 0], other.mean[:, 0]), (first.scatter[:, 0, 0], other.scatter[:, 0, 0])):
        # A correlation's standard error is 1 / sqrt(N_DRAWS).
        assert abs(np.corrcoef(one, two)[0, 1]) < MAX_Z / np.sqrt(N_DRAWS)


@pytest.mark.parametrize(("n", "d"), [(30, 6), (4, 6)])
def test_the_factor_is_a_lower_trapezoid(n: int, d: int) -> None:
    mean, root = gaussian(d)
    drawn = drawn_moments(mean, root, 0, n, KEYS.row(0))
    assert isinstance(drawn, Factored)
    assert drawn.factor.shape == (1, d, min(d, n - 1))
    np.testing.assert_array_equal(drawn.factor, np.tril(drawn.factor[0])[None])


@pytest.mark.parametrize(("d", "r"), [(1, 1), (128, 128), (129, 129), (260, 260), (260, 20), (260, 200), (601, 599)])
def test_a_product_of_triangles_is_the_product(d: int, r: int) -> None:
    rng = np.random.default_rng(0)
    left, right = np.tril(rng.normal(size=(2, d, d))), np.tril(rng.normal(size=(2, d, r)))
    out = np.full((2, d, r), np.nan)
    lower_product(left, right, out)
    np.testing.assert_allclose(out, left @ right, atol=1e-12)
    np.testing.assert_array_equal(out, np.tril(out))


@pytest.mark.parametrize("kind", ["identity", "diagonal", "triangle"])
@pytest.mark.parametrize(("start", "stop"), [(0, 1), (CHUNK - 1, CHUNK + 1), (7, 7), (CHUNK, 2 * CHUNK)])
def test_rows_are_the_same_bytes_whichever_are_asked_for(kind: str, start: int, stop: int) -> None:
    mean, triangle = gaussian(5)
    root = {"identity": None, "diagonal": np.arange(1.0, 6.0), "triangle": triangle}[kind]
    keys = Keys((3, 1)).at("rows")
    whole, part = normal_rows(mean, root, 0, 2 * CHUNK, keys), normal_rows(mean, root, start, stop, keys)
    assert part.shape == (2, stop - start, 5)
    assert part.tobytes() == whole[:, start:stop].tobytes()
    assert normal_rows(mean, root, start, stop, keys.row(1)).tobytes() == part[1].tobytes()
