"""The Gaussian family, held to the theory of the paper; a z-score is a mean's distance from it in standard errors."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ks_2samp

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop, fresh_data, fully_synthetic, synthetic_augmentation
from mad_ray.core.moments import rows_to_moments
from mad_ray.core.rows import CHUNK
from mad_ray.core.samples import Event
from mad_ray.data import GaussianData
from mad_ray.families.gaussian import Gaussian, covariance_root
from tests.engine.made_up import metric_table, models_of, run, study
from tests.oracles.gaussian import total_variances

FAMILY = Gaussian()
KEYS = Keys((0, 1, 2)).at("sample", 1)
# Seeds are fixed, so nothing here fails by chance; the bounds are what a right implementation stays within at once.
MAX_Z = 4.0
MIN_P = 1e-3


def model(b: int = 3, d: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((b, d, d))
    return {"mean": 10 * rng.standard_normal((b, d)), "cov": root @ root.transpose(0, 2, 1)}


def z_score(x: np.ndarray, expected: float) -> float:
    return abs(x.mean() - expected) / (x.std(ddof=1) / np.sqrt(len(x)))


@pytest.mark.parametrize("bias", [1.0, 0.5])
def test_samples_have_the_models_mean_and_lambda_times_its_covariance(bias: float) -> None:
    n, given = 50_000, model()
    found = rows_to_moments(FAMILY.sample(given, 0, n, bias, KEYS).x)
    spread = bias * np.trace(given["cov"], axis1=1, axis2=2)
    # 5 standard errors, of the mean and (by the trace, an upper bound) of each entry of the covariance.
    assert np.all(np.abs(found.mean - given["mean"]) < 5 * np.sqrt(spread / n)[:, None])
    assert np.all(np.abs(found.covariance - bias * given["cov"]) < 5 * spread[:, None, None] * np.sqrt(2 / n))


def test_bias_zero_gives_the_mode() -> None:
    given = model()
    x = FAMILY.sample(given, 0, 7, 0.0, KEYS).x
    np.testing.assert_array_equal(x, np.broadcast_to(given["mean"][:, None], x.shape))


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (5, 9), (CHUNK - 1, CHUNK + 1), (CHUNK, 3 * CHUNK), (0, 0), (7, 7)]
)
def test_any_split_gives_the_same_bytes(start: int, stop: int) -> None:
    given = model()
    whole = FAMILY.sample(given, 0, 3 * CHUNK, 0.7, KEYS)
    part = FAMILY.sample(given, start, stop, 0.7, KEYS)
    assert part.x.shape == (3, stop - start, 4)
    assert part.x.tobytes() == whole.x[:, start:stop].tobytes()


@pytest.mark.parametrize("d", [1, 4, 33])
def test_a_row_of_a_cohort_samples_as_if_alone(d: int) -> None:
    given = model(d=d)
    whole = FAMILY.sample(given, 0, 100, 0.7, KEYS)
    for b in range(3):
        alone = FAMILY.sample({name: array[b : b + 1] for name, array in given.items()}, 0, 100, 0.7, KEYS.row(b))
        assert alone.x.tobytes() == whole.x[b].tobytes()


def test_the_root_of_a_singular_covariance() -> None:
    x = np.random.default_rng(0).standard_normal((1, 5, 12))
    cov = rows_to_moments(x).covariance
    root = covariance_root(cov)
    # eigh errs by about 1e-16 of the largest eigenvalue, here about 10.
    np.testing.assert_allclose(root @ root.transpose(0, 2, 1), cov, atol=1e-13)


def test_more_dimensions_than_samples() -> None:
    """Samples stay in the span of the rows, however many are drawn."""
    models = models_of(run(gaussian_study(fully_synthetic(n_initial=6), d=20, n_generations=3)))
    ranks = [np.linalg.matrix_rank(models[t]["cov"][0], tol=1e-10) for t in (1, 2, 3)]
    assert ranks[0] == 5
    assert ranks[0] >= ranks[1] >= ranks[2] >= 1


def gaussian_study(loop: Loop, *, d: int = 2, n_generations: int = 5, n_seeds: int = 1):
    return study(GaussianData(d=d), FAMILY, loop, n_generations, seeds=range(n_seeds), n_measured=6)


def test_the_paths_of_mean_and_covariance_are_martingales_up_to_lambda() -> None:
    """E[Sigma_t | past] = lambda Sigma_{t-1}, E[mu_t | past] = mu_{t-1}, E|mu_t - mu_{t-1}|^2 = lambda tr Sigma / n."""
    n, bias = 40, 0.8
    cohort = gaussian_study(fully_synthetic(n_initial=n, bias=bias), d=3, n_generations=4, n_seeds=600)
    models = models_of(run(cohort))
    for t in (2, 3, 4):
        before, now = models[t - 1], models[t]
        trace = np.trace(before["cov"], axis1=1, axis2=2)
        for i, j in ((0, 0), (2, 2), (0, 1), (1, 2)):
            assert z_score(now["cov"][:, i, j] - bias * before["cov"][:, i, j], 0) < MAX_Z
        step = now["mean"] - before["mean"]
        assert z_score(step[:, 0], 0) < MAX_Z
        assert z_score((step**2).sum(axis=1) - bias * trace / n, 0) < MAX_Z
        # The test would see an error of 4 %: dividing by n rather than n - 1 is 2.5 %, so look closer.
        ratio = np.trace(now["cov"], axis1=1, axis2=2) / trace
        assert z_score(ratio, bias) < MAX_Z
        assert z_score(ratio, bias * (n - 1) / n) > MAX_Z


def test_the_mean_variance_falls_as_lambda_to_the_t_and_the_median_faster() -> None:
    """E tr Sigma_t = lambda^(t-1) d; for lambda = 1 the mean stays while the median collapses."""
    d, n = 1, 10
    cohort = gaussian_study(fully_synthetic(n_initial=n), d=d, n_generations=20, n_seeds=400)
    variance = metric_table(run(cohort), "total_variance")
    assert z_score(variance[:, 4], 1) < MAX_Z
    assert np.median(variance[:, 19]) < 0.3
    biased = metric_table(
        run(gaussian_study(fully_synthetic(n_initial=n, bias=0.5), d=d, n_seeds=400)), "total_variance"
    )
    for t in range(5):
        assert z_score(biased[:, t], 0.5**t) < MAX_Z


def test_the_first_fit_is_as_far_from_the_truth_as_theory_says() -> None:
    """E W2^2 of n real samples is about d (d + 5) / (4 n); the next terms are of relative size d/n, here 2 %."""
    d, n = 10, 500
    w2 = metric_table(
        run(gaussian_study(fully_synthetic(n_initial=n), d=d, n_generations=1, n_seeds=200)), "w2_squared"
    )
    assert w2.mean() == pytest.approx(d * (d + 5) / (4 * n), rel=0.04)


def test_fresh_data_bounds_what_full_synthesis_loses() -> None:
    loops = fully_synthetic(n_initial=20), fresh_data(n_fresh=10, n_synthetic=10, n_initial=20)
    synthetic, fresh = (
        metric_table(run(gaussian_study(loop, n_generations=30, n_seeds=40)), "w2_squared") for loop in loops
    )
    assert np.median(synthetic[:, -1]) > 3 * np.median(fresh[:, -1])


LOOPS = {
    "fully synthetic": fully_synthetic(n_initial=12, n_synthetic=9, bias=0.9),
    "fresh data": fresh_data(n_fresh=5, n_synthetic=15, n_initial=30, bias=0.8),
    "augmentation": synthetic_augmentation(n_initial=10, n_synthetic=20),
    "growing pool": synthetic_augmentation(n_initial=10, n_synthetic=10, accumulate=True),
    "all at once": Loop(n_initial=20, n_fixed=4, n_fresh=3, n_synthetic=12, bias=0.7),
}


@pytest.mark.parametrize("name", LOOPS)
def test_the_engine_draws_from_the_distribution_of_the_plain_loop(name: str) -> None:
    """Two-sample Kolmogorov-Smirnov on tr Sigma_t, 400 against 400 trajectories, at every generation."""
    loop, n = LOOPS[name], 400
    found = metric_table(run(gaussian_study(loop, d=2, n_generations=4, n_seeds=n)), "total_variance")
    fields = ("n_initial", "n_fixed", "n_fresh", "n_synthetic", "accumulate", "bias")
    expected = total_variances(n, d=2, n_generations=4, **{field: getattr(loop, field) for field in fields})
    for t in range(4):
        assert ks_2samp(found[:, t], expected[:, t]).pvalue > MIN_P
    other = total_variances(
        n, seed=1, d=2, n_generations=4, **{f: getattr(loop, f) for f in fields[:-1]} | {"bias": 0.3}
    )
    assert ks_2samp(found[:, -1], other[:, -1]).pvalue < MIN_P, "the test can tell distributions apart"


def test_memory_takes_from_the_last_k_models() -> None:
    """With K = 3 the limit lies nearer to the truth than with K = 1 (the paper's figure 30)."""
    loops = (fresh_data(n_fresh=10, n_synthetic=60, memory=k) for k in (1, 6))
    short, long = (
        metric_table(run(gaussian_study(loop, n_generations=25, n_seeds=60)), "w2_squared") for loop in loops
    )
    assert long[:, 10:].mean() < 0.8 * short[:, 10:].mean()


def test_a_row_of_a_cohort_is_that_trajectory_alone_through_the_whole_engine() -> None:
    for loop in (LOOPS["all at once"], LOOPS["growing pool"], replace(LOOPS["fresh data"], memory=3)):
        cohort = study(GaussianData(d=7), FAMILY, loop, 12, seeds=(5, 0, 9), n_measured=8, all_metrics=True)
        whole = run(cohort)
        for b, seed in enumerate(cohort.seeds):
            alone = run(study(GaussianData(d=7), FAMILY, loop, 12, seeds=(seed,), n_measured=8, all_metrics=True))
            assert alone.rows(seed) == whole.rows(seed)
            assert len(alone.rows(seed)) == 12 * 8, "six sample metrics and two of the model, each generation"
            for t, one in models_of(alone).items():
                for name, array in one.items():
                    assert array[0].tobytes() == models_of(whole)[t][name][b].tobytes()


def test_the_model_knows_its_own_moments() -> None:
    given = model()
    np.testing.assert_array_equal(FAMILY.moments(given).covariance, given["cov"])


@pytest.mark.parametrize(
    ("event", "loop", "message"),
    [
        (Event((1, 8, 8), "uint8", 10), Loop(10, n_synthetic=10), "family=gaussian needs vectors"),
        (Event((2,), "float64"), Loop(1, n_synthetic=10), "at least 2 samples"),
        (Event((2,), "float64"), Loop(10, n_synthetic=1), "at least 2 samples"),
    ],
)
def test_what_it_cannot_do_it_refuses(event: Event, loop: Loop, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        FAMILY.check(event, loop, 0)
