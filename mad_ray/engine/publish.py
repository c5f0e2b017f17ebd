"""One shard of one generation: sample, write, measure, in a single pass whose memory is bounded by the shard."""

import math
import time
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from mad_ray.core.manifest import Blob, Shard
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.measure import Measured, measure_samples
from mad_ray.engine.observed import Observed, observe
from mad_ray.engine.provenance import PeakMemory
from mad_ray.engine.publication import publisher_of
from mad_ray.engine.reference import open_reference
from mad_ray.families.family import Model
from mad_ray.ledger.chain import read_checked
from mad_ray.ledger.ledger import Ledger
from mad_ray.ledger.shards import Origin, encode_shard
from mad_ray.ledger.store import Store
from mad_ray.ledger.tensors import decode_tensors, select_generation

# Not settings: results are merged shard by shard, so where shards end shows in the last digits of a metric.
SHARD_CHUNKS = 4
SHARD_BYTES = 8 << 20


@dataclass(frozen=True)
class PublishJob:
    """Publish n samples of each trajectory from the committed-to-be model of one generation. Pickles."""

    store: Store
    cohort: Cohort
    generation: int
    prefix: str
    model: Blob
    n: int

    @property
    def rows(self) -> int:
        """Samples of each trajectory in one shard: whole chunks, about 8 MiB at most."""
        head = self.cohort.head
        event = head.data.event
        row_bytes = len(self.cohort.seeds) * np.dtype(event.dtype).itemsize * math.prod(event.shape)
        chunks = SHARD_BYTES // (row_bytes * head.family.chunk)
        return head.family.chunk * min(SHARD_CHUNKS, max(1, chunks))

    @property
    def n_shards(self) -> int:
        return -(-self.n // self.rows)

    def bounds(self, i: int) -> tuple[int, int]:
        """The samples start..stop of shard i."""
        return i * self.rows, min(self.n, (i + 1) * self.rows)


@dataclass(frozen=True)
class ShardResult:
    """What one shard came to. measured: None where none of its samples is among the measured ones."""

    shard: Shard
    measured: Measured | None
    seconds: dict[str, float]
    gpu_bytes: int = 0
    observed: Observed | None = None
    """What marks come to, where there are any."""


def publish_shard(job: PublishJob, i: int) -> ShardResult:
    """Sample shard i, write it under the attempt's prefix, measure what is to be measured of it."""
    start, stop = job.bounds(i)
    head, t = job.cohort.head, job.generation
    ticks = [time.perf_counter()]
    model = _open_model(job)
    publisher = publisher_of(job.cohort, job.store, t)
    with PeakMemory() as peak:
        drawn = publisher.drawn(model, start, stop)
        samples = publisher.marked(drawn)
    ticks.append(time.perf_counter())
    origin = Origin(job.cohort.id, t, job.cohort.seeds, job.model.sha256)
    data = encode_shard(samples, start=start, origin=origin)
    blob = Ledger(job.store, job.cohort).put_blob(job.prefix, f"samples/{t:06d}-{i:05d}.parquet", data)
    ticks.append(time.perf_counter())
    measured = observed = None
    if start < head.metrics.n:
        reference = open_reference(job.store, head.data, head.metrics)
        n = min(stop, head.metrics.n) - start
        measured = measure_samples(samples.rows(0, n), reference, head.metrics)
        observed = observe(publisher, model, start, drawn.rows(0, n), samples.rows(0, n), reference)
    ticks.append(time.perf_counter())
    seconds = {stage: ticks[j + 1] - ticks[j] for j, stage in enumerate(("sample", "write", "measure"))}
    return ShardResult(Shard(blob, t, start, stop), measured, seconds, peak.n_bytes, observed)


_models: OrderedDict[tuple[str, int], Model] = OrderedDict()


def _open_model(job: PublishJob) -> Model:
    """The model's tensors, kept per process, since one process draws many shards of it."""
    cached = (job.model.sha256, job.generation)
    if cached not in _models:
        data = read_checked(job.store, f"{job.prefix}/{job.model.name}", job.model)
        _models[cached] = select_generation(decode_tensors(data), job.generation)
        while len(_models) > 2:
            _models.popitem(last=False)
    return _models[cached]
