"""Laws of the watermark: nothing at strength 0, a shift of stated size else, and exact answers for Gaussians."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.fft import dctn
from scipy.stats import norm

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.data import Digits, GaussianData
from mad_ray.interventions import Watermark
from mad_ray.interventions.spread_spectrum import (
    background_of,
    direction,
    image_pattern,
    in_band,
    similarity_quantile,
    sizes,
    whitened,
)
from tests.interventions.lessons import SmallLesson

LOOP = Loop(20, n_synthetic=20)
DIGITS, GAUSSIAN = Digits(), GaussianData(d=50)
KEYS = Keys((1, 2))
BANDS = ("low", "middle", "high", "all")
N = 20_000


def rows_of(data, n: int = 70) -> Samples:
    """Of two trajectories, with weights."""
    samples = data.rows(0, n, KEYS)
    return replace(samples, weight=np.linspace(0, 2, 2 * n, dtype=np.float32).reshape(2, n))


def same(a: Samples, b: Samples) -> bool:
    return all(
        getattr(a, name).tobytes() == getattr(b, name).tobytes() and getattr(a, name).dtype == getattr(b, name).dtype
        for name in ("x", "label", "weight")
    )


def joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}


@pytest.mark.parametrize("data", [DIGITS, GAUSSIAN], ids=["images", "vectors"])
@pytest.mark.parametrize("key", ["fixed", "rotating"])
def test_strength_0_is_the_identity_to_the_byte(data, key):
    mark, rows = Watermark(strength=0, key=key), rows_of(data)
    assert mark.is_identity
    assert same(mark.publish(rows, 1, {}), rows)
    assert not Watermark(strength=0.5).is_identity


@pytest.mark.parametrize("data", [DIGITS, GAUSSIAN], ids=["images", "vectors"])
@pytest.mark.parametrize("key", ["fixed", "rotating"])
def test_it_marks_and_measures_row_by_row_and_changes_x_alone(data, key):
    mark, rows = Watermark(strength=5, key=key), rows_of(data)
    state = mark.learn_once(SmallLesson(data, seeds=(1, 2)))
    marked = mark.publish(rows, 3, state)
    assert not (marked.x == rows.x).all(axis=tuple(range(2, rows.x.ndim))).any(), "a row is as it was"
    assert same(replace(marked, x=rows.x), rows)
    parts = [mark.publish(rows.rows(start, start + 9), 3, state) for start in range(0, 70, 9)]
    np.testing.assert_array_equal(np.concatenate([part.x for part in parts], axis=1), marked.x)
    whole = mark.observe(marked, 3, state)
    split = joined([mark.observe(part, 3, state) for part in parts])
    single = joined([mark.observe(marked.rows(i, i + 1), 3, state) for i in range(70)])
    for name, found in whole.items():
        assert found.shape == (2, 70)
        np.testing.assert_array_equal(split[name], found)
        np.testing.assert_array_equal(single[name], found)


@pytest.mark.parametrize("data", [DIGITS, GAUSSIAN], ids=["images", "vectors"])
@pytest.mark.parametrize("key", ["fixed", "rotating"])
def test_a_trajectory_of_a_cohort_is_measured_as_if_it_were_alone(data, key):
    mark, rows = Watermark(strength=5, key=key), rows_of(data)
    both = mark.observe(rows, 2, mark.learn_once(SmallLesson(data, seeds=(1, 2))))
    alone = mark.observe(rows.trajectory(1), 2, mark.learn_once(SmallLesson(data, seeds=(2,))))
    for name, found in alone.items():
        np.testing.assert_array_equal(found[0], both[name][1])


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16), (1, 28, 28), (2, 20, 9)])
@pytest.mark.parametrize("strength", [2.0, 8.0, 20.0])
def test_the_change_has_the_strength_as_its_root_mean_square(band, shape, strength):
    """Where nothing clips. Rounding moves each pixel by half a grey level at most, so its root mean square too."""
    grey = Samples.of(np.full((1, 2, *shape), 128, np.uint8))
    change = Watermark(strength=strength, band=band).publish(grey, 1, {}).x.astype(float) - grey.x
    assert abs(np.sqrt(np.square(change).mean()) - strength) < 0.5
    assert (change[0, 0] == change[0, 1]).all()


@pytest.mark.parametrize("band", BANDS)
def test_the_pattern_lies_in_its_band_and_is_spread_over_it(band):
    pattern = image_pattern((2, 28, 28), band, 0, 1)
    energy = np.square(dctn(pattern, axes=(1, 2), norm="ortho"))
    carrying = in_band((2, 28, 28), band)
    assert energy[~carrying].max() < 1e-20
    assert not carrying[:, 0, 0].any()
    n = np.count_nonzero(carrying)
    # Squares of normal numbers: of n of them the largest is below 2 ln n + 10 times their mean, but for 1 in 1,000.
    assert energy.max() < (2 * np.log(n) + 10) * energy.sum() / n
    assert np.square(pattern).mean() == pytest.approx(1)


def test_the_three_bands_part_the_frequencies():
    parts = [in_band((1, 28, 28), band) for band in BANDS]
    np.testing.assert_array_equal(parts[0].astype(int) + parts[1] + parts[2], parts[3])
    assert all(part.any() for part in parts)


def test_what_exceeds_the_grey_levels_is_cut_and_never_wraps():
    step = np.rint(60 * image_pattern((1, 8, 8), "all", 0, 0))
    for level in (0, 10, 250, 255):
        x = np.full((1, 1, 1, 8, 8), level, np.uint8)
        found = Watermark(strength=60).publish(Samples.of(x), 1, {}).x
        np.testing.assert_array_equal(found[0, 0], np.clip(level + step, 0, 255))


def test_keys_differ_by_secret_and_rotating_ones_by_generation():
    def pattern(generation: int, **settings) -> np.ndarray:
        grey = Samples.of(np.full((1, 1, 1, 28, 28), 128, np.uint8))
        change = Watermark(strength=20, **settings).publish(grey, generation, {}).x.astype(float) - 128
        return change.ravel() / np.linalg.norm(change)

    one = pattern(1)
    assert pattern(2) @ one == pytest.approx(1)
    others = [pattern(1, secret=1), pattern(1, key="rotating"), pattern(2, key="rotating"), pattern(3, key="rotating")]
    products = np.stack([one, *others]) @ np.stack([one, *others]).T
    # Random directions in 783 dimensions: 5 standard deviations.
    assert np.abs(products - np.eye(5)).max() < 5 / np.sqrt(783)


@pytest.mark.parametrize("strength", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("condition", [1.0, 100.0])
def test_of_gaussian_rows_the_statistic_is_normal_around_the_strength(strength, condition):
    """z ~ N(s / sqrt(u' Sigma u), 1), so it is flagged with probability Phi(mean - z_alpha).

    N = 20,000 rows are marked, and as many calibrate: means within 4.5 standard deviations.
    """
    data = GaussianData(d=50, condition=condition)
    mark = Watermark(strength=strength, n_real=2 * N, false_alarm=0.05, secret=4)
    u = direction(50, 4, 0)
    expected = strength / np.sqrt(u @ data.covariance @ u)
    rows = data.rows(0, N, Keys((3,)))
    found = mark.observe(mark.publish(rows, 1, {}), 1, mark.learn_once(SmallLesson(data)))
    z, flagged = found["mark_z"][0], found["mark_flagged"][0]
    # The calibrating rows' mean and spread have errors of their own.
    assert abs(z.mean() - expected) < 4.5 * np.sqrt((2 + expected**2 / 2) / N)
    assert abs(z.std() - 1) < 4.5 * np.sqrt(1 / N)
    hit_rate = norm.cdf(expected - norm.isf(0.05))
    slope = norm.pdf(expected - norm.isf(0.05)) / norm.pdf(norm.isf(0.05))
    error = np.sqrt((hit_rate * (1 - hit_rate) + slope**2 * 0.05 * 0.95) / N)
    assert abs(flagged.mean() - hit_rate) < 4.5 * error


def test_the_statistic_is_linear_in_what_was_added():
    """Of vectors: marked twice is twice as strong; the mean of 25 marked rows is as strong, and varies a fifth."""
    mark = Watermark(strength=2, n_real=2 * N)
    rows, state = GAUSSIAN.rows(0, 25 * 400, Keys((3,))), mark.learn_once(SmallLesson(GAUSSIAN))
    marked = mark.publish(rows, 1, state)
    z = [mark.observe(s, 1, state)["mark_z"] for s in (rows, marked, mark.publish(marked, 1, state))]
    np.testing.assert_allclose(z[2] - z[1], z[1] - z[0], atol=1e-9)
    averages = Samples.of(marked.x.reshape(1, 400, 25, -1).mean(axis=2))
    found = mark.observe(averages, 1, state)["mark_z"][0]
    assert abs(found.mean() - 2) < 4.5 * np.sqrt(1 / 1e4 + 3 / N)
    assert abs(found.std() * 5 - 1) < 4.5 / np.sqrt(800)


@pytest.mark.parametrize("data", [DIGITS, GAUSSIAN], ids=["images", "vectors"])
def test_a_rotating_mark_is_that_of_its_generation(data):
    """What G^2 published carries key 2, and key 1 no more than anything else does."""
    strength = 30 if data is DIGITS else 6
    mark = Watermark(strength=strength, key="rotating", secret=1)
    state = mark.learn_once(SmallLesson(data))
    marked = mark.publish(data.held_out(200), 2, state)
    at_2, at_3, at_1, at_4 = (mark.observe(marked, t, state) for t in (2, 3, 1, 4))
    assert at_2["mark_flagged"].mean() > 0.9
    np.testing.assert_array_equal(at_3["mark_z_previous"], at_2["mark_z"])
    np.testing.assert_array_equal(at_3["mark_flagged_previous"], at_2["mark_flagged"])
    for found in (at_2["mark_flagged_previous"], at_3["mark_flagged"], at_1["mark_flagged"], at_4["mark_flagged"]):
        assert found.mean() < 0.1
    assert set(Watermark().observe(marked, 2, Watermark().learn_once(SmallLesson(data)))) == {"mark_z", "mark_flagged"}


@pytest.mark.parametrize("band", BANDS)
def test_unmarked_digits_have_z_of_mean_0_and_spread_1(band):
    """597 held-out digits against 350 that calibrate: within 4.5 standard deviations, which a long tail may double."""
    mark = Watermark(band=band, n_real=700)
    z = mark.observe(DIGITS.held_out(597), 1, mark.learn_once(SmallLesson(DIGITS)))["mark_z"][0]
    assert abs(z.mean()) < 4.5 * np.sqrt(1 / 597 + 1 / 350)
    assert abs(z.std() - 1) < 2 * 4.5 * np.sqrt(1 / 1194 + 1 / 700)


def test_z_before_marking_tells_how_much_of_the_mark_was_learnt():
    """Digits that carry half the mark before they are marked, and no clipping: z before is half of what is added."""
    rows = replace(DIGITS.held_out(500), x=DIGITS.held_out(500).x // 2 + 60)
    whole, half = Watermark(strength=16, n_real=700), Watermark(strength=8)
    state = whole.learn_once(SmallLesson(DIGITS))
    learnt = half.publish(rows, 1, state)
    nothing, before, after = (
        whole.observe(s, 1, state)["mark_z"].mean() for s in (rows, learnt, whole.publish(learnt, 1, state))
    )
    # Grey levels are rounded: a few parts in a hundred.
    assert (before - nothing) / (after - before) == pytest.approx(0.5, abs=0.05)


def test_whitening_is_the_inverse_covariance():
    x = np.random.default_rng(0).normal(0, 20, (30, 2, 5, 6)) @ np.random.default_rng(1).normal(size=(6, 6))
    background = background_of(x)
    flat = x.reshape(30, -1)
    covariance = np.cov(flat.T, bias=True)
    noise = np.trace(covariance) / 60 / 16
    expected = flat @ np.linalg.inv(covariance + noise * np.eye(60))
    np.testing.assert_allclose(whitened(flat, background), expected, rtol=1e-8, atol=1e-10)
    centred = (flat - flat.mean(axis=0)) @ np.linalg.inv(covariance + noise * np.eye(60))
    in_frequencies = dctn(centred.reshape(x.shape), axes=(2, 3), norm="ortho")
    in_frequencies[:, :, 0, 0] = 0
    bands = np.stack([in_band((2, 5, 6), band).ravel() for band in ("all", "high")])
    expected = [np.linalg.norm(in_frequencies.reshape(30, -1) * band, axis=1) for band in bands]
    np.testing.assert_allclose(sizes(x, background, bands), np.transpose(expected), rtol=1e-8)


@pytest.mark.parametrize("n_keys", [1, 7])
@pytest.mark.parametrize("n", [2, 10, 63])
def test_random_directions_are_similar_as_often_as_stated(n, n_keys):
    """The largest cosine of n_keys random directions with a vector: 4.5 binomial standard deviations of 20,000."""
    normal = np.random.default_rng(n).standard_normal((N, n_keys, n))
    largest = (normal[:, :, 0] / np.linalg.norm(normal, axis=2)).max(axis=1)
    for rate in (0.001, 0.01, 0.2, 0.7):
        found = (largest > similarity_quantile(n, rate, n_keys)).mean()
        assert abs(found - rate) < 4.5 * np.sqrt(rate * (1 - rate) / N)


def test_whoever_marks_or_measures_again_gets_the_same_bytes():
    mark = Watermark(strength=3, key="rotating")
    lesson, rows = SmallLesson(DIGITS), DIGITS.held_out(50)
    found = [mark.observe(mark.publish(rows, 2, {}), 2, mark.learn_once(lesson)) for _ in range(2)]
    assert all(found[0][name].tobytes() == found[1][name].tobytes() for name in found[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strength": -1}, "strength=-1: expected 0"),
        ({"strength": float("nan")}, "strength=nan: expected 0"),
        ({"strength": float("inf")}, "strength=inf: expected 0"),
        ({"secret": -1}, "secret=-1: expected a whole number"),
        ({"false_alarm": 0}, r"false_alarm=0 is outside \(0, 1\)"),
        ({"false_alarm": 1.0}, r"false_alarm=1.0 is outside \(0, 1\)"),
        ({"n_real": 100}, "n_real=100: half of them calibrate, and a false_alarm of 0.01 needs n_real=197 at least"),
        ({"n_real": 3, "false_alarm": 0.5}, "n_real=3: .* needs n_real=4"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(InvalidInput, match=f"^interventions.watermark.{message}") as caught:
        Watermark(**settings)
    assert "\n" not in str(caught.value)


def test_as_few_real_rows_as_it_says_are_enough():
    Watermark(n_real=197)
    with pytest.raises(InvalidInput, match="n_real=196"):
        Watermark(n_real=196)


@pytest.mark.parametrize(
    ("settings", "event", "message"),
    [
        ({"strength": 0.3}, Event((1, 8, 8), "uint8"), "watermark.strength=0.3: images have whole grey levels"),
        ({"strength": 200}, Event((1, 8, 8), "uint8"), "watermark.strength=200: images have whole grey levels"),
        ({"band": "low"}, Event((1, 3, 3), "uint8"), "watermark.band=low: images of 3x3 have 0 frequencies"),
        ({}, Event((32,), "int32", n_symbols=50), "watermark marks images and vectors.*take interventions.token_mark"),
        ({}, Event((1,), "float64", n_classes=9), "watermark marks images and vectors.*that stand for symbols"),
    ],
)
def test_samples_that_cannot_be_marked_are_refused_in_one_line(settings, event, message):
    with pytest.raises(InvalidInput, match=f"^interventions.{message}") as caught:
        Watermark(**settings).check(event, LOOP, ())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize(
    "event", [Event((1, 8, 8), "uint8", 10), Event((3, 32, 32), "uint8"), GAUSSIAN.event, Event((1,), "float64")]
)
def test_images_as_small_as_digits_and_vectors_are_taken(event, band):
    Watermark(band=band).check(event, LOOP, ())
    Watermark(band=band, strength=0).check(event, LOOP, ())
