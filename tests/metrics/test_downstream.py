"""Classifiers trained on samples: what they are worth, by closed forms and by what must change nothing."""

import numpy as np
import pytest

from mad_ray.core.keys import Keys
from mad_ray.metrics.downstream import BINS, calibration_error, probabilities, score, train_classifier
from mad_ray.metrics.lenet import train_lenet

KEYS = Keys((3,))


def blobs(n: int, seed: int = 0, n_classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """n rows around the corners of a simplex, spread 0.5: far apart, but not separable."""
    random = np.random.default_rng(seed)
    label = np.arange(n) % n_classes
    return 2.5 * np.eye(n_classes)[label] + 0.5 * random.standard_normal((n, n_classes)), label


def weights(n: int) -> np.ndarray:
    return np.ones(n, np.float32)


def same(first, second) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def test_real_images_train_a_good_classifier_and_shuffled_labels_none(digits):
    x, label = digits[0][:600], digits[1][:600]
    held, truth = digits[0][1200:], digits[1][1200:]
    good = train_classifier(x, label, weights(600), 10, KEYS)
    assert score(probabilities(good, held), truth).accuracy > 0.9
    shuffled = np.random.default_rng(1).permutation(label)
    bad = score(probabilities(train_classifier(x, shuffled, weights(600), 10, KEYS), held), truth)
    assert 0.02 < bad.accuracy < 0.2
    assert bad.nll > 2


def test_vectors_are_classified_as_well_as_can_be():
    """Equal covariances: logistic regression is the right model, whose accuracy is that of the nearest centre."""
    x, label = blobs(6000)
    held, truth = blobs(6000, seed=1)
    nearest = np.square(held[:, None] - 2.5 * np.eye(3)).sum(axis=2).argmin(axis=1)
    found = score(probabilities(train_classifier(x, label, weights(6000), 3, KEYS), held), truth)
    assert found.accuracy == pytest.approx((nearest == truth).mean(), abs=0.005)
    assert found.ece < 0.02


@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_rows_of_weight_zero_or_without_label_are_no_rows(digits, kind):
    x, label = (digits[0][:90], digits[1][:90]) if kind == "images" else blobs(90)
    n_classes = 10 if kind == "images" else 3
    weight, given = weights(90), label.copy()
    weight[::3], given[1::3] = 0, -1
    kept = np.arange(90) % 3 == 2
    fewer = train_classifier(x[kept], label[kept], weight[kept], n_classes, KEYS)
    assert same(train_classifier(x, given, weight, n_classes, KEYS), fewer)


def test_nothing_to_learn_from_is_no_classifier():
    x, label = blobs(6)
    assert train_classifier(x, label, 0 * weights(6), 3, KEYS) is None
    assert train_classifier(x, np.full(6, -1), weights(6), 3, KEYS) is None


def test_equal_weights_are_the_bytes_of_none(digits):
    x, label = digits[0][:100], digits[1][:100]
    plain = train_lenet(x, label, 10, KEYS, epochs=3)
    assert same(plain, train_lenet(x, label, 10, KEYS, epochs=3, weight=weights(100)))
    assert same(plain, train_lenet(x, label, 10, KEYS, epochs=3, weight=np.full(100, 0.3, np.float32)))
    unequal = np.where(label < 5, 1.0, 0.1).astype(np.float32)
    assert not same(plain, train_lenet(x, label, 10, KEYS, epochs=3, weight=unequal))


def test_weights_count_as_rows_do():
    """A logistic regression on rows of weight 2 is the one on rows that stand twice."""
    x, label = blobs(60)
    weight = weights(60)
    weight[:20] = 2
    twice = np.concatenate([x, x[:20]]), np.concatenate([label, label[:20]])
    weighted = probabilities(train_classifier(x, label, weight, 3, KEYS), x)
    assert weighted == pytest.approx(probabilities(train_classifier(*twice, weights(80), 3, KEYS), x), abs=1e-6)


def test_light_classes_are_learnt_less(digits):
    """Confused labels: half say 0, half say 1; the heavier half is believed."""
    x, label = digits[0][:400], digits[1][:400]
    ones = np.tile(x[label == 1][:1], (100, 1, 1, 1))
    told = np.arange(100) % 2
    heavy = np.where(told == 1, 9.0, 1.0).astype(np.float32)
    p = probabilities(train_classifier(ones, told, heavy, 2, KEYS), ones[:1])
    assert p[0, 1] == pytest.approx(0.9, abs=0.05)


def test_the_order_of_rows_changes_no_logistic_regression():
    x, label = blobs(90)
    order = np.random.default_rng(0).permutation(90)
    found = [probabilities(train_classifier(x[o], label[o], weights(90), 3, KEYS), x) for o in (np.arange(90), order)]
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_a_row_is_classified_alike_in_any_company(digits):
    for x, label, c in ((digits[0][:90], digits[1][:90], 10), (*blobs(90), 3)):
        state = train_classifier(x, label, weights(90), c, KEYS)
        assert np.array_equal(probabilities(state, x)[40:50], probabilities(state, x[40:50]))


def test_the_same_bytes_twice(digits):
    x, label = digits[0][:80], digits[1][:80]
    first, second = (train_classifier(x, label, weights(80), 10, KEYS) for _ in range(2))
    assert same(first, second)


def test_scores_of_a_constant_predictor():
    """It says (0.7, 0.2, 0.1) of everything: accuracy is the share of class 0, and the rest follows by hand."""
    label = np.repeat([0, 1, 2], [50, 30, 20])
    p = np.tile([0.7, 0.2, 0.1], (100, 1))
    found = score(p, label)
    assert found.accuracy == 0.5
    assert found.of_class.tolist() == [1, 0, 0]
    assert found.nll == pytest.approx(-(0.5 * np.log(0.7) + 0.3 * np.log(0.2) + 0.2 * np.log(0.1)))
    assert found.ece == pytest.approx(0.2)


def test_scores_do_not_depend_on_the_order_of_samples():
    random = np.random.default_rng(0)
    p, label = random.dirichlet(np.ones(4), 200), random.integers(4, size=200)
    order = random.permutation(200)
    first, second = score(p, label), score(p[order], label[order])
    assert first.nll == pytest.approx(second.nll)
    assert first.ece == pytest.approx(second.ece)
    assert np.array_equal(first.of_class, second.of_class)


def test_a_class_without_samples_has_no_accuracy():
    of_class = score(np.tile([0.5, 0.3, 0.2], (4, 1)), np.array([0, 0, 1, 1])).of_class
    assert of_class[:2].tolist() == [1, 0]
    assert np.isnan(of_class[2])


def test_certain_and_wrong_has_a_finite_loss():
    found = score(np.array([[1.0, 0.0]]), np.array([1]))
    assert found.nll == pytest.approx(87.3, abs=0.1)
    assert found.ece == 1


def test_calibration_error_by_bins():
    """Two bins: 0.6 of which all are right, and 1.0 of which half are."""
    p = np.array([[0.6, 0.4]] * 4 + [[1.0, 0.0]] * 4)
    label = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    assert calibration_error(p, label) == pytest.approx(0.5 * 0.4 + 0.5 * 0.5)
    assert calibration_error(p, label, bins=1) == pytest.approx(abs(0.75 - 0.8))


def test_who_is_right_as_often_as_it_says_is_calibrated():
    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(3), 20_000)
    label = (random.random((20_000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    assert calibration_error(p, label) < 0.02
    assert calibration_error(p, 2 - label) > 0.1
    assert BINS == 15


def test_large_images_are_classified_as_their_block_means(digits):
    """Digits enlarged to 64 x 64 pixels come down to the 32 x 32 that they are enlarged from."""
    x, label = digits[0][:120].repeat(4, axis=2).repeat(4, axis=3), digits[1][:120]
    twice = x.repeat(2, axis=2).repeat(2, axis=3)
    small, large = (train_classifier(images, label, weights(120), 10, KEYS) for images in (x, twice))
    assert x.shape[1:] == (1, 32, 32)
    assert same(small, large)
    assert np.array_equal(probabilities(small, x), probabilities(small, twice))
    uneven = np.pad(twice, ((0, 0), (0, 0), (0, 0), (0, 1)))
    assert tuple(train_classifier(uneven[:20], label[:20], weights(20), 10, KEYS)["image"]) == (1, 21, 21)
