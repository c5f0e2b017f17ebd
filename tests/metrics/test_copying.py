"""Copies and classes: closed forms, directions, and slow oracles."""

import numpy as np
import pytest

from mad_ray.metrics.classes import class_neighbours, classes_alive
from mad_ray.metrics.copying import authenticity, copying, nearest
from mad_ray.metrics.neighbours import neighbours


def normal(n: int, d: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def test_nearest_is_what_differences_say():
    x, rows = normal(50), normal(70, seed=1)
    squared = np.square(x[:, None] - rows).sum(axis=2)
    distance, index = nearest(x, rows)
    assert np.array_equal(index, squared.argmin(axis=1))
    assert distance == pytest.approx(np.sqrt(squared.min(axis=1)))
    np.fill_diagonal(own := np.square(rows[:, None] - rows).sum(axis=2), np.inf)
    assert nearest(rows, rows, skip_self=True)[0] == pytest.approx(np.sqrt(own.min(axis=1)))


def test_nearest_far_from_the_origin_finds_copies_exactly():
    rows = normal(300) + 1e6
    assert np.array_equal(nearest(rows[::-1], rows)[0], np.zeros(300))


def test_nearest_in_pieces(monkeypatch):
    x, rows = normal(50), normal(70, seed=1)
    whole = nearest(x, rows)
    monkeypatch.setattr("mad_ray.metrics.copying._TILE", 300)
    assert all(map(np.array_equal, nearest(x, rows), whole))


def test_copies_are_at_no_distance():
    training = normal(200)
    held = normal(200, seed=1)
    assert copying(synthetic=training[:50], held_out=held, training=training) == 0
    assert authenticity(synthetic=training[:50], training=training) == 0


def test_fresh_real_samples_are_as_far_as_held_out_ones():
    training, held, fresh = normal(1000), normal(1000, seed=1), normal(1000, seed=2)
    assert copying(synthetic=fresh, held_out=held, training=training) == pytest.approx(1, abs=0.05)
    assert authenticity(synthetic=fresh, training=training) == pytest.approx(0.5, abs=0.08)
    assert copying(synthetic=held, held_out=held, training=training) == 1


def test_blurred_copies_are_found_the_closer_the_less_they_are_blurred():
    training, held = normal(500), normal(500, seed=1)
    usual = np.median(nearest(held, training)[0])
    found = []
    for blur in (0.05, 0.1, 0.2, 0.4):
        blurred = training + blur * normal(500, seed=2)
        found.append(copying(synthetic=blurred, held_out=held, training=training))
        # Hardly any is nearer to another row.
        if blur <= 0.1:
            assert found[-1] == pytest.approx(np.median(np.linalg.norm(blurred - training, axis=1)) / usual, rel=0.01)
    assert sorted(found) == found
    assert found[-1] < 1


def test_distances_have_no_unit():
    a, b, c = normal(100), normal(100, seed=1), normal(100, seed=2)
    first = copying(synthetic=a, held_out=b, training=c)
    assert first == pytest.approx(copying(synthetic=7 * a + 3, held_out=7 * b + 3, training=7 * c + 3))


def test_without_rows_nothing_is_known():
    none, some = np.empty((0, 6)), normal(9)
    assert np.isnan(copying(synthetic=some, held_out=some, training=none))
    assert np.isnan(copying(synthetic=some, held_out=some, training=some))
    assert np.isnan(authenticity(synthetic=some, training=some[:1]))


def labelled(n: int, offset: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three classes far apart."""
    label = np.arange(n) % 3
    return normal(n, 3, seed) + 100 * np.eye(3)[label] + offset, label


def test_a_class_is_measured_as_if_it_were_alone():
    real, real_label = labelled(90)
    drawn, label = labelled(90, seed=1)
    precision, recall = class_neighbours(
        real=real, real_label=real_label, synthetic=drawn, synthetic_label=label, n_classes=3, k=3
    )
    for c in range(3):
        alone = neighbours(real=real[real_label == c], synthetic=drawn[label == c], k=3)
        assert (precision[c], recall[c]) == (alone.precision, alone.recall)


def test_samples_of_the_wrong_class_are_not_precise():
    """All in all they are as good as real ones; class by class, none is."""
    real, real_label = labelled(90)
    drawn, label = labelled(90, seed=1)
    wrong = (label + 1) % 3
    found = {"real": real, "real_label": real_label, "synthetic": drawn, "n_classes": 3, "k": 3}
    precision, recall = class_neighbours(**found, synthetic_label=wrong)
    assert precision.tolist() == recall.tolist() == [0, 0, 0]
    assert neighbours(real=real, synthetic=drawn, k=3).precision > 0.8


def test_classes_of_too_few_samples_are_not_measured():
    real, real_label = labelled(90)
    drawn, label = labelled(90, seed=1)
    kept = (label != 2) | (np.arange(90) < 9)
    found = {"real": real, "real_label": real_label, "n_classes": 4, "k": 3}
    precision, recall = class_neighbours(**found, synthetic=drawn[kept], synthetic_label=label[kept])
    assert np.isfinite(precision).tolist() == np.isfinite(recall).tolist() == [True, True, False, False]


def test_the_order_of_rows_says_nothing():
    real, real_label = labelled(60)
    drawn, label = labelled(60, offset=0.5, seed=1)
    order = np.random.default_rng(0).permutation(60)
    found = {"real": real, "real_label": real_label, "n_classes": 3, "k": 3}
    first = class_neighbours(**found, synthetic=drawn, synthetic_label=label)
    second = class_neighbours(**found, synthetic=drawn[order], synthetic_label=label[order])
    assert np.array_equal(first, second)
    assert classes_alive(label[order], real_label, 3) == classes_alive(label, real_label, 3) == 3


def test_a_class_lives_on_a_tenth_of_its_share():
    real = np.repeat([0, 1], [500, 500])
    assert classes_alive(np.repeat([0, 1], [950, 50]), real, 2) == 2
    assert classes_alive(np.repeat([0, 1], [951, 49]), real, 2) == 1
    rare = np.repeat([0, 1], [980, 20])
    assert classes_alive(np.repeat([0, 1], [998, 2]), rare, 2) == 2
    assert classes_alive(np.repeat([0, 1], [999, 1]), rare, 2) == 1
    assert classes_alive(np.array([0, 1, 2]), real, 3) == 2, "a class that has no real sample is none"
    assert np.isnan(classes_alive(np.array([], int), real, 2))
