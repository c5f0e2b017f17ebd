"""What a study needs of a cluster, checked before anything starts: too little would wait for ever."""

from dataclasses import dataclass

from mad_ray.core.errors import Insufficient
from mad_ray.families.spool import MEMORY_BYTES


@dataclass(frozen=True)
class Execution:
    """How trials run; the execution settings of a config that workers need to know. Pickles."""

    max_concurrent: int = 2
    workers: int = 0
    min_workers: int = 0
    """Of an elastic fit: it starts with so many, if there are no more. 0: with exactly `workers`."""
    samplers: int = 1
    sampler_actors: bool = False
    threads: int = 1
    cpus: float = 1
    gpus: float = 0
    retries: int = 3
    checkpoint_s: float = 60.0
    checkpoint_steps: int = 0
    memory_bytes: int = MEMORY_BYTES
    trial_memory: int = 0
    """MiB that a trial's process, and each worker of its fit, may allocate; 0: no limit."""
    folders: tuple[str, ...] = ()
    """Where processes find the user's own modules."""
    max_cpus: float = 0
    max_gpus: float = 0
    """What an autoscaling cluster may grow to."""

    @property
    def fewest_workers(self) -> int:
        """Workers without which no fit starts."""
        return self.min_workers or self.workers

    @property
    def is_elastic(self) -> bool:
        return self.fewest_workers < self.workers

    @property
    def reserved_bytes(self) -> dict[str, int]:
        """What Ray is told of the memory that a process takes, in Ray's own name for it."""
        return {"memory": self.trial_memory << 20} if self.trial_memory else {}

    @property
    def peak_gib(self) -> float:
        """GiB that one trial cannot do without, as far as they are limited."""
        return self.trial_memory * (1 + self.fewest_workers) / 1024

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
        """CPUs that one trial cannot do without: its own, and those of its fit's workers or its samplers."""
        return self.cpus * (1 + max(self.fewest_workers, self.samplers))

    @property
    def peak_gpus(self) -> float:
        """GPUs that one trial cannot do without."""
        return self.trial_gpus + max(self.fewest_workers * self.gpus, self.samplers * self.sampler_gpus)


def check_resources(execution: Execution, n_trials: int, cpus: float, gpus: float) -> None:
    """Insufficient if the trials that run at once can starve each other on a cluster of that size, fully grown."""
    at_once = min(execution.max_concurrent, n_trials)
    kinds = (
        ("CPUs", execution.peak_cpus, cpus, execution.max_cpus),
        ("GPUs", execution.peak_gpus, gpus, execution.max_gpus),
    )
    for kind, per_trial, has, grows_to in kinds:
        needed = at_once * per_trial
        if needed > max(has, grows_to):
            offers = f"grows to {grows_to:g}" if grows_to > has else f"offers {has:g}"
            raise Insufficient(
                f"the cluster {offers} {kind} where {at_once} trials at once need {needed:g} "
                f"({per_trial:g} each: the trial, and its workers or its samplers); "
                "lower run.max_concurrent, run.workers or run.samplers, or add nodes, or say with "
                f"run.max_{kind.lower()} how far the cluster grows by itself"
            )


def check_memory(execution: Execution, n_trials: int, gib: float) -> None:
    """Insufficient if the trials that run at once would wait for each other's memory. (Clusters that grow may.)"""
    at_once = min(execution.max_concurrent, n_trials)
    needed = at_once * execution.peak_gib
    if needed > gib and not execution.max_cpus:
        raise Insufficient(
            f"the cluster offers {gib:.1f} GiB of memory where {at_once} trials at once reserve {needed:.1f} "
            f"(run.trial_memory={execution.trial_memory} MiB for each of their processes); "
            "lower run.trial_memory, run.max_concurrent or run.workers, or add nodes"
        )
