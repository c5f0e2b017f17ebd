"""What all re-weightings share: a power of what they estimate, bounded, and of mean 1 over D^t."""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite, log
from typing import Any, ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.interventions.intervention import Lesson, State
from mad_ray.interventions.reading import per_row
from mad_ray.interventions.rowwise import of


class Reweights:
    """A row's weight is multiplied by c e^(strength l), l what `log_factor` makes of the row, cut to at most max_ratio
    and at least 1 / max_ratio. c is such that the weights of D^t keep their sum: equal ones keep their mean, 1.

    So rows of equal l keep their weights to the byte.
    """

    name: ClassVar[str]
    strength: float
    max_ratio: float

    @property
    def n_real(self) -> int:
        """None, unless a subclass says so."""
        return 0

    @property
    def is_identity(self) -> bool:
        """Whether all powers, or all bounds, are 1."""
        return self.strength == 0 or self.max_ratio == 1

    def check(self, event: Event, loop: Loop, others: Sequence[Any]) -> None:
        """Any samples will do, unless a subclass says otherwise."""

    def estimate(self, lesson: Lesson) -> dict[str, np.ndarray]:
        """What `log_factor` needs: arrays, the trajectories in front."""
        raise NotImplementedError

    def log_factor(self, x: np.ndarray, label: np.ndarray, estimate: State) -> np.ndarray:
        """x [n, *event], label [n] of one trajectory and its part of the estimate -> l [n]; NaN: leave its weight."""
        raise NotImplementedError

    def learn(self, lesson: Lesson) -> State:
        """The estimate, and log_scale [B]: minus log c."""
        estimate = self.estimate(lesson)
        logs, weight = per_row(lesson.training_set(), lambda batch: self._logs(batch, estimate))
        scale = [log_scale(logs[b], weight[b], self.max_ratio) for b in range(len(logs))]
        return {**estimate, "log_scale": np.array(scale)}

    def admit(self, samples: Samples, state: State) -> Samples:
        """The same rows; weights [B, n] multiplied, float32."""
        logs = self._logs(samples, state)
        factor = factors(logs, state["log_scale"][:, None], self.max_ratio)
        return replace(samples, weight=(samples.weight * factor).astype(np.float32))

    def _logs(self, samples: Samples, state: State) -> np.ndarray:
        parts = [self.log_factor(samples.x[b], samples.label[b], of(state, b)) for b in range(samples.n_trajectories)]
        return self.strength * np.stack(parts)


def factors(logs: np.ndarray, scale: np.ndarray | float, max_ratio: float) -> np.ndarray:
    """e^(logs - scale), cut to 1 / max_ratio .. max_ratio; 1 where logs is NaN."""
    bound = log(max_ratio)
    return np.exp(np.clip(np.nan_to_num(logs - scale, nan=0.0), -bound, bound))


def log_scale(logs: np.ndarray, weight: np.ndarray, max_ratio: float) -> float:
    """logs [n], weight [n] -> the scale for which `factors` leave the sum of the weights as it is."""
    from scipy.optimize import brentq

    told = (weight > 0) & ~np.isnan(logs)
    logs, weight = logs[told], weight[told]
    if not len(logs) or np.ptp(logs) == 0 or max_ratio == 1:
        # Rows that are all alike: exactly, so that their weights stay to the byte.
        return float(logs[0]) if len(logs) else 0.0
    share, bound = weight / weight.sum(), log(max_ratio)

    def excess(scale: float) -> float:
        return float(share @ factors(logs, scale, max_ratio)) - 1.0

    return float(brentq(excess, logs.min() - bound, logs.max() + bound, xtol=1e-13, maxiter=500))


def require_strength(name: str, strength: float, max_ratio: float) -> None:
    """InvalidInput unless both can be used."""
    if not (isfinite(strength) and 0 <= strength <= 10):
        raise InvalidInput(
            f"interventions.{name}.strength={strength} is outside [0, 10]; 0 changes no weight, 1 is the full power"
        )
    if not (isfinite(max_ratio) and max_ratio >= 1):
        raise InvalidInput(
            f"interventions.{name}.max_ratio={max_ratio}: weights are multiplied by 1/max_ratio to max_ratio; "
            "give 1 (none is changed) or more"
        )
