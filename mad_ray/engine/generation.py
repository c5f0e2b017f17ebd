"""One generation (or, of cheap families, one span of them): from the ledger's last manifest to the next."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from mad_ray.core.fingerprint import canonical_json
from mad_ray.core.loop import compose
from mad_ray.core.manifest import Blob, Manifest, Shard
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.measure import MetricRow, measure_samples, merge_measured, model_rows, sample_rows
from mad_ray.engine.provenance import Stopwatch, device, n_threads, versions
from mad_ray.engine.publish import PublishJob, select_generation
from mad_ray.engine.published import Published, Redrawn, Stored
from mad_ray.engine.reference import open_reference
from mad_ray.engine.runtime import FitJob, Report, Runtime, silent
from mad_ray.engine.stream import TrainingSet
from mad_ray.families.family import Model
from mad_ray.ledger.chain import blob_key
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.tensors import decode_tensors, encode_tensors


@dataclass
class Attempt:
    """What one attempt at a span has made so far. Nothing of it is visible before the commit."""

    cohort: Cohort
    ledger: Ledger
    first: int
    last: int
    name: str = field(default_factory=lambda: secrets.token_hex(6))
    started_s: float = field(default_factory=time.time)
    watch: Stopwatch = field(default_factory=Stopwatch)
    models: dict[int, Model] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    rows: list[MetricRow] = field(default_factory=list)
    blob: Blob | None = None

    @property
    def prefix(self) -> str:
        return self.cohort.attempt_prefix(self.first, self.name)

    def write(self, name: str, data: bytes) -> Blob:
        with self.watch.time("write"):
            return self.ledger.put_blob(self.prefix, name, data)


def n_published(cohort: Cohort) -> int:
    """Samples that every generation publishes: enough for later training sets and for the metrics."""
    return max(cohort.head.loop.n_synthetic, cohort.head.metrics.n)


def advance(cohort: Cohort, ledger: Ledger, runtime: Runtime, report: Report = silent) -> Manifest:
    """Compute the next span and commit it. Another attempt may win the commit: then its manifest is returned.

    Before the commit, the last step, nothing is visible; after it nothing can be undone.
    """
    history = ledger.history()
    first = ledger.last + 1
    span = cohort.head.family.span
    attempt = Attempt(cohort, ledger, first, min(first + span - 1, cohort.n_generations))
    past = _Past(cohort, ledger, history, attempt.models)
    step = _redrawing_generation if cohort.head.family.redraw else _storing_generation
    for t in range(attempt.first, attempt.last + 1):
        step(attempt, t, past.training_set(t), runtime, report)
    manifest = _manifest(attempt, history[-1].digest if history else "")
    return ledger.commit(manifest)


def _redrawing_generation(attempt: Attempt, t: int, data: TrainingSet, runtime: Runtime, report: Report) -> None:
    """Samples are cheap: draw those to be measured where we are, store none."""
    cohort = attempt.cohort
    model = _fit(attempt, t, data, runtime, report)
    head = cohort.head
    with attempt.watch.time("sample"):
        samples = head.family.sample(model, 0, head.metrics.n, head.loop.bias, cohort.keys.at("sample", t))
    with attempt.watch.time("measure"):
        reference = open_reference(attempt.ledger.store, head.data, head.metrics)
        attempt.rows += sample_rows(cohort, t, measure_samples(samples, reference, head.metrics), reference)
        attempt.rows += model_rows(cohort, t, model)
    report("sample", t, 1.0)


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
    # Stages add up to what was spent; what samplers at once make up for is not counted against them.
    attempt.watch.seconds["publish"] += max(0.0, wall_s - sum(sum(result.seconds.values()) for result in results))
    attempt.shards += [result.shard for result in results]
    report("measure", t, 0.0)
    with attempt.watch.time("measure"):
        reference = open_reference(attempt.ledger.store, head.data, head.metrics)
        measured = merge_measured([result.measured for result in results if result.measured is not None])
        attempt.rows += sample_rows(cohort, t, measured, reference)
        attempt.rows += model_rows(cohort, t, model)


def _fit(attempt: Attempt, t: int, data: TrainingSet, runtime: Runtime, report: Report) -> Model:
    report("fit", t, 0.0)
    job = FitJob(attempt.cohort, t, data, f"{attempt.cohort.id}-{t:06d}-{attempt.name}")
    with attempt.watch.time("fit"):
        attempt.models[t] = runtime.fit(job, report)
    return attempt.models[t]


def _write_models(attempt: Attempt) -> Blob:
    """The models of the span as one blob; written once, when first asked for (stored generations come one a span)."""
    if attempt.blob is not None:
        return attempt.blob
    named = {f"{t}/{name}": array for t, model in attempt.models.items() for name, array in model.items()}
    attempt.blob = attempt.write("models.safetensors", encode_tensors(named))
    return attempt.blob


def _manifest(attempt: Attempt, parent: str) -> Manifest:
    cohort = attempt.cohort
    models = _write_models(attempt)
    metrics = attempt.write("metrics.json", canonical_json(attempt.rows))
    blobs = [models, metrics, *(shard.blob for shard in attempt.shards)]
    return Manifest(
        identity=cohort.identity,
        cohort=cohort.id,
        first=attempt.first,
        last=attempt.last,
        parent=parent,
        training=tuple(compose(cohort.head.loop, t) for t in range(attempt.first, attempt.last + 1)),
        models=models,
        n_published=n_published(cohort),
        shards=tuple(attempt.shards),
        metrics=metrics,
        provenance={
            "attempt": attempt.name,
            "started_s": round(attempt.started_s, 3),
            "wall_s": round(time.time() - attempt.started_s, 4),
            "seconds": attempt.watch.rounded(),
            "n_bytes": sum(blob.n_bytes for blob in blobs),
            "device": device(),
            "threads": n_threads(),
            "versions": versions(),
        },
    )


@dataclass(frozen=True)
class _Past:
    """What earlier generations left: committed ones through their manifests, this attempt's own from memory."""

    cohort: Cohort
    ledger: Ledger
    history: list[Manifest]
    fresh: Mapping[int, Model]

    def training_set(self, t: int) -> TrainingSet:
        """D^t, opened."""
        slices = compose(self.cohort.head.loop, t)
        needed = sorted({part.generation for part in slices if not part.is_real})
        keys = self.cohort.keys.at("real")
        return TrainingSet(self.cohort.head.data, keys, slices, {g: self._published(g) for g in needed})

    def _published(self, g: int) -> Published:
        head = self.cohort.head
        if head.family.redraw:
            return Redrawn(head.family, self._model(g), head.loop.bias, self.cohort.keys.at("sample", g))
        manifest = self._covering(g)
        shards = tuple((blob_key(manifest, s.blob), s) for s in manifest.shards if s.generation == g)
        return Stored(self.ledger.store, shards)

    def _model(self, g: int) -> Model:
        if g in self.fresh:
            return self.fresh[g]
        manifest = self._covering(g)
        return select_generation(decode_tensors(self.ledger.read_blob(manifest, manifest.models)), g)

    def _covering(self, g: int) -> Manifest:
        return next(m for m in self.history if m.first <= g <= m.last)
