"""What generations do downstream and to the classes: classifiers trained on them, copies, and one map of them all."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mad_ray.core.errors import Missing
from mad_ray.core.fingerprint import Json, identity
from mad_ray.core.keys import Keys
from mad_ray.core.manifest import Shard
from mad_ray.core.samples import NO_LABEL, Samples, concatenate
from mad_ray.core.sealed import seal, unseal
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.core.values import MetricRow, metric_row
from mad_ray.data.source import Source
from mad_ray.engine.dataset import open_source
from mad_ray.engine.published import BLOCK, Stored
from mad_ray.engine.reference import FLOOR_KEYS, Reference, open_reference, reference_key
from mad_ray.engine.stream import TrainingSet
from mad_ray.ledger.beside import read_beside, write_beside
from mad_ray.ledger.derived import labels_key
from mad_ray.ledger.store import Store
from mad_ray.metrics.classes import class_neighbours, classes_alive
from mad_ray.metrics.copying import authenticity, copying
from mad_ray.metrics.downstream import State, probabilities, score, train_classifier
from mad_ray.metrics.lenet import LeNet
from mad_ray.metrics.measure import CLASS_NAMES, COPYING_NAMES, Metrics

TRAINING = ("accuracy_training", "nll_training", "ece_training")
PUBLISHED = ("accuracy_published", "nll_published", "ece_published")
CLASSIFIER_KEYS = Keys((0,)).at("labels")
SEEING_ROWS = 1000
"""Real rows, at least, that teach who says which class a sample is of: however few are measured, it should see well."""


def dynamics_of(head: Trajectory) -> tuple[str, ...]:
    """Which metrics of classifiers, classes and copying are measured of a trajectory.

    By default those of labelled images, drawn by a family that labels what it draws, of trajectories that are no cells.
    """
    event = head.data.event
    is_image = event.dtype == "uint8" and len(event.shape) == 3
    members = head.ecosystem.members if head.is_pool and head.ecosystem is not None else (head,)
    gives_labels = event.n_classes >= 2 and all(getattr(one.family, "is_conditional", False) for one in members)
    names = head.metrics.dynamics(is_image and gives_labels and head.until is None)
    # Nothing is fitted to the pool: it has no D^t.
    return tuple(name for name in names if name not in (*TRAINING, *COPYING_NAMES)) if head.is_pool else names


@dataclass(frozen=True)
class Rows:
    """Labelled rows of one trajectory: x [n, *event], label [n], weight [n]."""

    x: np.ndarray
    label: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, samples: Samples, b: int = 0) -> "Rows":
        """Trajectory b's."""
        return cls(samples.x[b], samples.label[b], samples.weight[b])


@dataclass(frozen=True)
class Labels:
    """What labels tell of real samples: a classifier trained on them, and floors: the metrics of real samples, by name.

    Those of the classifiers are what the same classifier reaches that was trained on as many real rows (metrics.n).
    """

    classifier: State | None
    floors: dict[str, float | None]


def open_labels(store: Store, data: Source, metrics: Metrics) -> Labels:
    """From the store, else made now (and kept; whoever is first wins)."""
    key = labels_key(reference_key(data, metrics))
    what = {"data": identity(data), "metrics": identity(metrics)}
    try:
        document = unseal(store.get(key), key, expected=what, needs=("state", "floors"))
    except Missing:
        store.put(key, _make_labels(store, key, data, metrics), if_absent=True)
        document = unseal(store.get(key), key, expected=what, needs=("state", "floors"))
    return Labels(read_beside(store, key, document["state"]) or None, document["floors"])


def _make_labels(store: Store, key: str, data: Source, metrics: Metrics) -> bytes:
    reference, source = open_reference(store, data, metrics), open_source(store, data)
    n = metrics.n if data.n_rows is None else min(metrics.n, data.n_rows)
    n_seeing = max(n, SEEING_ROWS if data.n_rows is None else min(SEEING_ROWS, data.n_rows))
    most, held = Rows.of(source.rows(0, n_seeing, FLOOR_KEYS)), Rows.of(source.held_out(metrics.n))
    other = Rows(most.x[:n], most.label[:n], most.weight[:n])
    n_classes, features = data.event.n_classes, reference.extractor(other.x)
    state = train_classifier(other.x, other.label, other.weight, n_classes, CLASSIFIER_KEYS)
    seeing = state if n == n_seeing else train_classifier(most.x, most.label, most.weight, n_classes, CLASSIFIER_KEYS)
    found: dict[str, float] = {}
    seen_by = classifier_of(reference, seeing)
    for names in (PUBLISHED, TRAINING):
        found |= classifier_values(names, state, held, n_classes)
    found |= class_values(CLASS_NAMES, reference, held, features, other, metrics, n_classes, seen_by)
    found |= {"copying": 1.0, "authenticity": authenticity(synthetic=reference.features, training=features)}
    floors: dict[str, Json] = {name: float(v) if np.isfinite(v) else None for name, v in found.items()}
    named = write_beside(store, key, "classifier", dict(seeing or {}))
    return seal({"data": identity(data), "metrics": identity(metrics), "state": named, "floors": floors})


@lru_cache(maxsize=8)
def _held_out(source: Source, n: int) -> Rows:
    return Rows.of(source.held_out(n))


def dynamics_rows(
    cohort: Cohort,
    t: int,
    features: np.ndarray,
    samples: Callable[[], Samples],
    data: TrainingSet,
    store: Store,
) -> list[MetricRow]:
    """The metrics of `dynamics_of` of what each trajectory published at generation t, and of its D^t.

    features [B, n, d] of the measured samples, and those themselves, which are asked for only if need be.
    """
    head = cohort.head
    names, n = dynamics_of(head), head.metrics.n
    if not names:
        return []
    n_classes, reference = head.data.event.n_classes, open_reference(store, head.data, head.metrics)
    held = _held_out(open_source(store, head.data), n)
    classifier = None
    if n_classes >= 2:
        classifier = classifier_of(reference, open_labels(store, head.data, head.metrics).classifier)
    published = samples() if set(names) & {*PUBLISHED, *CLASS_NAMES} else None
    training = evenly(data, n) if set(names) & {*TRAINING, *COPYING_NAMES} else None
    rows = []
    for b, seed in enumerate(cohort.seeds):
        keys = cohort.keys.row(b).at("downstream")
        values: dict[str, float] = {}
        for kind, of in ((PUBLISHED, published), (TRAINING, training)):
            if wanted := [name for name in kind if name in names]:
                assert of is not None
                given = Rows.of(of, b)
                state = train_classifier(given.x, given.label, given.weight, n_classes, keys)
                values |= classifier_values(wanted, state, held, n_classes)
        if published is not None:
            given = Rows.of(published, b)
            values |= class_values(names, reference, held, features[b], given, head.metrics, n_classes, classifier)
        if training is not None:
            values |= copying_values(names, reference, features[b], Rows.of(training, b))
        rows += [metric_row(t, seed, name, head.loop.bias, value) for name, value in values.items()]
    return rows


def classifier_of(reference: Reference, state: State | None) -> State | None:
    """Who says which class a sample is of: the LeNet of the features, which saw all real rows, or else the state."""
    return reference.extractor.state if isinstance(reference.extractor, LeNet) else state


def classifier_values(names: Sequence[str], state: State | None, held: Rows, n_classes: int) -> dict[str, float]:
    """The score on held-out rows under these names, of each class too; NaN without a classifier."""
    found = score(probabilities(state, held.x), held.label) if state is not None else None
    values = {name: getattr(found, name.partition("_")[0], np.nan) for name in names}
    for name in names:
        if name.startswith("accuracy_"):
            of_class = np.full(n_classes, np.nan) if found is None else found.of_class
            values |= {f"{name}_class_{c}": float(value) for c, value in enumerate(of_class)}
    return values


def class_values(
    names: Sequence[str],
    reference: Reference,
    held: Rows,
    features: np.ndarray,
    rows: Rows,
    metrics: Metrics,
    n_classes: int,
    classifier: State | None,
) -> dict[str, float]:
    """Those of CLASS_NAMES that names list, of samples with these features [n, d]; classifier: who sees classes."""
    values: dict[str, float] = {}
    if "classes_alive" in names:
        seen = rows.label if classifier is None else probabilities(classifier, rows.x).argmax(axis=1)
        values["classes_alive"] = classes_alive(seen[seen >= 0], held.label, n_classes)
    if set(names) & {"class_precision", "class_recall"}:
        precision, recall = class_neighbours(
            real=reference.features,
            real_label=held.label,
            synthetic=features,
            synthetic_label=rows.label,
            n_classes=n_classes,
            k=metrics.k,
        )
        for name, found in (("class_precision", precision), ("class_recall", recall)):
            if name in names:
                short = name.removeprefix("class_")
                values |= {f"{short}_class_{c}": float(value) for c, value in enumerate(found)}
    return values


def copying_values(
    names: Sequence[str], reference: Reference, features: np.ndarray, training: Rows
) -> dict[str, float]:
    """Those of COPYING_NAMES that names list, of samples with these features [n, d], against rows that weigh."""
    wanted = [name for name in COPYING_NAMES if name in names]
    if not wanted:
        return {}
    if not np.any(training.weight > 0):
        return dict.fromkeys(wanted, np.nan)
    kept = reference.extractor(training.x[training.weight > 0])
    known = {
        "copying": lambda: copying(synthetic=features, held_out=reference.features, training=kept),
        "authenticity": lambda: authenticity(synthetic=features, training=kept),
    }
    return {name: known[name]() for name in wanted}


def evenly(data: TrainingSet, n: int) -> Samples:
    """At most n rows of D^t, evenly spaced over all of them, with their weights."""
    kept = min(n, data.n)
    wanted = (np.arange(kept) * data.n + data.n // 2) // max(kept, 1)
    parts, start = [], 0
    for batch in data.batches(BLOCK):
        at = wanted[(wanted >= start) & (wanted < start + batch.n)] - start
        if len(at):
            parts.append(Samples(batch.x[:, at], batch.label[:, at], batch.weight[:, at]))
        start += batch.n
    return concatenate(parts)


def read_back(store: Store, prefix: str, shards: Iterable[Shard], t: int, n: int) -> Samples:
    """The first n samples that an attempt published at generation t, from its shards."""
    named = tuple((f"{prefix}/{shard.blob.name}", shard) for shard in shards if shard.generation == t)
    return concatenate(list(Stored(store, named).blocks(0, n)))


def seen_classes(classifier: State | None, x: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Labels [n], and where there are none what a classifier sees in x; NO_LABEL where nobody knows."""
    if classifier is None or not len(label) or label.min() > NO_LABEL:
        return label
    return np.where(label > NO_LABEL, label, probabilities(classifier, x).argmax(axis=1)).astype(np.int32)
