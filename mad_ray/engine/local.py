"""The in-process runtime: no Ray, one thing after another."""

from mad_ray.engine.publish import PublishJob, ShardResult, publish_shard
from mad_ray.engine.runtime import FitJob, Report
from mad_ray.families.family import Model


class LocalRuntime:
    """Fits and publishes where it is called."""

    def fit(self, job: FitJob, report: Report) -> Model:
        return job.run(report)

    def publish(self, job: PublishJob, report: Report) -> list[ShardResult]:
        results = []
        for i in range(job.n_shards):
            results.append(publish_shard(job, i))
            report("sample", job.generation, (i + 1) / job.n_shards)
        return results
