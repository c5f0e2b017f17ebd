"""A fit with several workers: Ray Train starts them, each runs the family's own `fit` (SPMD)."""

import tempfile
from typing import Any

from mad_ray.engine.runtime import FitJob, Fitted, Report, silent
from mad_ray.engine.threads import fix_threads
from mad_ray.onray.failures import real_cause
from mad_ray.onray.resources import Execution


def fit_with_workers(job: FitJob, execution: Execution, report: Report) -> Fitted:
    """What rank 0 comes to; every rank computes the same one. ProcessLost if a worker died, else what it raised."""
    from ray.exceptions import RayError
    from ray.train import RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    scaling = ScalingConfig(
        num_workers=execution.workers,
        use_gpu=execution.gpus > 0,
        resources_per_worker={"CPU": execution.cpus, **({"GPU": execution.gpus} if execution.gpus else {})},
    )
    with tempfile.TemporaryDirectory(prefix="mad-ray-train-") as folder:
        trainer = TorchTrainer(
            _work,  # type: ignore[arg-type]
            train_loop_config={"job": job, "threads": execution.threads},
            scaling_config=scaling,
            # A Trainer of a known name resumes its newest checkpoint: the name is the attempt's own.
            run_config=RunConfig(name=job.name, storage_path=folder),
        )
        try:
            result = trainer.fit()
        except (TrainingFailedError, RayError) as error:
            raise real_cause(error, "a worker of the fit") from error
    report("fit", job.generation, 1.0)
    # Train v2 returns what rank 0 returned; the installed stubs do not know it.
    return result.return_value  # type: ignore[attr-defined]


def _work(config: dict[str, Any]) -> Fitted:
    fix_threads(config["threads"])
    job: FitJob = config["job"]
    return job.run(silent)
