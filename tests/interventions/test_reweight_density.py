"""Re-weighting by density: the tails gain, what is alike keeps its weight, and densities are those of the law."""

import numpy as np
import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.samples import Samples
from mad_ray.data.analytic import GaussianData
from mad_ray.data.digits import Digits
from mad_ray.data.language import Language
from mad_ray.data.zipf import Zipf
from mad_ray.interventions.reweight_density import ReweightDensity, other_radius
from tests.interventions.lessons import SmallLesson


def admitted(one, source, rows, **rest):
    return one.admit(rows, one.learn(SmallLesson(source, rows, **rest)))


def test_tails_of_a_gaussian_gain_weight():
    data = GaussianData(d=2)
    rows = data.rows(0, 3000, Keys((0,)))
    after = admitted(ReweightDensity(strength=0.5, n_fit=3000), data, rows)
    distance = np.linalg.norm(rows.x[0], axis=1)
    outer = distance > np.quantile(distance, 0.9)
    assert after.weight[0][outer].sum() / after.weight.sum() > 0.2
    assert np.corrcoef(np.log(after.weight[0]), distance**2)[0, 1] > 0.8
    assert after.weight.mean() == pytest.approx(1, abs=1e-6)


def test_the_log_of_the_weight_follows_the_exact_density():
    """-strength log p = strength x^2 / 2 + const: the slope of a regression over two standard deviations.

    Rows within k = 30 of each other share their noise, 1/sqrt(k) of log p: of 20,000 rows some 600 are independent, and
    x^2 has a standard deviation near 1, so the slope has an error of 0.0037. Five of these, with the bias far below.
    """
    data = GaussianData(d=1)
    rows = data.rows(0, 20_000, Keys((1,)))
    one = ReweightDensity(strength=0.5, max_ratio=1e6, n_fit=20_000, n_neighbours=30)
    log_weight = np.log(admitted(one, data, rows).weight[0].astype(np.float64))
    squared = rows.x[0, :, 0] ** 2
    inner = squared < 4
    slope = np.polyfit(squared[inner], log_weight[inner], 1)[0]
    assert slope == pytest.approx(0.25, abs=0.0185)


def test_symbols_are_counted_exactly():
    data = Zipf(n_symbols=50)
    rows = data.rows(0, 5000, Keys((0,)))
    after = admitted(ReweightDensity(strength=1.0, max_ratio=1e9), data, rows)
    total = np.bincount(rows.x[0, :, 0].astype(int), after.weight[0], minlength=50)
    there = total > 0
    # p * p^-1: every symbol that is there has the same weight in all.
    assert np.allclose(total[there], 5000 / there.sum(), rtol=1e-5)


def test_counts_are_those_of_the_weights_that_came():
    data = Zipf(n_symbols=2)
    x = np.array([0.0, 0.0, 0.0, 1.0])[None, :, None]
    rows = Samples.of(x, weight=np.array([[1, 0, 0, 3]], np.float32))
    after = admitted(ReweightDensity(strength=1.0, max_ratio=100), data, rows)
    assert np.allclose(after.weight, [[2, 0, 0, 2]])


def test_of_even_symbols_no_weight_changes_a_bit():
    data = Zipf(n_symbols=7)
    rows = Samples.of(np.tile(np.arange(7.0), 3)[None, :, None])
    assert admitted(ReweightDensity(strength=1.0), data, rows).weight.tobytes() == rows.weight.tobytes()


def test_copies_of_one_row_keep_their_weights_to_the_byte():
    data = GaussianData(d=3)
    rows = Samples.of(np.tile(data.rows(0, 1, Keys((0,))).x, (1, 300, 1)))
    assert admitted(ReweightDensity(), data, rows).weight.tobytes() == rows.weight.tobytes()


def test_a_rare_digit_gains_weight():
    """All zeros but a few fours: the fours are thinly spread."""
    real = Digits().rows(0, 1200, Keys((0,)))
    zeros, fours = np.flatnonzero(real.label[0] == 0), np.flatnonzero(real.label[0] == 4)[:5]
    rows = Samples.of(real.x[:, np.concatenate([zeros, fours])])
    after = admitted(ReweightDensity(strength=0.5), Digits(), rows).weight[0]
    assert after[-5:].mean() > 3 * after[:-5].mean()


def test_sentences_unlike_the_others_gain_weight():
    """Five of 805 say the same rare word all the time, in different places of another one."""
    data = Language(n_words=16, length=16)
    strange = np.full((1, 5, 16), 15, np.int32)
    strange[0, np.arange(5), np.arange(5)] = 14
    rows = Samples.of(np.concatenate([data.rows(0, 800, Keys((0,))).x, strange], axis=1))
    after = admitted(ReweightDensity(strength=0.5), data, rows).weight[0]
    assert after[800:].min() > 3 * after[:800].mean()


def test_rows_outside_the_reference_are_weighed_alike():
    """A half of D^t as reference gives every row about the weight that all of it gives."""
    data = GaussianData(d=2)
    rows = data.rows(0, 2000, Keys((2,)))
    whole = admitted(ReweightDensity(n_fit=2000, n_neighbours=20), data, rows).weight[0]
    half = admitted(ReweightDensity(n_fit=1000, n_neighbours=10), data, rows).weight[0]
    assert np.corrcoef(np.log(whole), np.log(half))[0, 1] > 0.9
    assert abs(half[::2].mean() - half[1::2].mean()) < 0.1


@pytest.mark.parametrize("n_dimensions", [1, 3])
def test_neighbours_against_the_slow_way(n_dimensions):
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 6, (60, n_dimensions)).astype(float)
    rows = np.concatenate([reference[:30], rng.normal(size=(20, n_dimensions))])
    for row, found in zip(rows, other_radius(rows, reference, 4), strict=True):
        distance = sorted(np.linalg.norm(reference - row, axis=1))
        if distance[0] == 0:
            distance = distance[1:]
        assert found == pytest.approx(distance[3])


def test_fewer_rows_than_neighbours():
    data = GaussianData(d=2)
    for n in (1, 2, 3):
        rows = data.rows(0, n, Keys((0,)))
        after = admitted(ReweightDensity(), data, rows)
        assert np.isfinite(after.weight).all()
        assert after.weight.mean() == pytest.approx(1, abs=1e-6)


def test_weights_stay_within_the_ratio():
    data = GaussianData(d=2)
    rows = data.rows(0, 500, Keys((0,)))
    after = admitted(ReweightDensity(strength=3.0, max_ratio=4.0), data, rows)
    assert after.weight.min() >= 0.25 * (1 - 1e-6)
    assert after.weight.max() <= 4 * (1 + 1e-6)
    assert after.weight.mean() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"strength": -1.0}, "strength=-1.0"),
        ({"max_ratio": 0.5}, "max_ratio=0.5"),
        ({"n_neighbours": 0}, "n_neighbours=0"),
        ({"n_components": 0}, "n_components=0"),
        ({"n_fit": 5}, "n_fit=5"),
    ],
)
def test_bad_settings(settings, named):
    with pytest.raises(InvalidInput, match=rf"interventions\.reweight_density\.{named}"):
        ReweightDensity(**settings)
