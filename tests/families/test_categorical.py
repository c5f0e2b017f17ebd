"""The categorical family: counts as a model, temperature as the bias, and what its models say of themselves."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

from mad_ray.core.counts import Counts
from mad_ray.core.errors import InvalidInput, TrajectoryFailed
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.rows import CHUNK
from mad_ray.core.samples import Event, Samples
from mad_ray.data.zipf import Zipf
from mad_ray.families.categorical import Categorical, temper

FAMILY = Categorical()
DATA = Zipf(n_symbols=41)
LAW = DATA.law()
KEYS = Keys((0, 1, 2)).at("sample", 1)
BIASES = (1.0, 0.9, 0.5, 0.01, 1e-320, 0.0)


class Rows:
    """A stream over rows in memory."""

    def __init__(self, samples: Samples, event: Event = DATA.event) -> None:
        self.samples, self.event, self.n = samples, event, samples.n

    def batches(self, size: int) -> Iterator[Samples]:
        yield self.samples

    def summary(self, kind):
        return kind.of_rows(self.samples, self.event)


def fit(n: int = 60, family: Categorical = FAMILY, keys: Keys = KEYS) -> dict[str, np.ndarray]:
    return family.fit(Rows(DATA.rows(0, n, keys.at("real"))), keys.at("fit", 1), lambda share: None)


MODEL = fit()


def test_frequencies_are_the_model() -> None:
    rows = DATA.rows(0, 60, KEYS.at("real"))
    p = FAMILY.probabilities(MODEL)
    for b in range(3):
        for v in range(41):
            assert p[b, v] == np.mean(rows.x[b] == v)


def test_weights_are_counts() -> None:
    rows = DATA.rows(0, 60, KEYS.at("real"))
    weight = np.random.default_rng(0).integers(0, 3, (3, 60))
    weighted = FAMILY.fit(Rows(Samples(rows.x, rows.label, weight.astype(np.float32))), KEYS, lambda share: None)
    for b in range(3):
        kept = Samples.of(np.repeat(rows.x[b], weight[b], axis=0)[None])
        alone = FAMILY.fit(Rows(kept), KEYS, lambda share: None)
        np.testing.assert_array_equal(weighted["counts"][b], alone["counts"][0])


def test_a_training_set_of_no_weight_fails_the_trajectory() -> None:
    rows = DATA.rows(0, 5, KEYS)
    with pytest.raises(TrajectoryFailed, match="total weight 0"):
        FAMILY.fit(Rows(Samples(rows.x, rows.label, np.zeros((3, 5), np.float32))), KEYS, lambda share: None)


def test_smoothing_adds_to_every_count() -> None:
    """Laplace's rule of succession: (count + 1) / (n + V)."""
    smooth = Categorical(smoothing=1.0)
    np.testing.assert_allclose(smooth.probabilities(MODEL), (MODEL["counts"] + 1) / (60 + 41), rtol=1e-14)
    assert (FAMILY.probabilities(MODEL) == 0).any()
    dead = MODEL["counts"][0] == 0
    assert smooth.draw(MODEL, 0, 10**5, 1.0, KEYS).counts[0, dead].min() > 0


@pytest.mark.parametrize("bias", BIASES)
def test_temperature_is_a_power(bias: float) -> None:
    p = FAMILY.probabilities(MODEL)[0]
    found = temper(p, bias)
    assert found.sum() == pytest.approx(1, abs=1e-14)
    assert not found[p == 0].any()
    if bias >= 0.5:
        np.testing.assert_allclose(found, p ** (1 / bias) / (p ** (1 / bias)).sum(), rtol=1e-13)
    if bias <= 1e-320:
        np.testing.assert_array_equal(found, (p == p.max()) / (p == p.max()).sum())


def test_no_bias_is_the_model_bit_for_bit() -> None:
    p = FAMILY.probabilities(MODEL)[0]
    assert temper(p, 1.0).tobytes() == p.tobytes()


def test_modes_share_equally() -> None:
    tied = np.array([0.1, 0.35, 0.2, 0.35])
    for bias in (0.0, 1e-320, 1e-5):
        np.testing.assert_array_equal(temper(tied, bias), [0, 0.5, 0, 0.5])


def test_lower_temperature_orders_distributions() -> None:
    """Sharper by majorisation: for smaller lambda the k most probable symbols hold more, for every k."""
    p = np.sort(FAMILY.probabilities(MODEL)[0])[::-1]
    held = [temper(p, bias).cumsum() for bias in (1.0, 0.8, 0.5, 0.2, 0.0)]
    for softer, sharper in itertools.pairwise(held):
        assert (sharper >= softer - 1e-14).all()
        assert sharper[0] > softer[0]


@pytest.mark.parametrize("bias", [1.0, 0.5])
def test_samples_and_drawn_counts_follow_the_published_law(bias: float) -> None:
    n = 20_000
    counted = Counts.of_rows(FAMILY.sample(MODEL, 0, n, bias, KEYS), DATA.event).counts
    drawn = FAMILY.draw(MODEL, 0, n, bias, KEYS).counts
    for b, p in enumerate(FAMILY.probabilities(MODEL)):
        expected = temper(p, bias)
        alive = expected > 0
        for counts in (counted[b], drawn[b]):
            assert not counts[~alive].any()
            assert stats.chisquare(counts[alive], n * expected[alive]).pvalue > 1e-3
    assert not np.array_equal(counted, drawn)


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (5, 9), (CHUNK - 1, CHUNK + 1), (CHUNK, 3 * CHUNK), (0, 0), (7, 7)]
)
def test_any_split_gives_the_same_bytes(start: int, stop: int) -> None:
    whole = FAMILY.sample(MODEL, 0, 3 * CHUNK, 0.7, KEYS)
    part = FAMILY.sample(MODEL, start, stop, 0.7, KEYS)
    assert part.x.shape == (3, stop - start, 1)
    assert part.x.tobytes() == whole.x[:, start:stop].tobytes()


def test_a_row_of_a_cohort_is_that_trajectory_alone() -> None:
    """Counts, samples, and the measures to their last digit."""
    measured = FAMILY.measure(MODEL, LAW, FAMILY.measures)
    for b in range(3):
        alone = {"counts": MODEL["counts"][b : b + 1]}
        assert fit(keys=KEYS.row(b))["counts"].tobytes() == alone["counts"].tobytes()
        for bias in (1.0, 0.7):
            whole = FAMILY.sample(MODEL, 0, 100, bias, KEYS), FAMILY.draw(MODEL, 0, 100, bias, KEYS)
            samples = FAMILY.sample(alone, 0, 100, bias, KEYS.row(b)), FAMILY.draw(alone, 0, 100, bias, KEYS.row(b))
            assert samples[0].x.tobytes() == whole[0].x[b].tobytes()
            assert samples[1].counts.tobytes() == whole[1].counts[b].tobytes()
        for name, values in FAMILY.measure(alone, LAW, FAMILY.measures).items():
            assert values.tobytes() == measured[name][b : b + 1].tobytes(), name


def test_measures_of_a_known_model() -> None:
    """P_r: head 0.5, body 0.25 and 0.15, tail 0.06 and 0.04; the model has lost symbols 2 and 4."""
    law = {"probabilities": np.array([0.5, 0.25, 0.15, 0.06, 0.04])}
    model = {"counts": np.array([[6.0, 3.0, 0.0, 1.0, 0.0]])}
    expected = {
        "support": 3.0,
        "head_alive": 1.0,
        "body_alive": 0.5,
        "tail_alive": 0.5,
        "tail_mass": 0.1,
        "missing_mass": 0.19,
        "entropy": -(0.6 * np.log(0.6) + 0.3 * np.log(0.3) + 0.1 * np.log(0.1)),
        "heterozygosity": 1 - 0.36 - 0.09 - 0.01,
        "total_variation": 0.19,
    }
    found = FAMILY.measure(model, law, FAMILY.measures)
    assert tuple(found) == FAMILY.measures
    for name, values in found.items():
        assert values.shape == (1,)
        assert values[0] == pytest.approx(expected[name], rel=1e-13), name


def test_a_perfect_model_misses_nothing() -> None:
    perfect = {"counts": LAW["probabilities"][None]}
    found = {name: values[0] for name, values in FAMILY.measure(perfect, LAW, FAMILY.measures).items()}
    assert found["support"] == 41
    assert found["head_alive"] == found["body_alive"] == found["tail_alive"] == 1
    assert found["missing_mass"] == 0
    assert found["total_variation"] == pytest.approx(0, abs=1e-15)
    assert 0.1 <= found["tail_mass"] < 0.1 + LAW["probabilities"].max()


def test_only_wanted_measures_are_taken() -> None:
    assert list(FAMILY.measure(MODEL, LAW, ["missing_mass", "support"])) == ["missing_mass", "support"]


def test_a_band_without_symbols_has_no_share() -> None:
    """Two equally common symbols are head and tail; nothing lies between."""
    found = FAMILY.measure({"counts": np.ones((1, 2))}, {"probabilities": np.array([0.5, 0.5])}, ["body_alive"])
    assert np.isnan(found["body_alive"][0])


@pytest.mark.parametrize(
    "event",
    [Event((1, 8, 8), "uint8", 10), Event((3,), "float64"), Event((1,), "float64"), Event((1,), "uint8", 5)],
)
def test_other_data_are_refused_in_one_line(event: Event) -> None:
    with pytest.raises(InvalidInput, match="family=categorical needs symbols") as caught:
        FAMILY.check(event, Loop(10, n_synthetic=10), 0)
    assert "\n" not in str(caught.value)


def test_its_own_data_are_accepted() -> None:
    FAMILY.check(DATA.event, Loop(1, n_synthetic=1), 0)


@pytest.mark.parametrize("smoothing", [-0.1, float("inf"), float("nan")])
def test_bad_smoothing_is_refused(smoothing: float) -> None:
    with pytest.raises(InvalidInput, match=r"family\.smoothing"):
        Categorical(smoothing=smoothing)
