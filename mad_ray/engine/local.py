"""The in-process runtime: no Ray, one thing after another."""

from collections.abc import Callable

from mad_ray.engine.checkpoints import CheckpointRule
from mad_ray.engine.publish import PublishJob, ShardResult, publish_shard
from mad_ray.engine.runtime import FitJob, Fitted, Report
from mad_ray.families.progress import never
from mad_ray.families.spool import MEMORY_BYTES


class LocalRuntime:
    """Fits and publishes where it is called."""

    def __init__(
        self,
        checkpoints: CheckpointRule | None = None,
        memory_bytes: int = MEMORY_BYTES,
        stopping: Callable[[], bool] = never,
    ) -> None:
        self.checkpoints = checkpoints or CheckpointRule()
        self._memory_bytes = memory_bytes
        self._stopping = stopping

    def fit(self, job: FitJob, report: Report) -> Fitted:
        return job.within(self._memory_bytes).run(report, self._stopping)

    def publish(self, job: PublishJob, report: Report) -> list[ShardResult]:
        results = []
        for i in range(job.n_shards):
            results.append(publish_shard(job, i))
            report("sample", job.generation, (i + 1) / job.n_shards)
        return results
