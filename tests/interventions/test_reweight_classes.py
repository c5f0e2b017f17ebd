"""Re-weighting by class: at strength 1 all classes weigh the same, and labels are asked for where there are none."""

import numpy as np
import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.data.analytic import GaussianData
from mad_ray.data.digits import Digits
from mad_ray.data.zipf import Zipf
from mad_ray.interventions.reweight_classes import ReweightClasses
from tests.interventions.lessons import SmallLesson


def admitted(one, source, rows):
    return one.admit(rows, one.learn(SmallLesson(source, rows)))


def uneven() -> Samples:
    """Digits, of the classes above 4 only every third."""
    real = Digits().rows(0, 900, Keys((0,)))
    kept = np.flatnonzero((real.label[0] < 5) | (np.arange(900) % 3 == 0))
    return Samples.of(real.x[:, kept], real.label[:, kept])


def of_classes(samples):
    labelled = samples.label[0] >= 0
    return np.bincount(samples.label[0][labelled], samples.weight[0][labelled])


def test_all_classes_weigh_the_same():
    rows = uneven()
    after = admitted(ReweightClasses(), Digits(), rows)
    assert np.ptp(of_classes(rows)) > 40
    assert np.allclose(of_classes(after), rows.n / 10, rtol=1e-5)


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_weights_are_powers_of_the_shares(strength):
    rows = uneven()
    after = admitted(ReweightClasses(strength=strength, max_ratio=1e6), Digits(), rows)
    share = of_classes(rows) / rows.n
    expected = share[rows.label[0]] ** -strength
    assert np.allclose(after.weight[0], expected / expected.mean(), rtol=1e-5)


def test_of_even_classes_no_weight_changes_a_bit():
    real = Digits().rows(0, 1200, Keys((0,)))
    kept = np.concatenate([np.flatnonzero(real.label[0] == c)[:50] for c in range(10)])
    rows = Samples.of(real.x[:, kept], real.label[:, kept])
    assert admitted(ReweightClasses(strength=1.7), Digits(), rows).weight.tobytes() == rows.weight.tobytes()


def test_rows_without_label_keep_their_weight():
    rows = uneven()
    label = rows.label.copy()
    label[0, ::4] = -1
    rows = Samples.of(rows.x, label)
    after = admitted(ReweightClasses(), Digits(), rows)
    assert (after.weight[0, ::4] == 1).all()
    labelled = label[0] >= 0
    assert after.weight[0][labelled].mean() == pytest.approx(1, abs=1e-6)
    assert np.ptp(of_classes(after)) < 1e-3


def test_nobody_labelled_changes_nothing():
    rows = Samples.of(uneven().x)
    assert admitted(ReweightClasses(), Digits(), rows).weight.tobytes() == rows.weight.tobytes()


def test_incoming_weights_count_and_keep_their_sum():
    rows = uneven()
    weight = np.random.default_rng(0).choice([0, 0.5, 2], rows.weight.shape).astype(np.float32)
    rows = Samples.of(rows.x, rows.label, weight)
    after = admitted(ReweightClasses(), Digits(), rows)
    assert after.weight.sum(dtype=float) == pytest.approx(weight.sum(dtype=float), rel=1e-6)
    assert np.ptp(of_classes(after)) < 1e-3
    assert (after.weight[weight == 0] == 0).all()


def test_a_symbol_is_its_own_class():
    data = Zipf(n_symbols=20)
    rows = data.rows(0, 2000, Keys((0,)))
    after = admitted(ReweightClasses(max_ratio=1e6), data, rows)
    assert np.ptp(of_classes(after)) < 1e-3 * 2000 / 20


def test_labels_asked_for_where_there_are_none():
    with pytest.raises(InvalidInput, match=r"^interventions\.reweight_classes needs labels; .* has none: take"):
        ReweightClasses().check(GaussianData(d=2).event, Loop(10, n_synthetic=10), ())
    ReweightClasses().check(Event((1, 8, 8), "uint8", 10), Loop(10, n_synthetic=10), ())
