"""The Gaussian family by itself and in the engine; what theory says of its loops is in tests/laws."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import ks_2samp

from mad_ray.core.errors import InvalidInput
from mad_ray.core.fingerprint import identity
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop, fresh_data, fully_synthetic, synthetic_augmentation
from mad_ray.core.moments import Moments, merge_many, rows_to_moments
from mad_ray.core.rows import CHUNK
from mad_ray.core.samples import Event
from mad_ray.core.trajectory import Cohort
from mad_ray.data import GaussianData
from mad_ray.families.gaussian import Gaussian
from mad_ray.metrics.measure import Metrics
from tests.engine.made_up import metric_table, models_of, run, study
from tests.laws.gaussian_loop import Summed, models
from tests.oracles.gaussian import total_variances

FAMILY = Gaussian()
KEYS = Keys((0, 1, 2)).at("sample", 1)
# Seeds are fixed, so nothing here fails by chance; a right implementation stays within the bound at once.
MIN_P = 1e-3


def model(b: int = 3, d: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"mean": 10 * rng.standard_normal((b, d)), "root": np.tril(rng.standard_normal((b, d, d)))}


def covariance(of: dict[str, np.ndarray]) -> np.ndarray:
    return FAMILY.moments(of).covariance


@pytest.mark.parametrize("bias", [1.0, 0.5])
def test_samples_have_the_models_mean_and_lambda_times_its_covariance(bias: float) -> None:
    n, given = 50_000, model()
    found = rows_to_moments(FAMILY.sample(given, 0, n, bias, KEYS).x)
    spread = bias * np.trace(covariance(given), axis1=1, axis2=2)
    # 5 standard errors, of the mean and (by the trace, an upper bound) of each entry of the covariance.
    assert np.all(np.abs(found.mean - given["mean"]) < 5 * np.sqrt(spread / n)[:, None])
    assert np.all(np.abs(found.covariance - bias * covariance(given)) < 5 * spread[:, None, None] * np.sqrt(2 / n))


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


def test_more_dimensions_than_samples() -> None:
    """Samples stay in the span of the rows, however many are drawn; the determinant is 0, not a rounding error."""
    for of in models(fully_synthetic(n_initial=6), 20, 4, 3):
        assert [np.linalg.matrix_rank(one, tol=1e-10) for one in covariance(of)] == [5, 5, 5]
        found = FAMILY.measure(of, GaussianData(d=20).law(), FAMILY.measures)
        assert (found["log_det_ratio"] == -np.inf).all()
        assert (found["total_variance"] > 0).all()


@pytest.mark.parametrize("loop", [fully_synthetic(n_initial=9, bias=0.0), fresh_data(n_fresh=9, n_synthetic=9, bias=0)])
def test_bias_zero_runs(loop: Loop) -> None:
    """Fully synthetic: all samples are the mean, and nothing is left. Fresh data: half of D^t is one point."""
    variance = [covariance(of)[:, 0, 0].mean() for of in models(loop, 3, 12, 40)]
    if loop.n_fresh:
        assert np.mean(variance[2:]) == pytest.approx(0.5, rel=0.1)
    else:
        np.testing.assert_array_equal(variance[1:], np.zeros(11))


@pytest.mark.parametrize("n", [3, 10, 11, 12, 40])
def test_a_fit_is_the_unbiased_covariance_of_the_rows(n: int) -> None:
    """NumPy's, for n below and above d; the root is lower-triangular, with as many columns as the rank."""
    x = np.random.default_rng(n).standard_normal((2, n, 11)) * np.arange(1, 12)
    fitted = FAMILY.fit(Summed(rows_to_moments(x)), KEYS, lambda share: None)
    for b in range(2):
        np.testing.assert_allclose(covariance(fitted)[b], np.cov(x[b].T), atol=1e-12)
        np.testing.assert_allclose(fitted["mean"][b], x[b].mean(axis=0), atol=1e-13)
    np.testing.assert_array_equal(fitted["root"], np.tril(fitted["root"]))


def test_a_fit_on_draws_is_that_on_their_scatter() -> None:
    """However D^t came: factored or not, one part or several, n below and above d."""
    for sizes in ([40], [8], [5, 2], [5, 3], [5, 4], [30, 40, 2]):
        parts = [FAMILY.draw(model(d=8), i, i + n, 0.7, KEYS) for i, n in enumerate(sizes)]
        merged = merge_many(parts)
        one, other = (
            FAMILY.fit(Summed(m), KEYS, lambda share: None) for m in (merged, Moments.from_arrays(merged.arrays()))
        )
        np.testing.assert_allclose(covariance(one), covariance(other), atol=1e-12 * np.abs(covariance(one)).max())
        np.testing.assert_array_equal(one["root"], np.tril(one["root"]))


@pytest.mark.parametrize("data", [GaussianData(d=4), GaussianData(d=4, mean=1.0, condition=30.0, correlation=-0.4)])
def test_measures_are_what_they_say(data: GaussianData) -> None:
    given, law = model(), data.law()
    found = FAMILY.measure(given, law, FAMILY.measures)
    sigma, real = covariance(given), law["covariance"]
    inner = np.array([sqrtm(sqrtm(real) @ one @ sqrtm(real)).real.trace() for one in sigma])
    square, trace = ((given["mean"] - law["mean"]) ** 2).sum(axis=1), np.trace(sigma, axis1=1, axis2=2)
    expected = {
        "w2_squared": square + trace + real.trace() - 2 * inner,
        "mean_squared": square,
        "total_variance": trace,
        "trace_ratio": trace / real.trace(),
        "log_det_ratio": np.linalg.slogdet(sigma)[1] - np.linalg.slogdet(real)[1],
    }
    assert tuple(expected) == FAMILY.measures
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9)
        assert FAMILY.measure(given, law, [name]).keys() == {name}, "only what is wanted"


def test_of_modes_it_measures_their_moments_and_of_the_unknown_nothing() -> None:
    given, centres = model(d=2), np.array([[0.0, 1.0], [2.0, 1.0]])
    modes = FAMILY.measure(given, {"centres": centres, "spread": np.array(0.5)}, FAMILY.measures)
    moments = {"mean": np.array([1.0, 1.0]), "covariance": np.diag([1.25, 0.25])}
    for name, value in FAMILY.measure(given, moments, FAMILY.measures).items():
        np.testing.assert_allclose(modes[name], value, rtol=1e-12)
    unknown = FAMILY.measure(given, {"probabilities": np.ones(3) / 3}, FAMILY.measures)
    for name in FAMILY.measures:
        assert np.isnan(unknown[name]).all() == (name != "total_variance")


def test_how_it_draws_always_shows_in_its_identity() -> None:
    """Summaries became the default, and gave new results under an old name otherwise."""
    assert identity(Gaussian()) == {"name": "gaussian", "draws": "summaries"}
    assert identity(Gaussian(draws="rows")) == {"name": "gaussian", "draws": "rows"}


@pytest.mark.parametrize("d", [1, 10, 130])
def test_a_row_of_a_cohort_is_drawn_fitted_and_measured_as_if_alone(d: int) -> None:
    """For cohorts of 1, 2, 8 and 64."""
    whole, law = Keys(tuple(range(64))), GaussianData(d=d, condition=7.0).law()

    def one_step(b: int) -> dict[str, np.ndarray]:
        keys = Keys(whole.seeds[:b])
        of = {name: array[:b] for name, array in model(64, d).items()}
        real = GaussianData(d=d).draw(Moments, 0, 30, keys)
        fitted = FAMILY.fit(Summed(merge_many([real, FAMILY.draw(of, 0, 200, 0.9, keys)])), keys, lambda share: None)
        return fitted | FAMILY.measure(fitted, law, FAMILY.measures)

    expected = one_step(64)
    for b in (1, 2, 8):
        for name, array in one_step(b).items():
            assert array.tobytes() == expected[name][:b].tobytes()


def gaussian_study(
    loop: Loop,
    *,
    d: int = 2,
    n_generations: int = 5,
    n_seeds: int = 1,
    draws: Literal["summaries", "rows"] = "summaries",
) -> Cohort:
    """A cohort in the engine, measured by two numbers of its models."""
    cohort = study(GaussianData(d=d), Gaussian(draws), loop, n_generations, seeds=range(n_seeds))
    metrics = Metrics(names=("w2_squared", "total_variance"))
    return Cohort(tuple(replace(one, metrics=metrics) for one in cohort.trajectories))


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


@pytest.mark.parametrize(
    ("name", "draws"), [*((name, "summaries") for name in LOOPS), ("all at once", "rows"), ("growing pool", "rows")]
)
def test_the_engine_draws_from_the_distribution_of_the_plain_loop(name: str, draws: str) -> None:
    """Two-sample Kolmogorov-Smirnov on tr Sigma_t, 400 against 400 trajectories, at every generation."""
    loop, n = LOOPS[name], 400
    found = metric_table(run(gaussian_study(loop, n_generations=4, n_seeds=n, draws=draws)), "total_variance")
    fields = ("n_initial", "n_fixed", "n_fresh", "n_synthetic", "accumulate", "bias")
    expected = total_variances(n, d=2, n_generations=4, **{field: getattr(loop, field) for field in fields})
    for t in range(4):
        assert ks_2samp(found[:, t], expected[:, t]).pvalue > MIN_P
    other = total_variances(
        n, seed=1, d=2, n_generations=4, **{f: getattr(loop, f) for f in fields[:-1]} | {"bias": 0.3}
    )
    assert ks_2samp(found[:, -1], other[:, -1]).pvalue < MIN_P, "the test can tell distributions apart"


@pytest.mark.parametrize("loop", [*LOOPS.values(), replace(LOOPS["fresh data"], memory=4)], ids=[*LOOPS, "memory"])
def test_the_engine_does_what_the_plain_loop_of_draws_does(loop: Loop) -> None:
    """The same pieces from the same streams; a growing pool is merged in another order, which rounds differently."""
    found = metric_table(run(gaussian_study(loop, d=3, n_generations=20, n_seeds=2)), "w2_squared")
    law = GaussianData(d=3).law()
    expected = [FAMILY.measure(of, law, ["w2_squared"])["w2_squared"] for of in models(loop, 3, 20, 2)]
    np.testing.assert_allclose(found.T, expected, rtol=1e-8)


def test_memory_takes_from_the_last_k_models() -> None:
    """With K = 6 the limit lies nearer to the truth than with K = 1 (the paper's figure 30).

    Large n would have it 0.46 of the other; it takes about 25 generations to forget the start.
    """
    loops = (fresh_data(n_fresh=20, n_synthetic=120, memory=k) for k in (1, 6))
    short, long = (
        metric_table(run(gaussian_study(loop, n_generations=100, n_seeds=60)), "w2_squared") for loop in loops
    )
    assert long[:, 60:].mean() < 0.7 * short[:, 60:].mean()


def test_a_row_of_a_cohort_is_that_trajectory_alone_through_the_whole_engine() -> None:
    for loop in (LOOPS["all at once"], LOOPS["growing pool"], replace(LOOPS["fresh data"], memory=3)):
        cohort = study(GaussianData(d=7), FAMILY, loop, 12, seeds=(5, 0, 9), n_measured=8, all_metrics=True)
        whole = run(cohort)
        for b, seed in enumerate(cohort.seeds):
            alone = run(study(GaussianData(d=7), FAMILY, loop, 12, seeds=(seed,), n_measured=8, all_metrics=True))
            assert alone.rows(seed) == whole.rows(seed)
            assert len(alone.rows(seed)) == 12 * 11, "six metrics of samples and five of the model, each generation"
            for t, one in models_of(alone).items():
                for name, array in one.items():
                    assert array[0].tobytes() == models_of(whole)[t][name][b].tobytes()


def test_the_model_knows_its_own_moments() -> None:
    given = model()
    root = given["root"]
    np.testing.assert_array_equal(FAMILY.moments(given).covariance, root @ root.transpose(0, 2, 1))
    np.testing.assert_array_equal(FAMILY.moments(given).mean, given["mean"])


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
