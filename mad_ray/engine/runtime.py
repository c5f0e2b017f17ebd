"""The Runtime protocol: who carries out the two dear stages of a generation. engine/local.py and onray/ fulfil it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from mad_ray.core.keys import Keys
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.checkpoints import CheckpointRule, StoredCheckpoints
from mad_ray.engine.provenance import PeakMemory
from mad_ray.engine.publish import PublishJob, ShardResult
from mad_ray.engine.stream import TrainingSet
from mad_ray.families.family import Family, Model, Progress
from mad_ray.families.progress import never

Report = Callable[[str, int, float], None]
"""Told (stage, generation, share done in [0, 1]) now and then."""


def silent(stage: str, generation: int, share: float) -> None:
    """A Report that tells nobody."""


@dataclass(frozen=True)
class Fitted:
    """A model, and what it took. gpu_bytes: peak of the process on its GPU, 0 without one."""

    model: Model
    n_resumed: int = 0
    """Steps that an earlier attempt had done and saved."""
    gpu_bytes: int = 0


@dataclass(frozen=True)
class OtherModel:
    """A model that an intervention wants beside the generation's own: by these settings, starting from `initial`."""

    place: int
    family: Family
    initial: Model


@dataclass(frozen=True)
class FitJob:
    """One fit, as a value that pickles."""

    cohort: Cohort
    generation: int
    data: TrainingSet
    name: str
    """Unique and stable for (cohort, generation, attempt): what a distributed runtime files its own state under."""
    checkpoints: StoredCheckpoints | None = None
    """Where its progress is kept, if anywhere."""
    other: OtherModel | None = None
    """If it is not the generation's own model that is fitted."""

    @property
    def family(self) -> Any:
        """Whose settings it is fitted by."""
        return self.cohort.head.family if self.other is None else self.other.family

    @property
    def keys(self) -> Keys:
        keys = self.cohort.keys.at("fit", self.generation)
        return keys if self.other is None else keys.at("other", self.other.place)

    def within(self, memory_bytes: int) -> "FitJob":
        """The same fit, keeping no more of D^t in memory than that."""
        return replace(self, data=replace(self.data, memory_bytes=memory_bytes))

    def run(self, report: Report, stopping: Callable[[], bool] = never) -> Fitted:
        """Fit here and now, or as one of the workers of a distributed fit. Preempted once it was `stopping`."""
        initial = None if self.other is None else self.other.initial
        progress = Progress(lambda share: report("fit", self.generation, share), self.checkpoints, stopping, initial)
        with PeakMemory() as peak:
            model = self.family.fit(self.data, self.keys, progress)
        return Fitted(model, self.checkpoints.n_resumed if self.checkpoints else 0, peak.n_bytes)


class Runtime(Protocol):
    """Carries out fits and publications; the results are the same bytes whichever runtime it is."""

    checkpoints: CheckpointRule
    """When fits save their progress."""

    def fit(self, job: FitJob, report: Report) -> Fitted:
        """The model of one generation."""
        ...

    def publish(self, job: PublishJob, report: Report) -> list[ShardResult]:
        """Sample, write and measure every shard of one generation; results in the order of shards."""
        ...
