"""Sampling as a Ray Data pipeline: shard numbers in, shards to the store, measurements out in the same pass."""

import logging
import pickle
from typing import Any

import numpy as np

from mad_ray.engine.publish import PublishJob, ShardResult, publish_shard
from mad_ray.engine.runtime import Report
from mad_ray.engine.threads import fix_threads
from mad_ray.onray.failures import pickle_error, real_cause, unpickled
from mad_ray.onray.resources import Execution

# Seconds without any progress before Ray Data gives up; its default is 1,800.
NO_PROGRESS_S = 600

logger = logging.getLogger(__name__)


def publish_with_data(job: PublishJob, execution: Execution, report: Report) -> list[ShardResult]:
    """Every shard's result, in the order of shards. Memory: one shard per sampler, whatever n is.

    ProcessLost if Ray Data could not replace a sampler that died; else what the sampler raised.
    """
    import ray

    quiet_data()
    # One block per shard: a task that dies repeats its shard only. Items need no read task, hence no CPU for one.
    shards = ray.data.from_items([{"shard": i} for i in range(job.n_shards)], override_num_blocks=job.n_shards)
    published = shards.map_batches(batch_size=1, **_sampler(job, execution))
    results: list[ShardResult] = []
    try:
        for batch in published.iter_batches(batch_size=1):
            for item in batch["result"]:
                results.append(unpickled(item))
                report("sample", job.generation, len(results) / job.n_shards)
    except (ray.exceptions.RayError, ray.data.exceptions.ExecutionTimeoutError) as error:
        raise real_cause(error, "a sampler") from error
    return sorted(results, key=lambda result: result.shard.start)


def quiet_data() -> None:
    """Ray Data without progress bars, and with the reader that is fast on small files. Settings are per process."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.use_datasource_v2 = False
    context.execution_no_progress_timeout_s = NO_PROGRESS_S
    for name in ("ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _sampler(job: PublishJob, execution: Execution) -> dict[str, Any]:
    """What to map, and with which resources: stateless tasks, or actors that live as long as the pipeline."""
    import ray

    resources = {"num_cpus": execution.cpus, "num_gpus": execution.sampler_gpus or None}
    # Ray ends the process of a GPU task after every call; an actor pays for its start once a generation.
    if execution.sampler_actors or execution.sampler_gpus:
        strategy = ray.data.ActorPoolStrategy(size=execution.samplers)
        return {
            "fn": _Sampler,
            "fn_constructor_args": (job, execution.threads),
            "compute": strategy,
            **resources,
        }
    tasks = ray.data.TaskPoolStrategy(size=execution.samplers)
    return {"fn": _sample, "fn_args": (job, execution.threads), "compute": tasks, **resources}


def _sample(batch: dict[str, np.ndarray], job: PublishJob, threads: int) -> dict[str, Any]:
    fix_threads(threads)
    return {"result": np.array([_try_shard(job, int(i)) for i in batch["shard"]], dtype=object)}


def _try_shard(job: PublishJob, i: int) -> bytes:
    """A shard's pickled result, or the pickled exception: raised here it would come back wrapped and retold."""
    try:
        return pickle.dumps(publish_shard(job, i))
    except Exception as error:
        logger.exception("shard %d of generation %d", i, job.generation)
        return pickle_error(error)


class _Sampler:
    """An actor that keeps model and extractor from shard to shard (publish_shard caches both per process)."""

    def __init__(self, job: PublishJob, threads: int) -> None:
        self._job, self._threads = job, threads

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        return _sample(batch, self._job, self._threads)
