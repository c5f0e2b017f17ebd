"""Cherry-picking: what is kept of a Gaussian has the variance of the inner ball; scores order rows as they should."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Samples
from mad_ray.data.analytic import GaussianData
from mad_ray.data.digits import Digits
from mad_ray.data.language import Language
from mad_ray.data.zipf import Zipf
from mad_ray.interventions import scores
from mad_ray.interventions.cherry_pick import CherryPick, matching_bias
from tests.interventions.lessons import SmallLesson

LOOP = Loop(10, n_synthetic=10)


def scored(one, source, x):
    return one.score(Samples.of(x), one.learn_once(SmallLesson(source)))[0]


@pytest.mark.parametrize("d", [1, 2, 10])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_the_likeliest_share_of_a_gaussian_has_the_variance_of_the_inner_ball(share, d):
    """40,000 candidates: of the kept ones' variances, averaged over coordinates, the error is below
    sqrt(2 / (d 40,000 share)) = 0.016 of each at worst; 4.5 of these. The score learns from 20,000 rows."""
    data = GaussianData(d=d)
    x = data.rows(0, 40_000, Keys((5,))).x
    score = scored(CherryPick(share=share, n_real=20_000), data, x)
    kept = x[0][score >= np.quantile(score, 1 - share)]
    bias = matching_bias(share, d)
    assert kept.var(axis=0).mean() == pytest.approx(bias, rel=4.5 * np.sqrt(2 / (d * 40_000 * share)))
    assert np.abs(kept.mean(axis=0)).max() < 0.05


def test_the_matching_bias_by_quadrature():
    """In one dimension the inner share is an interval: its second moment, integrated."""
    from scipy.integrate import quad
    from scipy.stats import norm

    for share in (0.1, 0.5, 0.99):
        edge = norm.ppf((1 + share) / 2)
        second = quad(lambda x: x * x * norm.pdf(x), -edge, edge)[0] / share
        assert matching_bias(share, 1) == pytest.approx(second, rel=1e-9)


def test_the_matching_bias_is_1_for_all_and_rises_with_the_share_and_the_dimension():
    assert matching_bias(1.0, 3) == 1
    assert np.all(np.diff([matching_bias(s, 3) for s in np.linspace(0.05, 1, 20)]) > 0)
    assert np.all(np.diff([matching_bias(0.5, d) for d in (1, 2, 5, 20, 100)]) > 0)
    with pytest.raises(InvalidInput, match="share=0"):
        matching_bias(0.0, 3)


def test_the_likelihood_is_the_density_of_the_fitted_gaussian():
    data = GaussianData(d=4, correlation=0.7, condition=10)
    lesson, one = SmallLesson(data), CherryPick(n_real=300)
    x = data.rows(0, 50, Keys((1,))).x
    real = lesson.real(300).x[0]
    exact = multivariate_normal(real.mean(axis=0), np.cov(real.T)).logpdf(x[0])
    assert np.allclose(one.score(Samples.of(x), one.learn_once(lesson))[0], exact, rtol=1e-9)


def test_probabilistic_pca_is_a_gaussian_with_two_kinds_of_axes():
    rows = np.random.default_rng(0).normal(size=(200, 6)) * [4, 3, 2, 1, 1, 1]
    value, vector = np.linalg.eigh(np.cov(rows.T))
    of_axis = np.concatenate([np.full(4, value[:4].mean()), value[4:]])
    exact = multivariate_normal(rows.mean(axis=0), (vector * of_axis) @ vector.T).logpdf(rows)
    assert np.allclose(scores.log_likelihood(scores.gaussian(rows, 2), rows), exact, rtol=1e-9)


def blend(x, label):
    """Halves of two digits that differ."""
    other = np.array([np.flatnonzero(label[0] != c)[i % 97] for i, c in enumerate(label[0])])
    return np.rint((x.astype(float) + x[:, other]) / 2).astype(np.uint8)


def shuffled(x, label):
    """Their pixels at other places: classifiers may be sure of such, so it is no test of confidence."""
    return np.random.default_rng(0).permuted(x.reshape(len(label[0]), -1), axis=1).reshape(x.shape)


@pytest.mark.parametrize(
    ("by", "spoilt"),
    [("likelihood", shuffled), ("nearest_real", shuffled), ("confidence", blend)],
)
def test_spoilt_digits_are_worse(by, spoilt):
    source, one = Digits(), CherryPick(by=by)
    one.check(source.event, LOOP, ())
    rows = source.held_out(597)
    good, bad = scored(one, source, rows.x), scored(one, source, spoilt(rows.x, rows.label))
    assert np.mean(good[:, None] > bad[None, :]) > 0.9


def test_confident_digits_are_those_classified_rightly():
    """The more confident half of held-out digits has fewer errors than the other half; there are some."""
    source, one = Digits(), CherryPick(by="confidence", n_real=150, n_steps=200)
    state, held_out = one.learn_once(SmallLesson(source)), source.held_out(597)
    score = one.score(held_out, state)[0]
    alone = {name: value[0] for name, value in state.items()}
    logits = scores.net_logits(alone, (held_out.x[0].reshape(597, 64) / 255).astype(np.float32))
    wrong = logits.argmax(axis=1) != held_out.label[0]
    better = score > np.median(score)
    assert wrong.mean() < 0.3
    assert wrong[better].sum() < wrong[~better].sum() / 3
    exact = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(axis=1, keepdims=True)
    assert np.allclose(np.exp(score), exact.max(axis=1), atol=1e-9)


def test_the_nearest_real_row_against_the_slow_way():
    source, one = Digits(), CherryPick(by="nearest_real", n_real=100)
    lesson = SmallLesson(source)
    real, x = lesson.real(100).x[0] / 255, source.held_out(20).x
    slow = [-min(np.sqrt(((row / 255 - other) ** 2).sum()) for other in real) for row in x[0]]
    assert np.allclose(one.score(Samples.of(x), one.learn_once(lesson))[0], slow, rtol=1e-12)


def test_sentences_that_break_rules_are_worse():
    source, one = Language(n_words=16, n_rules=4, length=16), CherryPick()
    one.check(source.event, LOOP, ())
    x = source.rows(0, 300, Keys((5,))).x
    broken = np.random.default_rng(0).permuted(x, axis=2)
    assert np.mean(scored(one, source, x) > scored(one, source, broken)) > 0.95


def test_pairs_are_counted_with_one_more():
    learnt = scores.successions(np.array([[0, 1, 1], [0, 1, 0]]), 2)
    found = scores.log_likelihood(learnt, np.array([[0, 1, 0], [1, 0, 0]]))
    # first: 3/4 and 1/4; after 0: (1, 3)/4; after 1: (2, 2)/4.
    assert np.allclose(np.exp(found), [3 / 4 * 3 / 4 * 1 / 2, 1 / 4 * 1 / 2 * 1 / 4])


def test_common_symbols_are_likelier():
    source = Zipf(n_symbols=5)
    score = scored(CherryPick(n_real=4000), source, np.arange(5.0)[None, :, None])
    assert np.all(np.diff(score) < 0)
    # Standard errors of log shares of 4,000 rows are below 0.05.
    assert np.allclose(score, np.log(source.probabilities), atol=0.2)


@pytest.mark.parametrize(
    ("settings", "source", "says"),
    [
        ({"by": "confidence"}, GaussianData(d=2), "needs labels"),
        ({"by": "confidence"}, Zipf(), "needs labels"),
        ({"by": "nearest_real"}, Language(), "needs distances"),
        ({"by": "nearest_real"}, Zipf(), "needs distances"),
        ({"n_real": 20}, GaussianData(d=20), "raise n_real"),
        ({}, Language(n_words=2000), "2000"),
    ],
)
def test_scores_that_mean_nothing_are_refused(settings, source, says):
    with pytest.raises(InvalidInput, match=rf"^interventions\.cherry_pick\.by=.*{says}"):
        CherryPick(**settings).check(source.event, LOOP, ())


@pytest.mark.parametrize(("settings", "named"), [({"share": 0.0}, "share=0.0"), ({"share": 1.5}, "share=1.5")])
def test_bad_settings(settings, named):
    with pytest.raises(InvalidInput, match=rf"interventions\.cherry_pick\.{named}"):
        CherryPick(**settings)
