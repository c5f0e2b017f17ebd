"""The Ray runtime: what a trial uses to fit and to publish."""

from mad_ray.engine.checkpoints import CheckpointRule
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.publish import PublishJob, ShardResult
from mad_ray.engine.runtime import FitJob, Fitted, Report
from mad_ray.onray.fit import fit_with_workers
from mad_ray.onray.resources import Execution
from mad_ray.onray.sample import publish_with_data


class RayRuntime:
    """Fits in place or through Ray Train, publishes in place (a single shard) or through Ray Data."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self.checkpoints = CheckpointRule(execution.checkpoint_s, execution.checkpoint_steps)
        self._here = LocalRuntime(self.checkpoints, execution.memory_bytes)

    def fit(self, job: FitJob, report: Report) -> Fitted:
        if self._execution.workers == 0 or not job.cohort.head.family.distributed:
            return self._here.fit(job, report)
        return fit_with_workers(job.within(self._execution.memory_bytes), self._execution, report)

    def publish(self, job: PublishJob, report: Report) -> list[ShardResult]:
        # A pipeline for one shard has nothing to stream. A trial with Train workers has no GPU of its own.
        if job.n_shards == 1 and not (self._execution.workers and self._execution.gpus):
            return self._here.publish(job, report)
        return publish_with_data(job, self._execution, report)
