"""Laws of the test for marks: false alarms as set, for every key and for many; hits as the mark is strong."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.stats import betabinom, norm

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import NO_LABEL, Samples
from mad_ray.data import Digits, GaussianData, Language
from mad_ray.interventions import Detector, MarkDetector, TokenMark, Watermark
from mad_ray.interventions.calibration import conformal_threshold
from mad_ray.interventions.green import green_lists
from mad_ray.interventions.spread_spectrum import direction
from tests.interventions.lessons import SmallLesson

LOOP = Loop(20, n_synthetic=20)
DIGITS, GAUSSIAN = Digits(), GaussianData(d=50)
LANGUAGE = Language(n_words=200, n_rules=100, exponent=0.3, length=48)
RATES = (0.01, 0.05, 0.2)


@dataclass(frozen=True)
class Kind:
    """Samples of one kind, and the mark for them."""

    data: Any
    mark: Callable[..., Any]
    n_real: int
    n_tested: int
    is_exact: bool
    """Whether false alarms are as many as set, not only as many at most."""


KINDS = {
    "images": Kind(DIGITS, partial(Watermark, strength=16), 700, 597, False),
    "vectors": Kind(GAUSSIAN, partial(Watermark, strength=4), 4000, 2000, True),
    "text": Kind(LANGUAGE, TokenMark, 4000, 2000, False),
}


def lesson(data: Any, *marks: Any, generation: int = 3, seeds: tuple[int, ...] = (3,)) -> SmallLesson:
    return SmallLesson(data, seeds=seeds, generation=generation, others=marks)


def interval(rate: float, n_calibrating: int, n: int) -> tuple[float, float]:
    """99.9 % of how many of n real rows are flagged, given a threshold from n_calibrating others: beta-binomial,

    exactly, whatever the statistic's distribution, if no two rows have the same.
    """
    n_above = int((n_calibrating + 1) * rate + 1e-9)
    law = betabinom(n, n_above, n_calibrating + 1 - n_above)
    return law.ppf(0.0005), law.ppf(0.9995)


def said(mark: TokenMark, n: int, number: int) -> Samples:
    """Sentences that one would get of a model that knows no word from another, and says green ones only."""
    generator, green = np.random.default_rng(0), green_lists(mark.secret, number, mark.gamma, LANGUAGE.n_words)
    x = generator.integers(0, LANGUAGE.n_words, (1, n, LANGUAGE.length), dtype=np.int32)
    for place in range(1, LANGUAGE.length):
        for i in range(n):
            x[0, i, place] = generator.choice(np.flatnonzero(green[x[0, i, place - 1]]))
    return Samples.of(x)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["fixed", "rotating"])
@pytest.mark.parametrize("secret", [0, 1, 2])
def test_unmarked_real_rows_are_flagged_as_often_as_set(kind, rate, key, secret):
    """Held-out ones, by one key and by the largest of five: within the 99.9 % interval of the rate.

    Images have a threshold for rows of no kind as well, and sentences scores that are equal: they may have fewer.
    """
    of = KINDS[kind]
    detector = MarkDetector(false_alarm=rate, n_real=of.n_real)
    state = detector.learn(lesson(of.data, of.mark(key=key, secret=secret), generation=6))
    n_flagged = detector.flag(of.data.held_out(of.n_tested), state).sum()
    low, high = interval(rate, of.n_real // 2, of.n_tested)
    assert n_flagged <= high
    assert n_flagged >= (low if of.is_exact else low / 2)


@pytest.mark.parametrize(("m", "rate"), [(99, 0.01), (50, 0.1), (7, 0.125), (19, 0.3)])
def test_the_threshold_is_exact_for_every_number_of_rows(m, rate):
    """Over 20,000 calibrations: a new row is above it with probability floor((m + 1) rate) / (m + 1)."""
    scores = np.random.default_rng(m).standard_cauchy((20_000, m + 1))
    found = (scores[:, -1] > conformal_threshold(scores[:, :-1], rate)).mean()
    expected = int((m + 1) * rate + 1e-9) / (m + 1)
    assert expected <= rate + 1e-12
    assert abs(found - expected) < 4.5 * np.sqrt(expected * (1 - expected) / 20_000)


@pytest.mark.parametrize("band", ["low", "middle", "high", "all"])
def test_digits_are_found_the_more_the_stronger_their_mark(band):
    """Mean over four keys; most of a digit is background, where half of the mark is cut off.

    8x8 pixels have 12 low frequencies: two keys among so few are often alike, so that the test has to ask for more.
    """
    detector, rates = MarkDetector(n_real=700), []
    for strength in (0.5, 4, 8, 16, 32, 64):
        hits = []
        for secret in range(4):
            mark = Watermark(strength=strength, band=band, secret=secret)
            state = detector.learn(lesson(DIGITS, mark))
            hits.append(detector.flag(mark.publish(DIGITS.held_out(597), 2, {}), state).mean())
        rates.append(np.mean(hits))
    assert rates == sorted(rates)
    assert rates[0] < 0.05
    assert rates[-1] > (0.3 if band == "low" else 0.95)


@pytest.mark.parametrize("strength", [1.0, 2.0, 4.0])
def test_vectors_are_found_as_often_as_stated(strength):
    """N(0, I): Phi(s - z_alpha); 20,000 marked against 20,000 that calibrate, 4.5 standard deviations."""
    mark, n = Watermark(strength=strength), 20_000
    detector = MarkDetector(n_real=2 * n, false_alarm=0.05)
    found = detector.flag(mark.publish(GAUSSIAN.rows(0, n, Keys((8,))), 2, {}), detector.learn(lesson(GAUSSIAN, mark)))
    rate = norm.cdf(strength - norm.isf(0.05))
    slope = norm.pdf(strength - norm.isf(0.05)) / norm.pdf(norm.isf(0.05))
    assert abs(found.mean() - rate) < 4.5 * np.sqrt((rate * (1 - rate) + slope**2 * 0.05 * 0.95) / n)


def test_green_sentences_are_found():
    mark, detector = TokenMark(key="rotating"), MarkDetector()
    sentences = said(mark, 100, 2)
    assert detector.flag(sentences, detector.learn(lesson(LANGUAGE, mark, generation=3))).mean() > 0.95
    assert detector.flag(sentences, detector.learn(lesson(LANGUAGE, mark, generation=2))).mean() < 0.1
    other = TokenMark(key="rotating", secret=1)
    assert detector.flag(sentences, detector.learn(lesson(LANGUAGE, other, generation=3))).mean() < 0.1


def test_a_wrong_key_finds_in_vectors_what_two_directions_share():
    """z ~ N(s u.v, 1): of other directions in 50 dimensions that is next to nothing."""
    n, marked = 10_000, Watermark(strength=4).publish(GAUSSIAN.rows(0, 10_000, Keys((8,))), 2, {})
    detector = MarkDetector(n_real=2 * n, false_alarm=0.05)
    for secret in range(1, 6):
        found = detector.flag(marked, detector.learn(lesson(GAUSSIAN, Watermark(secret=secret)))).mean()
        mean = 4 * direction(50, 0, 0) @ direction(50, secret, 0)
        rate = norm.cdf(mean - norm.isf(0.05))
        assert abs(found - rate) < 4.5 * np.sqrt((rate * (1 - rate) + 2 * 0.05 * 0.95) / n)


def test_a_wrong_key_finds_nothing_in_images():
    """Digits marked strongly by another key: mean over 40 pairs of keys. A pair of keys finds all or none of 63

    frequencies' worth of similarity, so that the mean has a standard deviation of sqrt(rate / 40) at worst.
    """
    rate, found = 0.05, []
    for secret in range(40):
        marked = Watermark(strength=32, secret=secret).publish(DIGITS.held_out(100), 2, {})
        detector = MarkDetector(false_alarm=rate, n_real=300)
        found.append(detector.flag(marked, detector.learn(lesson(DIGITS, Watermark(secret=secret + 100)))).mean())
    assert np.mean(found) < rate + 3.3 * np.sqrt(rate / 40)


def test_what_is_only_odd_is_not_taken_for_marked():
    """Noise, negatives, and all grey images, of which no detector has seen any: mean over 40 keys, as above."""
    digits, noise = DIGITS.held_out(40).x, np.random.default_rng(0).integers(0, 256, (1, 40, 1, 8, 8))
    noisy = np.clip(digits + noise // 8, 0, 255)
    odd = Samples.of(np.concatenate([noise, 255 - digits, noisy, np.full_like(digits, 90)], axis=1).astype(np.uint8))
    rate, found = 0.05, []
    for secret in range(40):
        detector = MarkDetector(false_alarm=rate, n_real=300)
        found.append(detector.flag(odd, detector.learn(lesson(DIGITS, Watermark(secret=secret))))[0])
    assert np.reshape(found, (40, 4, 40)).mean(axis=(0, 2)).max() < rate + 3.3 * np.sqrt(rate / 40)


def test_a_row_that_is_the_mean_of_all_is_not_flagged():
    detector = MarkDetector(n_real=4, false_alarm=0.4)
    same = Samples.of(np.full((1, 6, 1, 8, 8), 7, np.uint8))

    class Same(SmallLesson):
        def real(self, n: int) -> Samples:
            return same.rows(0, n)

    assert not detector.flag(same, detector.learn(Same(DIGITS, others=(Watermark(),)))).any()


@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_rotating_keys_are_found_once_they_were_used_and_all_that_were(kind):
    of = KINDS[kind]
    mark = of.mark(key="rotating", strength=40 if kind == "images" else 8)
    detector = MarkDetector(n_real=of.n_real)
    published = {t: mark.publish(of.data.held_out(200), t, {}) for t in (1, 2, 3)}
    for generation in (1, 2, 3, 4):
        state = detector.learn(lesson(of.data, mark, generation=generation))
        for t, samples in published.items():
            found = detector.flag(samples, state).mean()
            assert found > 0.95 if t < generation else found < 0.1, (generation, t)


@pytest.mark.parametrize("kind", KINDS)
def test_before_any_key_was_used_nobody_is_flagged(kind):
    of = KINDS[kind]
    rows, detector = of.data.held_out(50), MarkDetector()
    state = detector.learn(lesson(of.data, of.mark(), generation=1))
    assert not detector.flag(rows, state).any()
    np.testing.assert_array_equal(detector.admit(rows, state).weight, rows.weight)


@pytest.mark.parametrize("mark", [Watermark(strength=0), TokenMark(delta=0)], ids=["images", "text"])
def test_a_mark_of_strength_0_leaves_false_alarms(mark):
    data = DIGITS if isinstance(mark, Watermark) else LANGUAGE
    detector = MarkDetector(false_alarm=0.2)
    rows = data.held_out(500)
    found = detector.flag(rows, detector.learn(lesson(data, mark)))
    assert 0 < found.sum() <= interval(0.2, 250, 500)[1]


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_flagged_rows_keep_the_stated_share_of_their_weight(weight):
    mark, detector = Watermark(strength=40), MarkDetector(flagged_weight=weight)
    assert detector.is_identity == (weight == 1)
    state = detector.learn(lesson(DIGITS, mark))
    rows = mark.publish(DIGITS.held_out(100), 1, {})
    given = replace(rows, weight=np.linspace(0, 3, 100, dtype=np.float32)[None])
    found, flagged = detector.admit(given, state), detector.flag(given, state)
    assert 0.5 < flagged.mean() <= 1
    np.testing.assert_array_equal(found.weight, given.weight * np.where(flagged, np.float32(weight), np.float32(1)))
    assert found.weight.dtype == np.float32
    assert found.x is given.x
    assert (found.label == given.label).all()
    assert (found.label != NO_LABEL).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["fixed", "rotating"])
def test_flags_depend_on_neither_batch_nor_cohort(kind, key):
    of = KINDS[kind]
    mark, detector = of.mark(key=key), MarkDetector(false_alarm=0.2)
    rows = of.data.rows(0, 90, Keys((1, 2)))
    state = detector.learn(lesson(of.data, mark, seeds=(1, 2)))
    alone = detector.learn(lesson(of.data, mark, seeds=(2,)))
    flagged = detector.flag(rows, state)
    assert flagged.shape == (2, 90)
    assert flagged.dtype == bool
    parts = [detector.flag(rows.rows(start, start + 7), state) for start in range(0, 90, 7)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), flagged)
    np.testing.assert_array_equal(detector.flag(rows.trajectory(1), alone)[0], flagged[1])
    assert all(isinstance(array, np.ndarray) and len(array) == 2 for array in state.values())
    assert all(array.tobytes() == state[name][1:].tobytes() for name, array in alone.items())


def test_two_marks_are_both_looked_for():
    """And false alarms of both together are still as set."""
    one, two = Watermark(strength=6, secret=1), Watermark(strength=6, secret=2)
    detector = MarkDetector(false_alarm=0.05, n_real=4000)
    state = detector.learn(lesson(GAUSSIAN, one, Detector(), two))
    real = GAUSSIAN.held_out(2000)
    for mark in (one, two):
        assert detector.flag(mark.publish(real, 1, {}), state).mean() > 0.95
    low, high = interval(0.05, 2000, 2000)
    assert low <= detector.flag(real, state).sum() <= high


def test_marks_in_several_bands_are_both_looked_for():
    high, low = Watermark(strength=40, band="high"), Watermark(strength=60, band="middle", key="rotating", secret=3)
    detector = MarkDetector(n_real=700)
    state = detector.learn(lesson(DIGITS, high, low))
    real = DIGITS.held_out(597)
    for mark in (high, low):
        alone = detector.flag(mark.publish(real, 1, {}), detector.learn(lesson(DIGITS, mark))).mean()
        assert detector.flag(mark.publish(real, 1, {}), state).mean() > alone - 0.1 > 0.8
    assert detector.flag(real, state).sum() <= interval(0.01, 350, 597)[1]


@pytest.mark.parametrize("others", [(), (Detector(), MarkDetector())])
@pytest.mark.parametrize(("data", "name"), [(DIGITS, "watermark"), (GAUSSIAN, "watermark"), (LANGUAGE, "token_mark")])
def test_a_mark_that_nobody_sets_is_refused_in_one_line(others, data, name):
    with pytest.raises(InvalidInput) as caught:
        MarkDetector().check(data.event, LOOP, others)
    line = f"interventions.mark_detector: no watermark is set; add interventions.{name}, or remove it"
    assert str(caught.value) == line
    MarkDetector().check(data.event, LOOP, (*others, Watermark()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"false_alarm": 0.0}, r"false_alarm=0.0 is outside \(0, 1\)"),
        ({"false_alarm": 1}, r"false_alarm=1 is outside \(0, 1\)"),
        ({"false_alarm": 0.001}, "n_real=500: .* a false_alarm of 0.001 needs n_real=1,997 at least"),
        ({"flagged_weight": -0.1}, r"flagged_weight=-0.1 is outside \[0, 1\]"),
        ({"flagged_weight": 2}, r"flagged_weight=2 is outside \[0, 1\]"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(InvalidInput, match=f"^interventions.mark_detector.{message}") as caught:
        MarkDetector(**settings)
    assert "\n" not in str(caught.value)


def test_as_few_real_rows_as_it_says_are_enough():
    MarkDetector(false_alarm=0.001, n_real=1997)
    with pytest.raises(InvalidInput, match="n_real=1996"):
        MarkDetector(false_alarm=0.001, n_real=1996)
