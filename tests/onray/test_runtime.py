"""What the Ray runtime does without Ray."""

import numpy as np
import ray

from mad_ray.core.loop import compose, fully_synthetic
from mad_ray.core.trajectory import Cohort, Trajectory
from mad_ray.data import GaussianData
from mad_ray.engine.local import LocalRuntime
from mad_ray.engine.runtime import FitJob, silent
from mad_ray.engine.stream import TrainingSet
from mad_ray.families import Gaussian
from mad_ray.metrics.measure import Metrics
from mad_ray.onray.resources import Execution
from mad_ray.onray.runtime import RayRuntime


def test_a_family_that_cannot_be_shared_is_fitted_in_place_whatever_workers_others_get():
    """So that one study may hold DDPMs with workers and Gaussians."""
    loop = fully_synthetic(n_initial=50)
    cohort = Cohort((Trajectory(GaussianData(d=3), Gaussian(), loop, Metrics(n=20), n_generations=2, seed=0),))
    data = TrainingSet(GaussianData(d=3), cohort.keys.at("real"), compose(loop, 1), {})
    job = FitJob(cohort, 1, data, "test")
    shared = RayRuntime(Execution(workers=2)).fit(job, silent).model
    assert not ray.is_initialized()
    alone = LocalRuntime().fit(job, silent).model
    assert shared.keys() == alone.keys()
    assert all(np.array_equal(shared[name], alone[name]) for name in alone)
