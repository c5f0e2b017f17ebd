"""Self-correction: samples move a known part of the way to the nearest centre of the real data."""

import numpy as np
import pytest

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Samples
from mad_ray.data.analytic import GaussianData
from mad_ray.data.digits import Digits
from mad_ray.data.language import Language
from mad_ray.data.modes import Modes
from mad_ray.data.zipf import Zipf
from mad_ray.interventions.self_correction import SelfCorrection, k_means
from tests.interventions.lessons import SmallLesson


def corrected(one, source, samples):
    return one.publish(samples, 1, one.learn_once(SmallLesson(source)))


def test_the_formula():
    one = SelfCorrection(gamma=3.0, n_centres=2)
    rows = Samples.of(np.array([[[1.0, 0.0], [9.0, 4.0]]]))
    state = {"centre": np.array([[[0.0, 0.0], [10.0, 0.0]]])}
    assert np.allclose(one.publish(rows, 1, state).x, [[[0.25, 0.0], [9.75, 1.0]]])


def test_of_one_centre_the_variance_shrinks_by_the_square():
    """K = 1: x' - centre = (x - centre) / (1 + gamma), whatever x is."""
    data = GaussianData(d=3)
    rows = data.rows(0, 500, Keys((0,)))
    after = corrected(SelfCorrection(gamma=0.5, n_centres=1), data, rows)
    assert np.allclose(after.x.var(axis=1), rows.x.var(axis=1) / 1.5**2)
    assert np.allclose(SmallLesson(data).real(500).x.mean(axis=1), 3 * after.x.mean(axis=1) - 2 * rows.x.mean(axis=1))


def test_of_infinite_strength_only_centres_are_left():
    data = Modes(side=2)
    one = SelfCorrection(gamma=1e12, n_centres=4)
    state = one.learn_once(SmallLesson(data))
    after = one.publish(data.rows(0, 200, Keys((0,))), 1, state).x[0]
    assert len(np.unique(np.round(after, 6), axis=0)) == 4
    # Some 125 rows of spread 0.1 make a centre: five errors of their mean.
    assert np.abs(np.sort(state["centre"][0], axis=0) - np.sort(data.centres, axis=0)).max() < 0.05


def test_digits_come_nearer_to_real_ones():
    source = Digits()
    rows = source.rows(0, 300, Keys((3,)))
    noisy = np.clip(rows.x + np.random.default_rng(0).normal(0, 80, rows.x.shape), 0, 255).astype(np.uint8)
    after = corrected(SelfCorrection(gamma=1.0, n_centres=40), source, Samples.of(noisy, rows.label))
    assert after.x.dtype == np.uint8
    assert np.array_equal(after.label, rows.label)
    before = np.abs(noisy.astype(float) - rows.x).mean()
    assert np.abs(after.x.astype(float) - rows.x).mean() < 0.8 * before


def test_grey_levels_are_rounded():
    one = SelfCorrection(gamma=1.0, n_centres=1)
    state = {"centre": np.full((1, 1, 64), 101.0)}
    x = np.full((1, 2, 1, 8, 8), 200, np.uint8)
    # 150.5 to the even one.
    assert (one.publish(Samples.of(x), 1, state).x == 150).all()


def test_centres_are_the_means_of_the_real_rows_nearest_to_them():
    lesson = SmallLesson(Digits())
    one = SelfCorrection(n_centres=10, n_real=300)
    centre = one.learn_once(lesson)["centre"][0]
    rows = lesson.real(300).x[0].reshape(300, 64).astype(float)
    nearest = ((rows[:, None] - centre[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert np.allclose(centre, [rows[nearest == i].mean(axis=0) for i in range(10)])


def test_k_means_is_addressed():
    rows = Digits().rows(0, 200, Keys((0,))).x[0].reshape(200, 64).astype(float)
    first, again, other = (k_means(rows, 10, Keys((0, 0)).at(b).generator(0, "centres")) for b in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.filterwarnings("error")
def test_k_means_of_copies_is_one_point():
    assert np.array_equal(k_means(np.ones((20, 2)), 4, np.random.default_rng(0)), np.ones((4, 2)))


@pytest.mark.parametrize("source", [Zipf(), Language()])
def test_symbols_have_no_mean(source):
    with pytest.raises(InvalidInput, match=r"^interventions\.self_correction .*use images or vectors"):
        SelfCorrection().check(source.event, Loop(10, n_synthetic=10), ())


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"gamma": -1.0}, "gamma=-1.0"), ({"n_centres": 0}, "n_centres=0"), ({"n_real": 3}, "n_cen")],
)
def test_bad_settings(settings, named):
    with pytest.raises(InvalidInput, match=rf"interventions\.self_correction\.{named}"):
        SelfCorrection(**settings)
