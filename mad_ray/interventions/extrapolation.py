"""Moving a model away from what training on its own samples makes of it: in its weights, or in its score."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event
from mad_ray.core.settings import STRICT
from mad_ray.interventions.intervention import State

NET = "net."


@dataclass(frozen=True)
class Away:
    """What both methods share: the other model goes on from the first, and is trained on the first one's samples."""

    __pydantic_config__ = STRICT

    n_real: ClassVar[int] = 0
    score_only: ClassVar[bool] = False
    """Whether it takes a model that predicts a score, noise or velocity."""

    w: float = 0.5
    """How far away; 0 leaves the model as it is."""
    n_samples: int = 1000
    """Of the model's own unbiased samples (lambda = 1), how many the other one is trained on."""
    steps: float = 0.25
    """The other one's training steps, as a share of the family's."""
    learning_rate: float = 0.1
    """The other one's learning rate, as a share of the family's."""

    def __post_init__(self) -> None:
        name: str = self.name  # type: ignore[attr-defined]
        for setting, holds, usual in (
            ("w", self.w >= 0, "0.5"),
            ("n_samples", self.n_samples >= 1, "1000"),
            ("steps", self.steps > 0, "0.25"),
            ("learning_rate", self.learning_rate > 0, "0.1"),
        ):
            if not holds:
                value = getattr(self, setting)
                raise InvalidInput(f"interventions.{name}.{setting}={value} is too small; typical: {usual}")

    @property
    def is_identity(self) -> bool:
        """Whether it stays where it is."""
        return self.w == 0

    def check(self, event: Event, loop: Loop, others: Sequence[Any]) -> None:
        """Any samples will do; of families `config` asks for networks."""

    def auxiliary(self, family: Any) -> Any:
        """The family's settings, with fewer and smaller steps."""
        n_steps = max(1, round(self.steps * family.steps_of(self.n_samples)))
        return replace(family, n_steps=n_steps, epochs=0, learning_rate=self.learning_rate * family.learning_rate)


@dataclass(frozen=True)
class WeightExtrapolation(Away):
    """theta + w (theta - theta_s): Neon, negative extrapolation from self-training (Alemohammad et al. 2025).

    theta_s goes on from theta, trained on theta's own samples. Neon improves one model that was trained on real data,
    and searches w for the best FID; here every generation is moved, its D^t whatever the loop mixes, by a w that is
    set. All floating-point arrays of the network are moved, so that batch statistics are too.
    """

    __pydantic_config__ = STRICT
    name: ClassVar[str] = "weight_extrapolation"

    def combine(self, model: State, auxiliary: State) -> dict[str, np.ndarray]:
        """The network's arrays moved, all others as they are."""
        return {name: self._moved(array, auxiliary[name]) if name.startswith(NET) else array
                for name, array in model.items()}  # fmt: skip

    def _moved(self, array: np.ndarray, other: np.ndarray) -> np.ndarray:
        if not np.issubdtype(array.dtype, np.floating):
            return array
        return (array + self.w * (array.astype(np.float64) - other)).astype(array.dtype)


@dataclass(frozen=True)
class NegativeGuidance(Away):
    """(1 + w) s - w s_aux while sampling: SIMS, self-improving models with synthetic data (Alemohammad et al. 2024).

    s_aux goes on from s, trained on its own samples. SIMS does it once and, for a fixed w, shows that a loop of it does
    not go MAD; here it is done in every generation. Families whose network predicts noise, v or a velocity: these are
    linear in the score at given x and t, and the weights sum to 1, so that the rule for them is the same.
    """

    __pydantic_config__ = STRICT
    name: ClassVar[str] = "negative_guidance"
    score_only: ClassVar[bool] = True

    def combine(self, model: State, auxiliary: State) -> dict[str, np.ndarray]:
        """Both networks; families sample away from one that they find (families/away.py)."""
        other = {f"away.{name}": array for name, array in auxiliary.items() if name.startswith(NET)}
        return {**model, **other, "away.w": np.array(self.w)}
