"""The learnt detector: as good as the best one where that is known, and its false alarms are as often as was set."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import betabinom, norm, rankdata

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.samples import Samples
from mad_ray.data.analytic import GaussianData
from mad_ray.data.digits import Digits
from mad_ray.data.language import Language
from mad_ray.data.zipf import Zipf
from mad_ray.interventions.learnt_detector import LearntDetector
from tests.interventions.lessons import SmallLesson

NEW = Keys((77,))


def auc(real, synthetic):
    """The probability that a synthetic row scores higher: Mann and Whitney's U."""
    rank = rankdata(np.concatenate([real, synthetic]))
    n, m = len(real), len(synthetic)
    return (rank[n:].sum() - m * (m + 1) / 2) / (n * m)


def published(x):
    return Samples.of(np.asarray(x))


def moved(data, shift, scale, start, stop, seed):
    return published(shift + scale * data.rows(start, stop, Keys((seed,))).x)


def allowed(n_held_back, false_alarm, n):
    """99.9 % of counts among n new real rows; the threshold is the k-th largest of those held back: Beta-binomial."""
    k = int(np.floor((n_held_back + 1) * false_alarm + 1e-9))
    return betabinom(n, k, n_held_back + 1 - k).interval(0.999)


@pytest.mark.parametrize(("shift", "d"), [(2.0, 1), (1.0, 2), (0.5, 8)])
def test_it_tells_two_gaussians_apart_as_well_as_anyone_can(shift, d):
    """N(0, I) and N(m, I): the best test has AUC Phi(|m| / sqrt 2). 2,000 rows of each give it an error below 0.01;
    a network trained on as many may lose another 0.01."""
    data = GaussianData(d=d)
    one = LearntDetector(n_real=4000, n_synthetic=2000)
    state = one.learn(SmallLesson(data, known=moved(data, shift, 1.0, 0, 2000, 9)))
    real = one.score(data.rows(0, 2000, NEW), state)[0]
    synthetic = one.score(moved(data, shift, 1.0, 5000, 7000, 9), state)[0]
    assert auc(real, synthetic) == pytest.approx(norm.cdf(shift * np.sqrt(d) / np.sqrt(2)), abs=0.02)


@pytest.mark.parametrize("false_alarm", [0.01, 0.1, 0.4])
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_false_alarms_are_as_often_as_set(false_alarm, shift):
    """Whether it tells anything (shift 2) or cannot (shift 0)."""
    data = GaussianData(d=2)
    one = LearntDetector(false_alarm=false_alarm, n_real=2000, n_steps=50)
    state = one.learn(SmallLesson(data, known=moved(data, shift, 1.0, 0, 1000, 9)))
    low, high = allowed(1000, false_alarm, 5000)
    assert low <= one.flag(data.rows(0, 5000, NEW), state).sum() <= high


def test_hits_are_those_of_the_best_test_at_that_rate():
    """N(0, 1) against N(2, 1) at false alarms of 0.1: 1 - Phi(z_0.9 - 2) = 0.764, steeply as the threshold moves."""
    data = GaussianData(d=1)
    one = LearntDetector(false_alarm=0.1, n_real=8000, n_synthetic=4000)
    state = one.learn(SmallLesson(data, known=moved(data, 2.0, 1.0, 0, 4000, 9)))
    hits = one.flag(moved(data, 2.0, 1.0, 5000, 10_000, 9), state).mean()
    # The quantile of 4,000 rows has an error of 0.027, the density there is 0.31: 0.008, and 0.006 of counting.
    assert hits == pytest.approx(1 - norm.cdf(norm.ppf(0.9) - 2), abs=0.05)


def test_it_sees_variance_that_was_lost():
    """Same mean, half of the variance: no linear test tells anything. The best one, of |x|^2, hits 0.64 at this rate:
    P(chi^2_20 / 2 < 10.85), 10.85 the 0.05-quantile of chi^2_20."""
    data = GaussianData(d=20)
    one = LearntDetector(n_real=2000, n_synthetic=1000, false_alarm=0.05)
    state = one.learn(SmallLesson(data, known=moved(data, 0.0, np.sqrt(0.5), 0, 1000, 9)))
    assert one.flag(moved(data, 0.0, np.sqrt(0.5), 2000, 3000, 9), state).mean() > 0.5


def blurred(x):
    return np.rint(gaussian_filter(x.astype(float), (0, 0, 0, 0.7, 0.7))).astype(np.uint8)


def test_blurred_digits_are_found():
    source, keys = Digits(), Keys((3,))
    rows = source.rows(0, 1200, keys)
    one = LearntDetector(n_real=500, n_synthetic=300)
    state = one.learn(SmallLesson(source, known=published(blurred(rows.x[:, :300])), real_from=700))
    assert one.flag(published(blurred(rows.x[:, 300:700])), state).mean() > 0.9
    held_out = source.held_out(597)
    low, high = allowed(250, 0.05, 597)
    assert low <= one.flag(held_out, state).sum() <= high


def test_symbols_that_are_gone_are_real():
    """The generations before lost the rarer half of the symbols."""
    source = Zipf(n_symbols=20, exponent=0.5)
    x = source.rows(0, 4000, Keys((9,))).x
    known = published(x[:, x[0, :, 0] < 10])
    one = LearntDetector(false_alarm=0.45, n_real=2000, n_synthetic=1000)
    state = one.learn(SmallLesson(source, known=known))
    every = published(np.arange(20.0)[None, :, None])
    assert not one.flag(every, state)[0, 10:].any()
    score = one.score(every, state)[0]
    assert score[:10].min() > score[10:].max()


def test_sentences_with_other_words_are_found():
    source = Language(n_words=16, length=16, exponent=1.0)
    known = source.rows(0, 1000, Keys((9,))).x
    known = np.where(known >= 12, 0, known)
    one = LearntDetector()
    state = one.learn(SmallLesson(source, known=published(known[:, :500])))
    fresh = source.rows(0, 500, NEW)
    assert one.flag(published(known[:, 500:]), state).mean() > 3 * one.flag(fresh, state).mean()


def test_while_nothing_is_known_it_admits_all():
    data = GaussianData(d=2)
    rows = data.rows(0, 100, NEW)
    one = LearntDetector()
    state = one.learn(SmallLesson(data))
    assert state == {}
    assert not one.flag(rows, state).any()
    assert one.admit(rows, state).weight.tobytes() == rows.weight.tobytes()


def test_flagged_rows_weigh_less_and_no_other():
    data = GaussianData(d=1)
    state = LearntDetector().learn(SmallLesson(data, known=moved(data, 2.0, 1.0, 0, 500, 9)))
    rows = Samples.of(moved(data, 2.0, 1.0, 0, 400, 10).x, weight=np.full((1, 400), 0.5, np.float32))
    flagged = LearntDetector().flag(rows, state)
    assert 0 < flagged.mean() < 1
    assert np.array_equal(LearntDetector().admit(rows, state).weight, np.where(flagged, 0, np.float32(0.5)))
    light = LearntDetector(flagged_weight=0.25).admit(rows, state).weight
    assert np.array_equal(light, np.where(flagged, np.float32(0.125), np.float32(0.5)))


def test_it_learns_the_same_bytes_each_time_and_leaves_torch_alone():
    import torch

    data = GaussianData(d=3)
    lesson = SmallLesson(data, known=moved(data, 1.0, 1.0, 0, 200, 9))
    one = LearntDetector(n_real=200, n_steps=20)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first, n_threads = one.learn(lesson), torch.get_num_threads()
    assert torch.equal(before, torch.random.get_rng_state())
    torch.set_num_threads(2)
    try:
        second = one.learn(lesson)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"false_alarm": 0.0}, "false_alarm=0.0"),
        ({"flagged_weight": -0.5}, "flagged_weight=-0.5"),
        ({"n_real": 20}, "n_real=20"),
        ({"n_synthetic": 0}, "n_synthetic=0"),
        ({"n_steps": 0}, "n_steps=0"),
    ],
)
def test_bad_settings(settings, named):
    with pytest.raises(InvalidInput, match=rf"interventions\.learnt_detector\.{named}"):
        LearntDetector(**settings)
