"""Decoding the user's data as a Ray Data pipeline: part numbers in, parts to the store."""

import logging
import os
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np

from mad_ray.engine.dataset import DecodeJob, PartResult, decode_here, decode_part
from mad_ray.onray.failures import pickle_error, real_cause, unpickled
from mad_ray.onray.sample import quiet_data

# A pipeline takes some seconds to start: few parts are decoded sooner without one.
FEW_PARTS = 2

logger = logging.getLogger(__name__)


def decode_with_data(job: DecodeJob) -> Iterator[PartResult]:
    """Every part's result, in any order. Memory: one part for each CPU.

    ProcessLost if Ray Data could not replace a process that died; else what the decoder raised.
    """
    if job.n_parts <= FEW_PARTS:
        yield from decode_here(job)
        return
    import ray

    quiet_data()
    # One block per part: a task that dies repeats its part only. Items need no read task, hence no CPU for one.
    parts = ray.data.from_items([{"part": i} for i in range(job.n_parts)], override_num_blocks=job.n_parts)
    # A Ray started here has more CPUs by name than the machine has.
    tasks = ray.data.TaskPoolStrategy(size=None if os.environ.get("RAY_ADDRESS") else os.cpu_count())
    # Ray's types do not know functions with further arguments.
    fn: Any = _decode
    decoded = parts.map_batches(fn, batch_size=1, fn_args=(job,), num_cpus=1, compute=tasks)
    try:
        for batch in decoded.iter_batches(batch_size=1):
            for item in batch["result"]:
                yield unpickled(item)
    except (ray.exceptions.RayError, ray.data.exceptions.ExecutionTimeoutError) as error:
        raise real_cause(error, "a process that decoded images") from error


def _decode(batch: dict[str, np.ndarray], job: DecodeJob) -> dict[str, Any]:
    return {"result": np.array([_try_part(job, int(i)) for i in batch["part"]], dtype=object)}


def _try_part(job: DecodeJob, i: int) -> bytes:
    """A part's pickled result, or the pickled exception: raised here it would come back wrapped and retold."""
    try:
        return pickle.dumps(decode_part(job, i))
    except Exception as error:
        logger.exception("part %d", i)
        return pickle_error(error)
