"""The Ray runtime: what a trial uses to fit and to publish."""

from collections.abc import Callable

from mad_ray.core.errors import Preempted
from mad_ray.engine.checkpoints import CheckpointRule
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.publish import PublishJob, ShardResult
from mad_ray.engine.runtime import FitJob, Fitted, Report
from mad_ray.families.progress import never
from mad_ray.onray.fit import fit_with_workers
from mad_ray.onray.resources import Execution
from mad_ray.onray.sample import publish_with_data


class RayRuntime:
    """Fits in place or through Ray Train, publishes in place (a single shard) or through Ray Data."""

    def __init__(self, execution: Execution, stopping: Callable[[], bool] = never) -> None:
        self._execution, self._stopping = execution, stopping
        self.checkpoints = CheckpointRule(execution.checkpoint_s, execution.checkpoint_steps)
        self._here = LocalRuntime(self.checkpoints, execution.memory_bytes, stopping)

    def fit(self, job: FitJob, report: Report) -> Fitted:
        """Preempted, before anything is begun or once it is saved, where this node is about to be taken away."""
        if self._stopping():
            raise Preempted(f"its node is being taken away before generation {job.generation}")
        if self._execution.workers == 0 or not job.cohort.head.family.distributed:
            return self._here.fit(job, report)
        return fit_with_workers(job.within(self._execution.memory_bytes), self._execution, report, self._stopping)

    def publish(self, job: PublishJob, report: Report) -> list[ShardResult]:
        # A pipeline for one shard has nothing to stream. A trial with Train workers has no GPU of its own.
        if job.n_shards == 1 and not (self._execution.workers and self._execution.gpus):
            return self._here.publish(job, report)
        return publish_with_data(job, self._execution, report)
