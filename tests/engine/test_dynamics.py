"""What is measured of classifiers, classes and copies along a trajectory, and the map made of what is committed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from mad_ray.analysis.dynamics import read_embeddings
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop, Slice, fully_synthetic
from mad_ray.core.samples import Event, Samples, rebatch
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.data import Digits
from mad_ray.engine.dynamics import dynamics_of, dynamics_rows, evenly, open_labels
from mad_ray.engine.embedding import MAX_GENERATIONS, embed
from mad_ray.engine.reference import open_reference
from mad_ray.engine.stream import TrainingSet
from mad_ray.families.family import Model, Progress, Stream
from mad_ray.metrics.measure import DYNAMICS_NAMES, Metrics
from tests.engine.made_up import Ran, forget, new_store, run

N = 60
LOOP = fully_synthetic(n_initial=N, n_synthetic=N)


@dataclass(frozen=True)
class Echo:
    """Its model is D^t, whose rows it publishes again, one after another; of classes below `alive` only."""

    name: ClassVar[str] = "echo"
    is_conditional: ClassVar[bool] = True
    max_cohort: ClassVar[int] = 2
    redraw: ClassVar[bool] = False
    distributed: ClassVar[bool] = False
    span: ClassVar[int] = 1
    chunk: int = 16
    alive: int = 10

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        pass

    def fit(self, data: Stream, keys: Keys, progress: Progress) -> Model:
        parts = list(data.batches(32))
        return {name: np.concatenate([getattr(part, name) for part in parts], axis=1) for name in ("x", "label")}

    def sample(self, model: Model, start: int, stop: int, bias: float, keys: Keys) -> Samples:
        found = []
        for x, label in zip(model["x"], model["label"], strict=True):
            kept = np.flatnonzero(label < self.alive)
            at = kept[np.arange(start, stop) % len(kept)]
            found.append((x[at], label[at]))
        return Samples.of(np.stack([x for x, _ in found]), np.stack([label for _, label in found]))


def cohort_of(n: int = 3, seeds: tuple[int, ...] = (0, 1), family: Echo | None = None, **metrics) -> Cohort:
    settings = Metrics(n=N, k=3, **metrics)
    return Cohort(tuple(Trajectory(Digits(), family or Echo(), LOOP, settings, n, seed) for seed in seeds))


@pytest.fixture(scope="module")
def echoed() -> Ran:
    return run(cohort_of())


def values(ran: Ran, metric: str) -> dict[tuple[int, int], float]:
    """(seed, generation) -> value."""
    return {(row["seed"], row["generation"]): row["value"] for row in ran.all_rows() if row["metric"] == metric}


def test_labelled_images_are_measured_unasked(echoed: Ran) -> None:
    measured = {row["metric"] for row in echoed.all_rows()}
    assert set(DYNAMICS_NAMES) - {"class_precision", "class_recall"} <= measured
    for stem in ("accuracy_published", "accuracy_training", "precision", "recall"):
        assert {f"{stem}_class_{c}" for c in range(10)} <= measured


def test_an_echo_copies(echoed: Ran) -> None:
    assert set(values(echoed, "copying").values()) == {0.0}
    assert set(values(echoed, "authenticity").values()) == {0.0}
    assert set(values(echoed, "classes_alive").values()) == {10.0}, "seen by one who learnt from more than 60 rows"


def test_what_was_published_is_what_the_next_trains_on(echoed: Ran) -> None:
    """D^{t+1} of a fully synthetic loop is what t published: the same rows make the same classifier."""
    for metric in ("accuracy", "nll", "ece"):
        published, training = values(echoed, f"{metric}_published"), values(echoed, f"{metric}_training")
        for seed in (0, 1):
            assert training[seed, 1] == published[seed, 1]
            assert training[seed, 2] == published[seed, 1]
            assert training[seed, 3] == published[seed, 2]


def test_trajectories_differ_and_know_nothing_of_each_other(echoed: Ran) -> None:
    alone = run(cohort_of(seeds=(1,)))
    for metric in ("accuracy_published", "nll_training", "copying", "recall_class_3"):
        together = {t: value for (seed, t), value in values(echoed, metric).items() if seed == 1}
        assert together == {t: value for (_, t), value in values(alone, metric).items()}
    of_seed = values(echoed, "nll_published")
    assert of_seed[0, 1] != of_seed[1, 1]


def test_an_accuracy_is_the_mean_of_its_classes(echoed: Ran) -> None:
    held = Digits().held_out(N).label[0]
    share = np.bincount(held, minlength=10) / N
    of_class = [values(echoed, f"accuracy_published_class_{c}")[0, 2] for c in range(10)]
    assert values(echoed, "accuracy_published")[0, 2] == pytest.approx(np.dot(share, of_class))


def test_dead_classes_are_missed() -> None:
    found = run(cohort_of(2, (0,), Echo(alive=4)))
    assert values(found, "classes_alive")[0, 1] <= 6
    assert values(found, "recall_class_7")[0, 1] is None
    assert values(found, "accuracy_published_class_7")[0, 1] == 0
    assert values(found, "accuracy_training")[0, 1] > values(found, "accuracy_training")[0, 2]


def test_a_restart_changes_no_byte(echoed: Ran) -> None:
    store = new_store()
    run(cohort_of(2), store)
    forget()
    assert run(cohort_of(), store).contents == echoed.contents


def test_floors_are_those_of_real_samples(echoed: Ran) -> None:
    cohort = echoed.cohort
    found = open_labels(echoed.store, cohort.head.data, cohort.head.metrics)
    assert found.floors["classes_alive"] == 10
    assert found.floors["copying"] == 1
    assert 0.3 < found.floors["accuracy_published"] == found.floors["accuracy_training"]
    # D^1 is as many real rows.
    first = [value for (_, t), value in values(echoed, "accuracy_training").items() if t == 1]
    assert np.mean(first) == pytest.approx(found.floors["accuracy_training"], abs=0.25)
    other = run(cohort_of(1))
    assert open_labels(other.store, cohort.head.data, cohort.head.metrics).floors == found.floors


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({}, DYNAMICS_NAMES),
        ({"downstream": False}, ()),
        ({"names": ["frechet"]}, ()),
        ({"names": ["frechet", "copying"]}, ("copying",)),
        ({"names": ["frechet"], "downstream": True}, DYNAMICS_NAMES),
    ],
)
def test_what_is_measured(metrics: dict, expected: tuple[str, ...]) -> None:
    assert dynamics_of(cohort_of(**metrics).head) == expected


def test_one_metric_alone_is_measured_alone() -> None:
    found = run(cohort_of(1, (0,), names=["copying"]))
    assert {row["metric"] for row in found.all_rows()} == {"copying"}


def test_defaults_change_no_identity() -> None:
    assert "downstream" not in cohort_of().identity["metrics"]
    assert cohort_of(embedding=20).id == cohort_of().id
    assert cohort_of(downstream=False).id != cohort_of().id


def embedded(store) -> dict[str, bytes]:
    return {entry.key: store.get(entry.key) for entry in store.list("embeddings/")}


def test_an_embedding_is_the_same_bytes_and_is_made_once(echoed: Ran) -> None:
    told: list[str] = []
    cohort = cohort_of(embedding=20)
    key = embed(cohort, echoed.store, say=told.append)
    assert embed(cohort, echoed.store, say=told.append) == key
    assert len(told) == 1
    forget()
    other = run(cohort)
    assert embed(cohort, other.store, say=told.append) == key
    assert embedded(other.store) == embedded(echoed.store)
    (found,) = read_embeddings(other.store, cohort.id, other.manifests)
    assert found.seed == 0
    assert sorted(found.places) == [1, 2, 3]
    assert {places.shape for places in (found.real, *found.places.values())} == {(20, 2)}
    assert np.array_equal(found.real_class, Digits().held_out(20).label[0])
    assert np.array_equal(found.classes[1], found.classes[2]), "an echo publishes the same rows again"
    # The same rows lie in the same places, up to t-SNE's last steps.
    reach = np.ptp(found.real, axis=0).max()
    assert np.median(np.linalg.norm(found.places[1] - found.places[2], axis=1)) < 0.05 * reach


def shown(store, cohort, ran: Ran) -> list[int]:
    (found,) = read_embeddings(store, cohort.id, ran.manifests)
    return sorted(found.places)


def test_every_trajectory_may_have_its_own() -> None:
    cohort = cohort_of(2, (4, 7), names=["frechet"], embedding=10)
    found = run(cohort)
    for b in (1, 0):
        embed(cohort, found.store, b, say=lambda line: None)
    first, second = read_embeddings(found.store, cohort.id, found.manifests)
    assert (first.seed, second.seed) == (4, 7)
    assert not np.array_equal(first.places[1], second.places[1])


def test_an_embedding_grows_with_the_trajectory() -> None:
    store, told = new_store(), []
    cohort = cohort_of(2, (0,), embedding=10)
    first = run(cohort, store)
    assert embed(cohort, store, say=told.append)
    longer = cohort_of(MAX_GENERATIONS + 4, (0,), names=["frechet"], embedding=10)
    assert longer.id != cohort.id
    rest = run(cohort_of(3, (0,), embedding=10), store)
    # As far as it was made; then as far as it has come.
    assert shown(store, cohort, rest) == [1, 2]
    embed(cohort_of(3, (0,), embedding=10), store, say=told.append)
    assert shown(store, cohort, rest) == [1, 2, 3]
    assert shown(store, cohort, first) == [1, 2]


def test_of_many_generations_twelve_are_embedded() -> None:
    cohort = cohort_of(15, (0,), names=["frechet"], embedding=10)
    found = run(cohort)
    embed(cohort, found.store, say=lambda line: None)
    generations = shown(found.store, cohort, found)
    assert len(generations) == MAX_GENERATIONS
    assert (generations[0], generations[-1]) == (1, 15)


def test_nothing_is_embedded_unasked(echoed: Ran) -> None:
    assert embed(cohort_of(), echoed.store) is None
    assert embed(cohort_of(embedding=20), new_store()) is None
    assert read_embeddings(new_store(), cohort_of().id, echoed.manifests) == []


def test_rows_of_the_training_set_are_taken_evenly() -> None:
    keys = Keys((4, 7))
    data = TrainingSet(Digits(), keys.at("real"), (Slice(0, 0, 100), Slice(0, 300, 400)), {})
    whole = next(data.batches(200))
    assert whole.n == 200
    some = evenly(data, 40)
    assert np.array_equal(some.x, whole.x[:, 2::5])
    assert np.array_equal(some.label, whole.label[:, 2::5])
    assert np.array_equal(evenly(data, 1000).x, whole.x)
    assert len(np.unique((np.arange(7) * 200 + 100) // 7)) == evenly(data, 7).n == 7


def test_rows_that_interventions_drop_train_nobody_and_are_no_copies() -> None:
    """With half of D^t dropped, the classifier is that of the other half."""
    cohort = cohort_of(1, (0,))
    head, keys = cohort.head, cohort.keys
    store = new_store()
    samples = head.data.rows(0, N, keys.at("elsewhere"))
    reference = open_reference(store, head.data, head.metrics, lambda line: None)
    features = reference.extractor(samples.x[0])[None]

    def measured(data: object) -> dict[str, float]:
        rows = dynamics_rows(cohort, 1, features, lambda: samples, data, store)
        return {row["metric"]: row["value"] for row in rows}

    real = head.data.rows(0, N, keys.at("real"))
    weight = np.where(np.arange(N) % 2, 1.0, 0.0).astype(np.float32)[None]
    dropped = measured(Listed(Samples(real.x, real.label, weight)))
    assert dropped == measured(Listed(Samples(real.x[:, 1::2], real.label[:, 1::2], weight[:, 1::2])))
    assert dropped != measured(Listed(real))
    nothing = measured(Listed(Samples(real.x, real.label, 0 * weight)))
    assert nothing["accuracy_training"] is nothing["nll_training"] is nothing["copying"] is None
    assert nothing["accuracy_published"] == dropped["accuracy_published"]


@dataclass(frozen=True)
class Listed:
    """A training set of these rows."""

    rows: Samples

    @property
    def n(self) -> int:
        return self.rows.n

    def batches(self, size: int) -> Iterator[Samples]:
        return rebatch([self.rows], size)
