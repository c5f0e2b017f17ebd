"""The Runtime protocol: who carries out the two dear stages of a generation. engine/local.py and onray/ fulfil it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mad_ray.core.keys import Keys
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.publish import PublishJob, ShardResult
from mad_ray.engine.stream import TrainingSet
from mad_ray.families.family import Model

Report = Callable[[str, int, float], None]
"""Told (stage, generation, share done in [0, 1]) now and then."""


def silent(stage: str, generation: int, share: float) -> None:
    """A Report that tells nobody."""


@dataclass(frozen=True)
class FitJob:
    """One fit, as a value that pickles."""

    cohort: Cohort
    generation: int
    data: TrainingSet
    name: str
    """Unique and stable for (cohort, generation, attempt): what a distributed runtime files its own state under."""

    @property
    def keys(self) -> Keys:
        return self.cohort.keys.at("fit", self.generation)

    def run(self, report: Report) -> Model:
        """Fit here and now, or as one of the workers of a distributed fit."""
        return self.cohort.head.family.fit(self.data, self.keys, lambda share: report("fit", self.generation, share))


class Runtime(Protocol):
    """Carries out fits and publications; the results are the same bytes whichever runtime it is."""

    def fit(self, job: FitJob, report: Report) -> Model:
        """The model of one generation."""
        ...

    def publish(self, job: PublishJob, report: Report) -> list[ShardResult]:
        """Sample, write and measure every shard of one generation; results in the order of shards."""
        ...
