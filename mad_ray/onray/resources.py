"""What a study needs of a cluster, checked before anything starts: too little would wait for ever."""

from dataclasses import dataclass

from mad_ray.core.errors import Insufficient
from mad_ray.families.spool import MEMORY_BYTES


@dataclass(frozen=True)
class Execution:
    """How trials run; the execution settings of a config that workers need to know. Pickles."""

    max_concurrent: int = 2
    workers: int = 0
    samplers: int = 1
    sampler_actors: bool = False
    threads: int = 1
    cpus: float = 1
    gpus: float = 0
    retries: int = 3
    checkpoint_s: float = 60.0
    checkpoint_steps: int = 0
    memory_bytes: int = MEMORY_BYTES
    folders: tuple[str, ...] = ()
    """Where processes find the user's own modules."""

    @property
    def trial_gpus(self) -> float:
        """A fit in place shares its GPU with the sampler, half each; Train workers take theirs and give them back."""
        return 0 if self.workers else self.gpus / 2

    @property
    def sampler_gpus(self) -> float:
        """Each sampler's share."""
        return (self.gpus if self.workers else self.gpus / 2) / self.samplers

    @property
    def peak_cpus(self) -> float:
        """CPUs that one trial holds at most: itself, and its fit's workers or its samplers."""
        return self.cpus * (1 + max(self.workers, self.samplers))

    @property
    def peak_gpus(self) -> float:
        """GPUs that one trial holds at most."""
        return self.trial_gpus + max(self.workers * self.gpus, self.samplers * self.sampler_gpus)


def check_resources(execution: Execution, n_trials: int, cpus: float, gpus: float) -> None:
    """Insufficient if the trials that run at once can starve each other on a cluster of that size."""
    at_once = min(execution.max_concurrent, n_trials)
    for kind, per_trial, offered in (("CPUs", execution.peak_cpus, cpus), ("GPUs", execution.peak_gpus, gpus)):
        needed = at_once * per_trial
        if needed > offered:
            raise Insufficient(
                f"the cluster offers {offered:g} {kind} where {at_once} trials at once need {needed:g} "
                f"({per_trial:g} each: the trial, and its workers or its samplers); "
                "lower run.max_concurrent, run.workers or run.samplers, or add nodes"
            )
