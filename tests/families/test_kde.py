"""The kernel density estimate: SciPy's, as a family; its loop gains variance, by a known factor."""

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from mad_ray.core.errors import InvalidInput, TrajectoryFailed
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event
from mad_ray.data.analytic import GaussianData
from mad_ray.data.modes import Modes
from mad_ray.families.kde import Kde, bandwidth
from tests.families.in_memory import fit_rows, fully_synthetic_loop

KEYS = Keys(tuple(range(5)))
# Seeds are fixed, so nothing here fails by chance.
MAX_Z = 4.0


def rows(n: int = 200, keys: Keys = KEYS, d: int = 3) -> np.ndarray:
    """Correlated, far from the origin."""
    mixing = np.eye(d) + np.tri(d)
    return 5 + GaussianData(d=d).rows(0, n, keys.at("real")).x @ mixing


def weights(n: int = 200) -> np.ndarray:
    drawn = np.random.default_rng(0).exponential(size=(len(KEYS.seeds), n)).astype(np.float32)
    return np.where(np.arange(n) % 7 == 0, 0, drawn)


@pytest.mark.parametrize("rule", ["scott", "silverman", 0.3])
@pytest.mark.parametrize("weight", [None, weights()], ids=["equal", "weighted"])
def test_its_kernels_are_scipy_s(rule: str | float, weight: np.ndarray | None) -> None:
    x = rows()
    model = fit_rows(Kde(bandwidth=rule), x, KEYS, weight)
    for b in range(len(x)):
        theirs = gaussian_kde(x[b].T, rule, None if weight is None else weight[b].astype(float))
        np.testing.assert_allclose(model["root"][b] @ model["root"][b].T, theirs.covariance, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(model["weight"][b], theirs.weights, rtol=1e-12)


@pytest.mark.parametrize("bias", [1.0, 0.5])
def test_samples_are_of_the_density(bias: float) -> None:
    """Mean and covariance of 40,000: those of the rows as a distribution, and lambda times a kernel's."""
    x, weight, n = rows(50), weights(50), 40_000
    family = Kde(bandwidth=0.8)
    model = fit_rows(family, x, KEYS, weight)
    drawn = family.sample(model, 0, n, bias, KEYS.at("sample", 1)).x
    for b in range(len(x)):
        p = weight[b] / weight[b].sum(dtype=float)
        kernel = model["root"][b] @ model["root"][b].T
        covariance = np.cov(x[b].T, aweights=p, bias=True, ddof=0) + bias * kernel
        error = np.sqrt(np.diag(covariance) / n)
        assert np.abs((drawn[b].mean(axis=0) - p @ x[b]) / error).max() < MAX_Z
        variance = np.diag(covariance)
        error = np.sqrt((np.outer(variance, variance) + covariance**2) / n)
        assert np.abs((np.cov(drawn[b].T) - covariance) / error).max() < MAX_Z
    said = family.measure(model, {}, ("total_variance",))["total_variance"]
    if bias == 1:
        np.testing.assert_allclose(drawn.var(axis=1).sum(axis=1), said, rtol=0.03)


def test_smaller_bias_smaller_spread_down_to_the_training_rows() -> None:
    x, family = rows(), Kde(bandwidth=0.7)
    model = fit_rows(family, x, KEYS)
    biases = (0.0, 0.25, 0.5, 0.75, 1.0)
    drawn = [family.sample(model, 0, 2000, bias, KEYS).x for bias in biases]
    spread = [of.var(axis=1).sum() for of in drawn]
    assert (np.diff(spread) > 0).all()
    known = {row.tobytes() for row in x[2]}
    assert {row.tobytes() for row in drawn[0][2]} <= known
    assert not {row.tobytes() for row in drawn[1][2]} & known


def test_rows_of_weight_0_are_never_drawn() -> None:
    x, weight = rows(), weights()
    x = np.where(weight[..., None] > 0, x, 1e6)
    family = Kde()
    model = fit_rows(family, x, KEYS, weight)
    assert family.sample(model, 0, 5000, 1.0, KEYS).x.max() < 1e3
    with pytest.raises(TrajectoryFailed, match="none of positive weight"):
        fit_rows(family, x, KEYS, 0 * weight)


@pytest.mark.parametrize(("rule", "bias", "n"), [("scott", 1.0, 20), ("silverman", 0.5, 30), (0.5, 1.0, 10)])
def test_the_loop_gains_variance_by_its_law(rule: str | float, bias: float, n: int) -> None:
    """E[Sigma_t] = ((n - 1)/n + lambda h^2)^t I of what G^t draws, where D^1 is n rows of N(0, I); 500 trajectories."""
    d, t, seeds = 2, 10, tuple(range(500))
    loop = fully_synthetic_loop(Kde(bandwidth=rule), GaussianData(d=d), n, t, seeds, bias)
    *_, (_, _, x) = loop
    h = bandwidth(rule, np.array([float(n)]), d)[0]
    factor = ((n - 1) / n + bias * h**2) ** t
    centred = x - x.mean(axis=1, keepdims=True)
    covariance = np.einsum("bni,bnj->bij", centred, centred) / (n - 1)
    error = covariance.std(axis=0) / np.sqrt(len(seeds))
    assert np.abs((covariance.mean(axis=0) - factor * np.eye(d)) / error).max() < MAX_Z
    assert abs(factor - 1) > 3 * error[0, 0], "the law says something that these numbers could refute"


def test_one_bias_holds_the_variance() -> None:
    """lambda = 1 / (n h^2): a loop without fresh data whose variance neither grows nor falls, on average."""
    n, h = 20, 0.5
    *_, (_, _, x) = fully_synthetic_loop(
        Kde(bandwidth=h), GaussianData(d=2), n, 10, tuple(range(500)), bias=1 / (n * h**2)
    )
    trace = x.var(axis=1, ddof=1).sum(axis=1)
    assert abs(trace.mean() - 2.0) < MAX_Z * trace.std() / np.sqrt(500)


def test_a_row_of_a_cohort_is_that_trajectory_alone() -> None:
    family, x, weight = Kde(), rows(), weights()
    whole = fit_rows(family, x, KEYS, weight)
    samples = family.sample(whole, 1000, 1100, 0.5, KEYS).x
    for b in range(len(x)):
        alone = fit_rows(family, x[b : b + 1], KEYS.row(b), weight[b : b + 1])
        assert all(array.tobytes() == whole[name][b : b + 1].tobytes() for name, array in alone.items())
        assert family.sample(alone, 1000, 1100, 0.5, KEYS.row(b)).x.tobytes() == samples[b : b + 1].tobytes()
        assert family.sample(alone, 1030, 1050, 0.5, KEYS.row(b)).x.tobytes() == samples[b, 30:50].tobytes()


@pytest.mark.filterwarnings("error")
def test_equal_rows_stay_equal() -> None:
    family = Kde()
    for x in (np.ones((1, 30, 2)), np.ones((1, 1, 2))):
        model = fit_rows(family, x, KEYS.row(0))
        np.testing.assert_allclose(family.sample(model, 0, 50, 1.0, KEYS.row(0)).x, 1.0, atol=1e-12)


def test_what_it_cannot_do_it_refuses() -> None:
    with pytest.raises(InvalidInput, match="family=kde needs vectors"):
        Kde().check(Event((1, 8, 8), "uint8", 10), Loop(100, n_synthetic=100), 0)
    with pytest.raises(InvalidInput, match="at least 2 samples"):
        Kde().check(Modes().event, Loop(100, n_synthetic=1), 0)
    for wrong in ("scot", 0.0, -1.0, np.nan):
        with pytest.raises(InvalidInput, match=r"family\.bandwidth="):
            Kde(bandwidth=wrong)
