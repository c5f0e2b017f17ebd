"""Evens out the classes: rows weigh the more the rarer their class is in D^t."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event
from mad_ray.core.settings import STRICT
from mad_ray.interventions.intervention import Lesson, State
from mad_ray.interventions.reading import BATCH
from mad_ray.interventions.reweighting import Reweights, require_strength


@dataclass(frozen=True)
class ReweightClasses(Reweights):
    """w proportional to (share of the row's class in D^t)^(-strength). At 1 all classes weigh the same.

    Rows without label keep their weight, and the others share theirs among themselves.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "reweight_classes"

    strength: float = 1.0
    """The power: 0 changes nothing, 1 gives all classes the same weight."""
    max_ratio: float = 10.0
    """No row's weight is multiplied by more than this, or less than its inverse."""

    def __post_init__(self) -> None:
        require_strength(self.name, self.strength, self.max_ratio)

    def check(self, event: Event, loop: Loop, others: Sequence[Any]) -> None:
        """Samples need labels."""
        if event.n_classes == 0:
            raise InvalidInput(
                f"interventions.{self.name} needs labels; data of {event.dtype} samples of shape {list(event.shape)} "
                "has none: take reweight_density, or labelled data"
            )

    def estimate(self, lesson: Lesson) -> dict[str, np.ndarray]:
        """weight [B, n_classes] of each class in D^t."""
        total = np.zeros((len(lesson.keys.seeds), lesson.event.n_classes))
        for batch in lesson.training_set().batches(BATCH):
            for b in range(batch.n_trajectories):
                total[b] += _by_class(batch.label[b], batch.weight[b].astype(np.float64), lesson.event.n_classes)
        return {"class_weight": total}

    def log_factor(self, x: np.ndarray, label: np.ndarray, estimate: State) -> np.ndarray:
        """Minus the log weight of the row's class; NaN without label, or where that class has no weight at all."""
        weight = estimate["class_weight"]
        of_row = np.where(label >= 0, weight[np.maximum(label, 0)], np.nan)
        return -np.log(np.where(of_row > 0, of_row, np.nan))


def _by_class(label: np.ndarray, weight: np.ndarray, n_classes: int) -> np.ndarray:
    labelled = label >= 0
    return np.bincount(label[labelled], weight[labelled], minlength=n_classes)
