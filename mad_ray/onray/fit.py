"""A fit with several workers: Ray Train starts them, each runs the family's own `fit` (SPMD)."""

import tempfile
from collections.abc import Callable
from typing import Any

from mad_ray.core.errors import Preempted
from mad_ray.engine.memory import limited
from mad_ray.engine.runtime import FitJob, Fitted, Report, silent
from mad_ray.engine.threads import fix_threads
from mad_ray.families.progress import never
from mad_ray.onray.elastic import scaling_of
from mad_ray.onray.failures import real_cause
from mad_ray.onray.preemption import this_node, watched
from mad_ray.onray.resources import Execution


def fit_with_workers(job: FitJob, execution: Execution, report: Report, stopping: Callable[[], bool] = never) -> Fitted:
    """What rank 0 comes to; every rank computes the same one. ProcessLost if a worker died, else what it raised.

    A worker whose node is being taken away stops them all, once their state is saved. Others begin where they ended,
    unless it is this process's node too (`stopping`): then it is Preempted.
    """
    while True:
        try:
            fitted = _fit(job, execution)
        except Preempted:
            if stopping():
                raise
            continue
        report("fit", job.generation, 1.0)
        return fitted


def _fit(job: FitJob, execution: Execution) -> Fitted:
    from ray.exceptions import RayError
    from ray.train import RunConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    with tempfile.TemporaryDirectory(prefix="mad-ray-train-") as folder:
        trainer = TorchTrainer(
            _work,  # type: ignore[arg-type]
            train_loop_config={"job": job, "execution": execution, "trial_node": this_node()},
            scaling_config=scaling_of(execution),
            # A Trainer of a known name resumes its newest checkpoint: the name is the attempt's own.
            run_config=RunConfig(name=job.name, storage_path=folder),
        )
        try:
            result = trainer.fit()
        except (TrainingFailedError, RayError) as error:
            raise real_cause(error, "a worker of the fit") from error
    # Train v2 returns what rank 0 returned; the installed stubs do not know it.
    return result.return_value  # type: ignore[attr-defined]


def _work(config: dict[str, Any]) -> Fitted:
    job: FitJob = config["job"]
    execution: Execution = config["execution"]
    fix_threads(execution.threads)
    # The trial's node takes the fit with it: its end is the end of all.
    with watched({this_node(), config["trial_node"]}) as notice, limited(execution.trial_memory):
        return job.run(silent, notice)
