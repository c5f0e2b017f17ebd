"""One generation (or, of cheap families, one span of them): from the ledger's last manifest to the next."""

import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from mad_ray.core.errors import Missing, TrajectoryFailed
from mad_ray.core.loop import Slice
from mad_ray.core.manifest import Blob, Manifest, Shard
from mad_ray.core.samples import Samples, concatenate
from mad_ray.core.trajectory import Cohort
from mad_ray.core.values import MetricRow, encode_rows
from mad_ray.engine.checkpoints import StoredCheckpoints, checkpoints_of
from mad_ray.engine.dynamics import dynamics_rows, read_back
from mad_ray.engine.measure import measure_samples, merge_measured, model_rows, sample_rows
from mad_ray.engine.observed import admission_rows, observe, observed_rows
from mad_ray.engine.own_code import code_of
from mad_ray.engine.past import Past
from mad_ray.engine.provenance import Stopwatch, device, n_threads, versions
from mad_ray.engine.publication import Publisher, publisher_of
from mad_ray.engine.publish import PublishJob
from mad_ray.engine.published import Redrawn
from mad_ray.engine.reference import open_reference
from mad_ray.engine.runtime import FitJob, OtherModel, Report, Runtime, silent
from mad_ray.engine.settle import is_settled
from mad_ray.engine.stream import TrainingSet
from mad_ray.families.family import Family, Model
from mad_ray.interventions.intervention import Extrapolates
from mad_ray.ledger.fate import Buried, is_buried
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.tensors import encode_tensors

FIRST_SPAN = 16
SNAPSHOT_ROWS, SNAPSHOT_SEEDS = 1000, 2
MAX_BURIED = 3


@dataclass
class Attempt:
    """What one attempt at a span has made so far. Nothing of it is visible before the commit."""

    cohort: Cohort
    ledger: Ledger
    past: Past
    first: int
    last: int
    name: str = field(default_factory=lambda: secrets.token_hex(6))
    started_s: float = field(default_factory=time.time)
    watch: Stopwatch = field(default_factory=Stopwatch)
    snapshots: dict[int, np.ndarray] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    rows: list[MetricRow] = field(default_factory=list)
    images: Counter[str] = field(default_factory=Counter)
    gpu_bytes: dict[str, int] = field(default_factory=dict)
    n_resumed: int = 0
    checkpoints: StoredCheckpoints | None = None
    blob: Blob | None = None

    @property
    def prefix(self) -> str:
        return self.cohort.attempt_prefix(self.first, self.name)

    def saw_gpu(self, stage: str, n_bytes: int) -> None:
        """Keep the stage's peak."""
        if n_bytes:
            self.gpu_bytes[stage] = max(n_bytes, self.gpu_bytes.get(stage, 0))

    def write(self, name: str, data: bytes) -> Blob:
        with self.watch.time("write"):
            return self.ledger.put_blob(self.prefix, name, data)

    def write_last(self, data: bytes) -> Blob:
        """What was measured: after it comes the commit and nothing else."""
        with self.watch.time("write"):
            return self.ledger.put_last(self.prefix, data)


def n_published(cohort: Cohort) -> int:
    """Samples that every generation publishes: enough for later training sets and for the metrics. The pool's: none."""
    return 0 if cohort.head.is_pool else max(cohort.head.n_eaten, cohort.head.metrics.n)


def images_of_fit(cohort: Cohort, n: int) -> int:
    """Rows that a fit on n of them goes through, of all its trajectories."""
    return _images(cohort.head.family, n) * len(cohort.seeds)


def _images(family: Family, n: int) -> int:
    count = getattr(family, "images_of_fit", None)
    return count(n) if count else n


def advance(cohort: Cohort, ledger: Ledger, runtime: Runtime, report: Report = silent) -> Manifest:
    """Compute the next span and commit it. Another attempt may win the commit: then its manifest is returned.

    Before the commit, the last step, nothing is visible; after it nothing can be undone. An attempt that gc took for
    dead, since it was silent for longer than the grace period, starts over.
    """
    history = ledger.history()
    first = ledger.last + 1
    for _ in range(MAX_BURIED):
        past = Past(cohort, ledger, history)
        attempt = Attempt(cohort, ledger, past, first, span_end(cohort, first))
        try:
            return _complete(attempt, runtime, report)
        except (Buried, Missing) as error:
            # Of an attempt that has lost, too, gc deletes what it still needs.
            if (winner := ledger.winner(first)) is not None:
                return winner
            if not isinstance(error, Buried) and not is_buried(ledger.store, attempt.prefix):
                raise
    raise TrajectoryFailed(
        f"mad-ray gc deleted {MAX_BURIED} attempts at generation {first} while they were at work; give it a --grace-s "
        "longer than a generation takes"
    )


def _complete(attempt: Attempt, runtime: Runtime, report: Report) -> Manifest:
    """Every generation of the span, and the commit."""
    cohort, history = attempt.cohort, attempt.past.history
    step = _step_of(cohort)
    for t in range(attempt.first, attempt.last + 1):
        step(attempt, t, attempt.past.training_set(t), runtime, report)
        if is_settled(cohort, t, attempt.rows):
            attempt.last = t
            break
    committed = attempt.ledger.commit(_manifest(attempt, history[-1].digest if history else ""))
    if attempt.checkpoints is not None:
        attempt.checkpoints.clear()
    return committed


def _step_of(cohort: Cohort) -> Callable[[Attempt, int, TrainingSet, Runtime, Report], None]:
    if cohort.head.is_pool:
        return _pool_generation
    return _redrawing_generation if cohort.head.family.redraw else _storing_generation


def span_end(cohort: Cohort, first: int) -> int:
    """The last generation of the span that starts at `first`.

    Spans double, up to the family's: the first generations are seen soon, thousands make few commits. A cell of a
    family that redraws is one span: it is cheaper to compute again than to keep its models. Members of an ecosystem
    wait for each other after every generation.
    """
    if cohort.head.keeps_step:
        return first
    if cohort.head.is_cell:
        return cohort.n_generations
    span = cohort.head.family.span
    doubled = max(FIRST_SPAN, 1 << (first - 1).bit_length())
    return min(first + span - 1, doubled, cohort.n_generations)


def _redrawing_generation(attempt: Attempt, t: int, data: TrainingSet, runtime: Runtime, report: Report) -> None:
    """Samples are cheap: draw those to be measured where we are, store none."""
    cohort, head = attempt.cohort, attempt.cohort.head
    model = _fit(attempt, t, data, runtime, report)
    if not head.metrics.is_measured(t):
        return
    if head.metrics.of_samples or t in head.metrics.snapshots:
        with attempt.watch.time("sample"):
            publisher = publisher_of(cohort, attempt.ledger.store, t)
            drawn = publisher.drawn(model, 0, head.metrics.n)
            samples = publisher.marked(drawn)
        attempt.images["sample"] += head.metrics.n * len(cohort.seeds)
        _keep_snapshot(attempt, t, samples)
    with attempt.watch.time("measure"):
        if head.metrics.of_samples:
            reference = open_reference(attempt.ledger.store, head.data, head.metrics)
            measured = measure_samples(samples, reference, head.metrics)
            attempt.rows += sample_rows(cohort, t, measured, reference)
            attempt.rows += dynamics_rows(cohort, t, measured.features, lambda: samples, data, attempt.ledger.store)
            attempt.rows += observed_rows(
                cohort, t, [observe(publisher, model, 0, drawn, samples, reference)], reference
            )
        attempt.rows += model_rows(cohort, t, model)
        attempt.rows += admission_rows(cohort, t, data)
    report("sample", t, 1.0)


def _pool_generation(attempt: Attempt, t: int, data: TrainingSet, runtime: Runtime, report: Report) -> None:
    """What all members published is measured together. There is nothing to fit and nothing to store."""
    cohort, head = attempt.cohort, attempt.cohort.head
    if not head.metrics.is_measured(t):
        return
    with attempt.watch.time("sample"):
        samples = concatenate(list(data.batches(head.metrics.n)))
    attempt.images["measure"] += samples.n * len(cohort.seeds)
    _keep_snapshot(attempt, t, samples)
    with attempt.watch.time("measure"):
        reference = open_reference(attempt.ledger.store, head.data, head.metrics)
        measured = measure_samples(samples, reference, head.metrics)
        attempt.rows += sample_rows(cohort, t, measured, reference)
        attempt.rows += dynamics_rows(cohort, t, measured.features, lambda: samples, data, attempt.ledger.store)
    report("measure", t, 1.0)


def _keep_snapshot(attempt: Attempt, t: int, samples: Samples) -> None:
    """The first samples of a generation whose picture is wanted."""
    if t in attempt.cohort.head.metrics.snapshots:
        attempt.snapshots[t] = samples.x[:SNAPSHOT_SEEDS, :SNAPSHOT_ROWS]


def _storing_generation(attempt: Attempt, t: int, data: TrainingSet, runtime: Runtime, report: Report) -> None:
    """Samples are dear: the model goes to the store first, where whoever samples finds it."""
    cohort, head = attempt.cohort, attempt.cohort.head
    model = _fit(attempt, t, data, runtime, report)
    job = PublishJob(attempt.ledger.store, cohort, t, attempt.prefix, _write_models(attempt), n_published(cohort))
    start = time.perf_counter()
    results = runtime.publish(job, report)
    wall_s = time.perf_counter() - start
    for result in results:
        for stage, seconds in result.seconds.items():
            attempt.watch.seconds[stage] += seconds
        attempt.saw_gpu("sample", result.gpu_bytes)
    attempt.images["sample"] += job.n * len(cohort.seeds)
    attempt.images["measure"] += head.metrics.n * len(cohort.seeds) if head.metrics.is_measured(t) else 0
    # Stages add up to what was spent; what samplers at once make up for is not counted against them.
    attempt.watch.seconds["publish"] += max(0.0, wall_s - sum(sum(result.seconds.values()) for result in results))
    attempt.shards += [result.shard for result in results]
    report("measure", t, 0.0)
    if not head.metrics.is_measured(t):
        return
    with attempt.watch.time("measure"):
        reference = open_reference(attempt.ledger.store, head.data, head.metrics)
        measured = merge_measured([result.measured for result in results if result.measured is not None])
        attempt.rows += sample_rows(cohort, t, measured, reference)
        store, shards = attempt.ledger.store, [result.shard for result in results]
        published = partial(read_back, store, attempt.prefix, shards, t, head.metrics.n)
        attempt.rows += dynamics_rows(cohort, t, measured.features, published, data, store)
        attempt.rows += observed_rows(cohort, t, [result.observed for result in results], reference)
        attempt.rows += model_rows(cohort, t, model)
        attempt.rows += admission_rows(cohort, t, data)


def _fit(attempt: Attempt, t: int, data: TrainingSet, runtime: Runtime, report: Report) -> Model:
    report("fit", t, 0.0)
    with attempt.watch.time("fit"):
        model = first_model_of(attempt.cohort) if t == 1 else None
        if model is None:
            model = _train(attempt, t, data, runtime, report)
        for place, one in attempt.cohort.head.active.items():
            if isinstance(one, Extrapolates):
                model = _extrapolated(attempt, t, place, one, model, runtime, report)
    attempt.past.keep(t, model)
    return model


def _extrapolated(
    attempt: Attempt, t: int, place: int, one: Extrapolates, model: Model, runtime: Runtime, report: Report
) -> Model:
    """The model moved away from one that goes on from it, trained on its own unbiased samples."""
    cohort = attempt.cohort
    family = cohort.head.family
    own = Redrawn(Publisher(family, 1.0, cohort.keys.at("own", place, t), t), model)
    data = TrainingSet(cohort.head.data, cohort.keys.at("real"), (Slice(t, 0, one.n_samples),), {("", t): own})
    other = OtherModel(place, one.auxiliary(family), model)
    # Short, and made again from the model, whose own fit is what checkpoints are for.
    fitted = runtime.fit(FitJob(cohort, t, data, f"{cohort.id}-{t:06d}-{attempt.name}-{place}", None, other), report)
    attempt.images["fit"] += _images(other.family, one.n_samples)
    attempt.saw_gpu("fit", fitted.gpu_bytes)
    return one.combine(model, fitted.model)


def first_model_of(cohort: Cohort) -> Model | None:
    """G^1 of a family that has it already."""
    first_model = getattr(cohort.head.family, "first_model", None)
    return first_model(cohort.head.data.event) if first_model else None


def _train(attempt: Attempt, t: int, data: TrainingSet, runtime: Runtime, report: Report) -> Model:
    cohort = attempt.cohort
    history, rule = attempt.past.history, runtime.checkpoints
    attempt.checkpoints = checkpoints_of(attempt.ledger.store, cohort, t, history, rule, attempt.past.eaten)
    job = FitJob(cohort, t, data, f"{cohort.id}-{t:06d}-{attempt.name}", attempt.checkpoints)
    fitted = runtime.fit(job, report)
    attempt.n_resumed += fitted.n_resumed
    attempt.images["fit"] += images_of_fit(cohort, data.n)
    attempt.saw_gpu("fit", fitted.gpu_bytes)
    return fitted.model


def _write_models(attempt: Attempt) -> Blob:
    """What later generations need of the span, as one blob; written once, when first asked for.

    Families that store samples come one generation a span, and keep every model. Cells keep none.
    """
    if attempt.blob is not None:
        return attempt.blob
    named = {} if attempt.cohort.head.is_cell else attempt.past.tensors(attempt.first)
    named |= {f"snapshots/{t}": x for t, x in attempt.snapshots.items()}
    attempt.blob = attempt.write("models.safetensors", encode_tensors(named))
    return attempt.blob


def _manifest(attempt: Attempt, parent: str) -> Manifest:
    cohort = attempt.cohort
    models = _write_models(attempt)
    metrics = attempt.write_last(encode_rows(attempt.rows))
    blobs = [models, metrics, *(shard.blob for shard in attempt.shards)]
    return Manifest(
        identity=cohort.identity,
        cohort=cohort.id,
        first=attempt.first,
        last=attempt.last,
        parent=parent,
        training=cohort.head.training(attempt.last),
        eaten=attempt.past.eaten,
        models=models,
        n_published=n_published(cohort),
        shards=tuple(attempt.shards),
        metrics=metrics,
        provenance={
            "attempt": attempt.name,
            "started_s": round(attempt.started_s, 3),
            "wall_s": round(time.time() - attempt.started_s, 4),
            "seconds": attempt.watch.rounded(),
            "images": dict(sorted(attempt.images.items())),
            **({"gpu_peak_bytes": attempt.gpu_bytes} if attempt.gpu_bytes else {}),
            **({"resumed_steps": attempt.n_resumed} if attempt.n_resumed else {}),
            "n_bytes": sum(blob.n_bytes for blob in blobs),
            "device": device(),
            "threads": n_threads(),
            "versions": versions(),
            **({"code": code} if (code := code_of(cohort.head)) else {}),
        },
    )
