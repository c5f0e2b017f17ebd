"""The real reference: made once, the same for everybody, sound after an interruption; and which side is real."""

import numpy as np
import pytest

from mad_ray.core.errors import Corrupt, TrajectoryFailed
from mad_ray.core.loop import Loop, fully_synthetic
from mad_ray.core.samples import Samples
from mad_ray.data import Digits, GaussianData, Mnist
from mad_ray.engine import reference as module
from mad_ray.engine.measure import measure_samples, merge_measured, sample_rows
from mad_ray.engine.reference import open_reference, reference_key, strip
from mad_ray.families.gaussian import Gaussian
from mad_ray.metrics.measure import Metrics
from tests.engine.made_up import Numbered, Remembering, forget, metric_table, new_store, run, study

METRICS = Metrics(n=60, k=3)


def test_it_is_made_once_and_then_read(monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store()
    first = open_reference(store, Numbered(), METRICS)
    forget()
    monkeypatch.setattr(module, "_make", None)
    second = open_reference(store, Numbered(), METRICS)
    np.testing.assert_array_equal(first.features, second.features)
    assert first.floors == second.floors
    assert open_reference(store, Numbered(), METRICS) is second, "and in one process only once"


def test_two_stores_hold_the_same_bytes() -> None:
    stores = [new_store(), new_store()]
    for store in stores:
        open_reference(store, Numbered(), METRICS)
    keys = [[entry.key for entry in store.list("")] for store in stores]
    assert keys[0] == keys[1]
    assert all(stores[0].get(key) == stores[1].get(key) for key in keys[0])


def test_an_interrupted_maker_leaves_nothing_in_the_way() -> None:
    """Its features are there, its document is not."""
    store = new_store()
    open_reference(store, Numbered(), METRICS)
    key = reference_key(Numbered(), METRICS)
    document = store.get(key)
    store.delete(key)
    forget()
    open_reference(store, Numbered(), METRICS)
    assert store.get(key) == document


def test_a_damaged_reference_is_not_used() -> None:
    store = new_store()
    open_reference(store, Numbered(), METRICS)
    for entry in list(store.list("references/")):
        whole = store.get(entry.key)
        damaged = bytearray(whole)
        damaged[len(damaged) // 2] ^= 4
        store.put(entry.key, bytes(damaged))
        forget()
        with pytest.raises(Corrupt, match=entry.key):
            open_reference(store, Numbered(), METRICS)
        store.put(entry.key, whole)


def test_settings_have_references_of_their_own_and_places_do_not() -> None:
    keys = {reference_key(data, metrics) for data in (Digits(), GaussianData()) for metrics in (METRICS, Metrics(n=61))}
    assert len(keys) == 4
    assert reference_key(Mnist("a"), METRICS) == reference_key(Mnist("b"), METRICS)


def test_the_floor_is_what_a_perfect_model_reaches() -> None:
    """Fresh real samples against the reference: far below one standard deviation, precision and recall near 1."""
    floors = open_reference(new_store(), GaussianData(d=2), Metrics(n=500)).floors
    assert set(floors) == set(Metrics().names)
    assert 0 < floors["frechet"] < 0.05
    assert floors["precision"] > 0.9
    assert floors["recall"] > 0.9


def test_a_strip_shows_the_classes_in_turn() -> None:
    held = Digits().held_out(597)
    found = strip(held, 10)
    assert found.shape == (20, 1, 8, 8)
    of_image = {held.x[0, i].tobytes(): int(held.label[0, i]) for i in range(597)}
    assert [of_image[image.tobytes()] for image in found] == [*range(10), *range(10)]


def measured_values(x: np.ndarray) -> dict[str, float]:
    """Metrics of samples [n, 2] as the engine takes them."""
    cohort = study(GaussianData(d=2), Gaussian(), fully_synthetic(n_initial=9), 1, n_measured=len(x), all_metrics=True)
    reference = open_reference(new_store(), cohort.head.data, cohort.head.metrics)
    measured = measure_samples(Samples.of(x[None]), reference, cohort.head.metrics)
    return {row["metric"]: row["value"] for row in sample_rows(cohort, 1, measured, reference)}


def test_real_and_synthetic_cannot_be_swapped() -> None:
    """A collapsed set is precise and recalls nothing; a set spread too wide is the reverse."""
    noise = np.random.default_rng(0).standard_normal((300, 2))
    collapsed, wide = measured_values(0.05 * noise), measured_values(8 * noise)
    assert collapsed["precision"] > 0.95
    assert collapsed["recall"] < 0.1
    assert collapsed["coverage"] < 0.2
    assert wide["precision"] < 0.3
    assert wide["recall"] > 0.7
    assert measured_values(noise + 50)["precision"] == measured_values(noise + 50)["recall"] == 0


def test_a_collapsing_loop_is_precise_and_recalls_nothing() -> None:
    """The same, through everything: the Gaussian at lambda = 0.1, three generations."""
    loop = fully_synthetic(n_initial=300, bias=0.1)
    ran = run(study(GaussianData(d=2), Gaussian(), loop, 3, n_measured=300, all_metrics=True))
    assert metric_table(ran, "precision")[0, 2] > 0.95
    assert metric_table(ran, "recall")[0, 2] < 0.1
    assert np.all(np.diff(metric_table(ran, "frechet")[0]) > 0)
    assert np.all(np.diff(metric_table(ran, "total_variance")[0]) < 0)


def test_metrics_of_shards_are_metrics_of_the_whole() -> None:
    """Moments merge to rounding; features are the same rows."""
    x = np.random.default_rng(1).standard_normal((2, 90, 4))
    reference = open_reference(new_store(), Numbered(), METRICS)
    parts = [measure_samples(Samples.of(x[:, a:b]), reference, METRICS) for a, b in ((0, 16), (16, 80), (80, 90))]
    merged, whole = merge_measured(parts), measure_samples(Samples.of(x), reference, METRICS)
    np.testing.assert_array_equal(merged.features, whole.features)
    np.testing.assert_allclose(merged.moments.covariance, whole.moments.covariance, rtol=1e-12)


def test_values_that_are_not_finite_end_the_trajectory() -> None:
    with pytest.raises(TrajectoryFailed, match="not finite"):
        measured_values(np.full((20, 2), np.nan))


def test_a_loop_without_synthetic_rows_still_publishes_what_is_measured() -> None:
    ran = run(study(Numbered(), Remembering(), Loop(9, 4, 3), 2, n_measured=20))
    assert ran.manifests[0].n_published == 20
