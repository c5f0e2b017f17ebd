"""Expectation-maximisation, held to scikit-learn's and SciPy's, and to the laws of its own."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from mad_ray.families.em import Fit, Mixture, Rows, fit, seed, start, units

REG = 1e-8


def clusters(n: int = 400, k: int = 4, d: int = 2, spread: float = 0.5, seed: int = 0) -> np.ndarray:
    """n rows in k clusters that overlap a little."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-2, 2, (k, d))[rng.integers(k, size=n)] + spread * rng.standard_normal((n, d))


def uniform(k: int, seed: int = 0, candidates: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random((k, candidates))


def run(rows: list[Rows], k: int, tol: float = 1e-3, max_iterations: int = 100, n_start: int = 0) -> Fit:
    """From k-means++, all in units of the rows; row b has the random numbers n_start + b."""
    first = start(rows, [seed(one, uniform(k, n_start + b)) for b, one in enumerate(rows)], REG)
    return fit(rows, first, tol=tol, max_iterations=max_iterations, reg_covar=REG)


def moved(rows: Rows, found: Fit) -> Mixture:
    return found.mixture.moved(*units([rows]))


def scikit_learn(x: np.ndarray, rows: Rows, first: Mixture, tol: float, max_iter: int) -> GaussianMixture:
    """Its EM from our start, with our regularisation in its units."""
    first = first.moved(*units([rows]))
    mixture = GaussianMixture(
        first.weight.shape[1],
        tol=tol,
        max_iter=max_iter,
        reg_covar=REG * rows.scale**2,
        weights_init=first.weight[0],
        means_init=first.mean[0],
        precisions_init=np.linalg.inv(first.covariance[0]),
    )
    return mixture.fit(x)


@pytest.mark.parametrize(("d", "k", "n"), [(1, 3, 300), (2, 4, 400), (2, 25, 1000), (2, 6, 5000), (5, 4, 600)])
def test_it_equals_scikit_learn_from_the_same_start(d: int, k: int, n: int) -> None:
    """Iterations to the number; the rest to 1e-9: 100 steps, each good to 1e-15 or so, of maps that contract.

    5,000 rows are taken in three blocks.
    """
    x = 3.0 + 10 * clusters(n, k, d)
    rows = Rows(x)
    first = start([rows], [seed(rows, uniform(k))], REG)
    ours = fit([rows], first, tol=1e-3, max_iterations=200, reg_covar=REG)
    theirs = scikit_learn(x, rows, first, 1e-3, 200)
    assert ours.converged[0]
    assert theirs.converged_
    assert ours.n_iterations[0] == theirs.n_iter_ >= 3
    likelihood = ours.log_likelihood[0] - d * np.log(rows.scale)
    np.testing.assert_allclose(likelihood, theirs.lower_bound_, rtol=1e-11)
    found = moved(rows, ours)
    np.testing.assert_allclose(found.weight[0], theirs.weights_, rtol=1e-9)
    np.testing.assert_allclose(found.mean[0], theirs.means_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.covariance[0], theirs.covariances_, rtol=1e-8, atol=1e-8)


def log_density(x: np.ndarray, mixture: Mixture) -> np.ndarray:
    """The slow oracle: SciPy, component by component."""
    terms = [
        np.log(weight) + multivariate_normal(mean, covariance).logpdf(x)
        for weight, mean, covariance in zip(mixture.weight[0], mixture.mean[0], mixture.covariance[0], strict=True)
        if weight > 0
    ]
    return logsumexp(terms, axis=0)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_log_likelihoods_are_those_of_the_density(d: int) -> None:
    x = clusters(d=d)
    rows = Rows(x)
    first = run([rows], 5).mixture
    found = fit([rows], first, tol=0.0, max_iterations=1, reg_covar=REG).log_likelihood[0]
    assert found == pytest.approx(log_density(rows.z.T, first).mean(), abs=1e-12)


def test_rows_that_become_impossible_or_certain_within_a_step_are_no_less_exact() -> None:
    """Factors of a row's own carry over from step to step; these jumps leave the range of floating point."""
    rows = Rows(clusters())
    near = run([rows], 4).mixture
    for offset, width in ((1e3, 0.01), (0.0, 1.0), (1e5, 0.001), (0.0, 1.0)):
        jump = Mixture(near.weight, near.mean + offset, near.root * width)
        for one in (near, jump):
            rows.reset()
            rows.expect(_coefficients(one))
            for other in (jump, near):
                statistics, likelihood = rows.expect(_coefficients(other))
                rows.reset()
                fresh, exact = rows.expect(_coefficients(other))
                assert likelihood == pytest.approx(exact, rel=1e-12, abs=1e-12)
                np.testing.assert_allclose(statistics, fresh, atol=1e-12)


def _coefficients(mixture: Mixture) -> np.ndarray:
    from mad_ray.families import em

    return em._coefficients(mixture)[0]


@pytest.mark.parametrize("n_start", range(5))
def test_the_likelihood_never_falls(n_start: int) -> None:
    """Up to rounding and the little that regularisation takes."""
    rows = Rows(clusters(spread=0.8))
    mixture = start([rows], [seed(rows, uniform(6, n_start))], REG)
    course = []
    for _ in range(60):
        found = fit([rows], mixture, tol=0.0, max_iterations=1, reg_covar=REG)
        mixture = found.mixture
        course.append(found.log_likelihood[0])
    assert np.diff(course).min() > -1e-7
    assert course[-1] > course[0] + 0.01


def test_steps_taken_one_by_one_are_those_taken_at_once() -> None:
    rows = Rows(clusters())
    first = start([rows], [seed(rows, uniform(4))], REG)
    mixture = first
    for _ in range(7):
        mixture = fit([rows], mixture, tol=0.0, max_iterations=1, reg_covar=REG).mixture
    at_once = fit([rows], first, tol=0.0, max_iterations=7, reg_covar=REG)
    assert at_once.n_iterations[0] == 7
    assert not at_once.converged[0]
    for name, array in vars(mixture).items():
        np.testing.assert_allclose(getattr(at_once.mixture, name), array, atol=1e-11)


def test_no_trajectory_depends_on_those_beside_it() -> None:
    """Bit for bit, in batches of 1, 2 and 16, of unequal sizes, that converge at different times."""
    data = [clusters(200 + 30 * b, 5, spread=0.1 + 0.05 * b, seed=b) for b in range(16)]
    whole = run([Rows(x) for x in data], 7)
    assert len(set(whole.n_iterations)) > 3
    for size in (1, 2):
        for b in range(0, 16, size):
            part = run([Rows(x) for x in data[b : b + size]], 7, n_start=b)
            for name, array in vars(part.mixture).items():
                assert array.tobytes() == getattr(whole.mixture, name)[b : b + size].tobytes()
            assert part.log_likelihood.tobytes() == whole.log_likelihood[b : b + size].tobytes()


def test_units_do_not_matter() -> None:
    """A power of two changes no bit; a shift costs its rounding."""
    x = clusters()
    one, scaled, far = Rows(x), Rows(2.0**-40 * x), Rows(x + 1000)
    found, of_scaled, of_far = run([one], 5), run([scaled], 5), run([far], 5)
    for name, array in vars(found.mixture).items():
        assert getattr(of_scaled.mixture, name).tobytes() == array.tobytes()
    assert moved(scaled, of_scaled).mean.tobytes() == (2.0**-40 * moved(one, found).mean).tobytes()
    np.testing.assert_allclose(moved(far, of_far).mean, 1000 + moved(one, found).mean, atol=1e-9)
    np.testing.assert_allclose(moved(far, of_far).covariance, moved(one, found).covariance, atol=1e-9)


def test_neither_the_order_of_rows_nor_that_of_components_matters() -> None:
    x = clusters()
    order, shuffle = np.random.default_rng(1).permutation(len(x)), [3, 0, 2, 1]
    rows, other = Rows(x), Rows(x[order])
    responsibility = seed(rows, uniform(4))
    found = fit([rows], start([rows], [responsibility], REG), tol=1e-6, max_iterations=99, reg_covar=REG)
    again = start([other], [responsibility[shuffle][:, order]], REG)
    again = fit([other], again, tol=1e-6, max_iterations=99, reg_covar=REG)
    for name, array in vars(found.mixture).items():
        np.testing.assert_allclose(getattr(again.mixture, name), array[:, shuffle], atol=1e-10)


def test_a_weight_is_a_number_of_rows() -> None:
    x = clusters(200)
    weight = np.random.default_rng(2).integers(0, 4, 200).astype(np.float32)
    weighted, repeated = Rows(x, weight), Rows(np.repeat(x, weight.astype(int), axis=0))
    first = start([weighted], [seed(weighted, uniform(4))], REG)
    a = fit([weighted], first, tol=1e-6, max_iterations=99, reg_covar=REG)
    b = fit([repeated], first, tol=1e-6, max_iterations=99, reg_covar=REG)
    assert weighted.scale == pytest.approx(repeated.scale, rel=1e-13)
    for name, array in vars(a.mixture).items():
        np.testing.assert_allclose(getattr(b.mixture, name), array, atol=1e-10)


def test_a_row_of_weight_0_is_not_there() -> None:
    x = clusters(300)
    weight = (np.arange(300) % 3 > 0).astype(np.float32)
    spoilt = np.where(weight[:, None] > 0, x, 1e9)
    a, b = Rows(spoilt, weight), Rows(x[weight > 0])
    for name, array in vars(run([a], 4).mixture).items():
        assert getattr(run([b], 4).mixture, name).tobytes() == array.tobytes()


DEGENERATE = {
    "all equal": np.full((50, 2), 3.7),
    "all zero": np.zeros((50, 2)),
    "three places": np.repeat([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]], 20, axis=0),
    "a line": np.linspace(0, 1, 60)[:, None] * np.ones(2),
    "a spread of 1e-9 at 1e8": 1e8 + 1e-9 * clusters(60),
    "a spread of 1e-150": 1e-150 * clusters(60),
    "an outlier": np.concatenate([clusters(60), [[1e6, -1e6]]]),
    "one row": np.ones((1, 2)),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_rows_give_a_finite_mixture(name: str) -> None:
    rows = Rows(DEGENERATE[name])
    found = run([rows], 8)
    mixture = moved(rows, found)
    assert all(np.isfinite(array).all() for array in vars(mixture).values())
    assert mixture.weight.sum() == pytest.approx(1.0, abs=1e-12)
    assert mixture.weight.min() >= 0
    n_places = len(np.unique(DEGENERATE[name], axis=0))
    if n_places < 8:
        assert np.count_nonzero(mixture.weight) == n_places, "no more components than places; the others are dead"
    covariance = rows.z @ (rows.z * rows.weight).T
    between = np.einsum("bk,bki,bkj->ij", found.mixture.weight, found.mixture.mean, found.mixture.mean)
    within = np.einsum("bk,bkij->ij", found.mixture.weight, found.mixture.covariance) - REG * np.eye(2)
    np.testing.assert_allclose(between + within, covariance, atol=1e-12, err_msg="an M-step keeps the covariance")


def test_a_dead_component_stays_dead() -> None:
    rows = Rows(clusters())
    responsibility = seed(rows, uniform(4))
    responsibility = np.insert(responsibility, 2, 0.0, axis=0)
    first = start([rows], [responsibility], REG)
    assert first.weight[0, 2] == 0
    found = fit([rows], first, tol=1e-6, max_iterations=50, reg_covar=REG)
    assert found.mixture.weight[0, 2] == 0
    without = start([rows], [np.delete(responsibility, 2, axis=0)], REG)
    without = fit([rows], without, tol=1e-6, max_iterations=50, reg_covar=REG)
    np.testing.assert_allclose(np.delete(found.mixture.mean[0], 2, axis=0), without.mixture.mean[0], atol=1e-11)


class TestSeed:
    def test_centres_are_drawn_in_proportion_to_weight_times_squared_distance(self) -> None:
        """Three places; with one candidate the chances of the two centres are known. 4 standard errors of 4,000."""
        places, weight, n = np.array([[0.0], [1.0], [3.0]]), np.array([1.0, 2.0, 1.0]), 4000
        rng = np.random.default_rng(0)
        rows = Rows(places, weight)
        found: dict[tuple[int, ...], int] = {}
        for _ in range(n):
            shares = seed(rows, rng.random((2, 1)))
            # What can be seen of the two centres is which of them each place is nearer to.
            key = tuple(int(c) for c in shares.argmax(axis=0))
            found[key] = found.get(key, 0) + 1
        expected: dict[tuple[int, ...], float] = {}
        mass = weight / weight.sum()
        for first in range(3):
            then = weight * (places[:, 0] - places[first, 0]) ** 2
            for second in np.flatnonzero(then):
                distance = np.abs(places - places[[first, second], 0])
                key = tuple(int(c) for c in distance.argmin(axis=1))
                expected[key] = expected.get(key, 0.0) + mass[first] * then[second] / then.sum()
        assert found.keys() == expected.keys()
        for key, p in expected.items():
            assert abs(found[key] / n - p) < 4 * np.sqrt(p * (1 - p) / n)

    def test_clusters_far_apart_get_a_centre_each(self) -> None:
        for n_start in range(20):
            x = clusters(500, 10, spread=1e-3, seed=n_start)
            shares = seed(Rows(x), uniform(10, n_start, candidates=5))
            rng = np.random.default_rng(n_start)
            rng.uniform(-2, 2, (10, 2))
            cluster = rng.integers(10, size=500)
            assert len(set(zip(cluster, shares.argmax(axis=0), strict=True))) == 10

    def test_every_row_is_shared_in_full_among_its_nearest(self) -> None:
        rows = Rows(np.array([[0.0], [1.0], [2.0], [2.0]]))
        for n_start in range(10):
            shares = seed(rows, uniform(5, n_start))
            np.testing.assert_array_equal(shares.sum(axis=0), 1.0)
            np.testing.assert_array_equal(shares[:, 2], shares[:, 3])
            assert np.count_nonzero(shares.any(axis=1)) == 3, "three places, three components"
