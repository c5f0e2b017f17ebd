"""The Gaussian mixture family: what it samples is what it says, whoever asks and with whom."""

from collections.abc import Mapping

import numpy as np
import pytest

from mad_ray.core.counts import uniform_to_symbols
from mad_ray.core.errors import InvalidInput, TrajectoryFailed
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.data.modes import Modes
from mad_ray.families.em import Mixture
from mad_ray.families.gmm import Gmm, mode_shares
from tests.engine.made_up import models_of, run, study
from tests.families.in_memory import InMemory, fit_rows, fully_synthetic_loop

FAMILY = Gmm(n_components=6)
DATA = Modes(side=2, spread=0.2)
KEYS = Keys(tuple(range(16)))
# Seeds are fixed, so nothing here fails by chance.
MAX_Z = 4.0


def rows(n: int = 300, keys: Keys = KEYS) -> np.ndarray:
    return DATA.rows(0, n, keys.at("real")).x


def model(keys: Keys = KEYS, n: int = 300, family: Gmm = FAMILY) -> dict[str, np.ndarray]:
    return fit_rows(family, rows(n, keys), keys.at("fit", 1))


def by_hand(weight: list[float], mean: list, spread: float = 0.1) -> dict[str, np.ndarray]:
    root = spread * np.array([[1.0, 0.0], [0.5, 0.8]])
    return {
        "weight": np.array([weight]),
        "mean": np.array([mean], dtype=float),
        "root": np.broadcast_to(root, (1, len(weight), 2, 2)).copy(),
    }


@pytest.mark.parametrize("size", [1, 2])
def test_a_row_of_a_cohort_is_that_trajectory_alone(size: int) -> None:
    """Bit for bit: the fit, its samples, and what it says of itself; cohorts of 16 and those they split into."""
    whole, law = model(), DATA.law()
    samples = FAMILY.sample(whole, 5, 2500, 0.7, KEYS.at("sample", 1)).x
    said = FAMILY.measure(whole, law, FAMILY.measures)
    for b in range(0, 16, size):
        keys = Keys(KEYS.seeds[b : b + size])
        alone = model(keys)
        for name, array in alone.items():
            assert array.tobytes() == whole[name][b : b + size].tobytes()
        assert FAMILY.sample(alone, 5, 2500, 0.7, keys.at("sample", 1)).x.tobytes() == samples[b : b + size].tobytes()
        for name, values in FAMILY.measure(alone, law, FAMILY.measures).items():
            assert values.tobytes() == said[name][b : b + size].tobytes()


def test_a_cohort_may_be_split_through_the_whole_engine() -> None:
    """Models of all generations bit for bit, and every metric, in a loop of fresh and synthetic data."""
    loop = Loop(30, n_fresh=10, n_synthetic=30, bias=0.9)
    whole = run(study(DATA, FAMILY, loop, 8, seeds=(5, 0, 9), all_metrics=True))
    for seeds in ((5, 0), (9,)):
        part = run(study(DATA, FAMILY, loop, 8, seeds=seeds, all_metrics=True))
        for seed in seeds:
            assert part.rows(seed) == whole.rows(seed)
            assert {row["metric"] for row in part.rows(seed)} >= {"recall", *FAMILY.measures}
        for t, model_ in models_of(part).items():
            for name, array in model_.items():
                first = whole.cohort.seeds.index(seeds[0])
                assert array.tobytes() == models_of(whole)[t][name][first : first + len(seeds)].tobytes()


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (1000, 1100), (1024, 2048), (7, 7), (3000, 3500)])
def test_sample_i_is_the_same_bytes_whatever_is_drawn_with_it(start: int, stop: int) -> None:
    given, keys = model(KEYS.row(0)), KEYS.row(0).at("sample", 1)
    whole = FAMILY.sample(given, 0, 4000, 0.5, keys).x
    assert FAMILY.sample(given, start, stop, 0.5, keys).x.tobytes() == whole[:, start:stop].tobytes()


@pytest.mark.parametrize("bias", [0.0, 0.3, 1.0])
def test_bias_scales_the_components_and_leaves_their_weights(bias: float) -> None:
    """Three components far apart, so that every sample's is known: weights, means, and covariances times lambda."""
    given, n = by_hand([0.2, 0.5, 0.3], [[0, 0], [10, 0], [0, 10]]), 20_000
    x = Gmm(n_components=3).sample(given, 0, n, bias, Keys((1,))).x[0]
    component = np.argmin(((x[:, None] - given["mean"][0]) ** 2).sum(axis=2), axis=1)
    for k, p in enumerate(given["weight"][0]):
        mine = x[component == k]
        assert abs(len(mine) / n - p) < MAX_Z * np.sqrt(p * (1 - p) / n)
        if bias == 0:
            np.testing.assert_array_equal(mine, np.broadcast_to(given["mean"][0, k], mine.shape))
            continue
        covariance = bias * given["root"][0, k] @ given["root"][0, k].T
        variance = np.diag(covariance)
        z_mean = (mine.mean(axis=0) - given["mean"][0, k]) / np.sqrt(variance / len(mine))
        error = np.sqrt((np.outer(variance, variance) + covariance**2) / len(mine))
        assert np.abs(z_mean).max() < MAX_Z
        assert np.abs((np.cov(mine.T) - covariance) / error).max() < MAX_Z


def test_a_component_of_weight_0_is_never_sampled() -> None:
    given = by_hand([0.0, 0.5, 0.0, 0.5, 0.0], [[np.nan] * 2, [1, 1], [np.nan] * 2, [2, 2], [np.nan] * 2])
    assert np.isfinite(Gmm(n_components=5).sample(given, 0, 5000, 1.0, Keys((0,))).x).all()
    edge = np.array([0.0, np.nextafter(1.0, 0.0)])
    assert set(uniform_to_symbols(edge, np.array([0.0, 0.3, 0.3, 0.0]))) == {1, 2}


def test_it_says_the_variance_of_its_samples() -> None:
    given, n = model(KEYS.row(3)), 50_000
    said = FAMILY.measure(given, DATA.law(), FAMILY.measures)
    squared = np.square(FAMILY.sample(given, 0, n, 1.0, KEYS.row(3)).x[0])
    squared = squared.sum(axis=1)
    mean = (given["weight"][0][:, None] * given["mean"][0]).sum(axis=0)
    expected = said["total_variance"][0] + mean @ mean
    assert abs(squared.mean() - expected) < MAX_Z * squared.std() / np.sqrt(n)
    assert 0 < said["modal_variance"][0] < said["total_variance"][0]


def test_one_component_is_the_gaussian_of_maximum_likelihood() -> None:
    x = rows(keys=KEYS.row(0))
    given = fit_rows(Gmm(n_components=1), x, KEYS.row(0))
    np.testing.assert_allclose(given["mean"][0, 0], x[0].mean(axis=0), atol=1e-13)
    covariance = given["root"][0, 0] @ given["root"][0, 0].T
    np.testing.assert_allclose(covariance, np.cov(x[0].T, bias=True), rtol=1e-9, atol=1e-9)
    said = Gmm(n_components=1).measure(given, {}, ("total_variance", "modal_variance"))
    assert said["total_variance"] == pytest.approx(said["modal_variance"])


def test_real_modes_are_found() -> None:
    """25 well separated modes, n = 1000: the start misses at most 2 of 16 x 25 (0.1 % in the long run)."""
    data, keys = Modes(), KEYS
    given = fit_rows(Gmm(), data.rows(0, 1000, keys.at("real")).x, keys.at("fit", 1))
    said = Gmm().measure(given, data.law(), ("modes_alive",))
    np.testing.assert_array_equal(said["modes_alive"], 25.0)
    nearest = np.abs(given["mean"][:, :, None] - data.centres).max(axis=3).min(axis=1)
    assert np.count_nonzero(nearest > 0.1) <= 2


def test_shares_of_modes_are_the_probabilities_they_should_be() -> None:
    """Against exact and sampled ones; the spiral's error is about 1/128 of a component's weight."""
    centres = np.array([[0.0, 0.0], [1.0, 0.0]])
    round_ = Mixture(np.array([[0.3, 0.7]]), centres[None], np.broadcast_to(0.1 * np.eye(2), (1, 2, 2, 2)))
    shares = mode_shares(round_, centres, 0.1)[0]
    np.testing.assert_allclose(shares, np.array([0.3, 0.7]) * (1 - np.exp(-4.5)), atol=0.01)
    given = by_hand([0.5, 0.3, 0.2], [[0.05, 0.1], [0.5, 0.0], [0.9, 0.3]], spread=0.25)
    shares = mode_shares(Mixture(**given), centres, 0.1)[0]
    x = Gmm(n_components=3).sample(given, 0, 50_000, 1.0, Keys((0,))).x[0]
    sampled = (np.linalg.norm(x[:, None] - centres, axis=2) <= 0.3).mean(axis=0)
    np.testing.assert_allclose(shares, sampled, atol=0.015)


def test_modes_are_alive_from_a_tenth_of_their_fair_share() -> None:
    data = Modes(side=2, spread=0.05)
    for rare, alive in ((0.02, 3), (0.03, 4)):
        given = by_hand([rare, 0.3, 0.3, 0.4 - rare], data.centres, spread=0.02)
        assert Gmm().measure(given, data.law(), ("modes_alive",)) == {"modes_alive": np.array([alive])}


def test_modes_are_not_alive_where_there_are_none() -> None:
    assert np.isnan(FAMILY.measure(model(), {}, ("modes_alive",))["modes_alive"]).all()


def test_more_starts_are_no_less_likely() -> None:
    """The first of four starts is the one start; so four are never worse, and for some of 16 trajectories better."""
    family = Gmm(n_components=6, candidates=1)
    one, four = model(family=family), model(family=Gmm(n_components=6, candidates=1, n_init=4))
    x = rows()
    gain = np.array([_log_likelihood(x[b], four, b) - _log_likelihood(x[b], one, b) for b in range(16)])
    assert gain.min() > -2 * family.tol
    assert gain.max() > 0.01


def _log_likelihood(x: np.ndarray, given: Mapping[str, np.ndarray], b: int) -> float:
    white = np.linalg.solve(given["root"][b], (x[:, None] - given["mean"][b])[..., None])[..., 0]
    log_root = np.log(np.diagonal(given["root"][b], axis1=1, axis2=2)).sum(axis=1)
    terms = np.log(given["weight"][b]) - log_root - 0.5 * (white**2).sum(axis=2)
    return float(np.logaddexp.reduce(terms, axis=1).mean())


def test_progress_never_falls_back() -> None:
    told: list[float] = []
    Gmm(n_components=4, n_init=2).fit(InMemory(Samples.of(rows())), KEYS, told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("n", "family"), [(25, Gmm()), (40, Gmm()), (30, Gmm(n_components=3, reg_covar=1e-12))])
def test_no_collapse_is_too_deep(n: int, family: Gmm) -> None:
    """Far beyond the death of all modes but one; in the end all samples may be equal to the last bit."""
    for _, given, x in fully_synthetic_loop(family, Modes(), n, 600, (0, 1)):
        assert all(np.isfinite(array).all() for array in given.values())
        assert np.isfinite(x).all()
    variance = family.measure(given, {}, ("total_variance",))["total_variance"]
    assert variance.max() < 1e-6


def test_rows_without_weight_are_not_there() -> None:
    x, weight = rows(keys=KEYS.row(0)), (np.arange(300) % 2)[None].astype(np.float32)
    dropped = fit_rows(FAMILY, np.where(weight[..., None] > 0, x, 50.0), KEYS.row(0), weight)
    for name, array in fit_rows(FAMILY, x[:, 1::2], KEYS.row(0)).items():
        assert dropped[name].tobytes() == array.tobytes()
    with pytest.raises(TrajectoryFailed, match="none of positive weight"):
        fit_rows(FAMILY, x, KEYS.row(0), 0 * weight)


def test_what_it_cannot_do_it_refuses() -> None:
    with pytest.raises(InvalidInput, match="family=gmm needs vectors"):
        FAMILY.check(Event((1, 8, 8), "uint8", 10), Loop(100, n_synthetic=100), 0)
    with pytest.raises(InvalidInput, match="5 samples in the smallest D"):
        FAMILY.check(DATA.event, Loop(100, n_synthetic=5), 0)
    for settings in ({"n_components": 0}, {"n_init": 0}, {"tol": -1.0}, {"reg_covar": 0.0}, {"reg_covar": np.inf}):
        with pytest.raises(InvalidInput, match=f"family.{next(iter(settings))}="):
            Gmm(**settings)
