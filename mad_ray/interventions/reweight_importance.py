"""Pulls D^t towards the real data: rows weigh the more the likelier they are to be real."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.settings import STRICT
from mad_ray.interventions.coordinates import as_vectors, n_dimensions, n_symbols_of, principal_axes, project
from mad_ray.interventions.intervention import Lesson, State
from mad_ray.interventions.reading import Taken, evenly
from mad_ray.interventions.reweighting import Reweights, require_strength
from mad_ray.interventions.rowwise import stacked
from mad_ray.steady import in_batches


@dataclass(frozen=True)
class ReweightImportance(Reweights):
    """w proportional to (p_real(x) / p_D(x))^strength, p_D the density of D^t: importance weights.

    The ratio is the odds of a probabilistic classifier of the two (Bickel, Brueckner and Scheffer 2007; Sugiyama,
    Suzuki and Kanamori 2012): logistic regression on standardised principal components of both and on their squares.
    That is exact for two Gaussians whose axes are alike; it cannot see correlations that differ.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "reweight_importance"

    strength: float = 1.0
    """The power: 0 changes nothing, 1 is the full ratio."""
    max_ratio: float = 10.0
    """No row's weight is multiplied by more than this, or less than its inverse."""
    n_real: int = 500
    """Real rows that it learns from, beyond those of the loop, in every generation."""
    n_components: int = 16
    """Principal components that the classifier sees; at most as many as samples have dimensions."""
    n_fit: int = 2000
    """Rows of D^t, taken evenly, that it learns from."""

    def __post_init__(self) -> None:
        require_strength(self.name, self.strength, self.max_ratio)
        for name, least in (("n_real", 2), ("n_components", 1), ("n_fit", 2)):
            value = getattr(self, name)
            if value < least:
                raise InvalidInput(f"interventions.{self.name}.{name}={value}: expected at least {least}; raise it")

    def estimate(self, lesson: Lesson) -> dict[str, np.ndarray]:
        """mean [B, d], basis [B, d, k], spread [B, k], coefficients [B, 1 + 2k] and n_symbols [B]."""
        n_symbols, k = n_symbols_of(lesson.event), min(self.n_components, n_dimensions(lesson.event))
        taken, real = evenly(lesson.training_set(), self.n_fit), lesson.real(self.n_real)
        return stacked([_ratio(real.x[b], taken[b], n_symbols, k) for b in range(len(taken))])

    def log_factor(self, x: np.ndarray, label: np.ndarray, estimate: State) -> np.ndarray:
        """log p_real - log p_D."""
        seen = _features(estimate, as_vectors(x, int(estimate["n_symbols"])))
        return in_batches(lambda batch: estimate["coefficients"][0] + batch @ estimate["coefficients"][1:], seen)


def _ratio(real: np.ndarray, taken: Taken, n_symbols: int, k: int) -> dict[str, np.ndarray]:
    """Both halves weigh the same in the classifier, so that its log odds are the log ratio."""
    rows = as_vectors(np.concatenate([real, taken.x]), n_symbols)
    axes = principal_axes(rows, k)
    spread = np.sqrt(np.where(axes["variance"] > 0, axes["variance"], 1.0))
    estimate = {"mean": axes["mean"], "basis": axes["basis"], "spread": spread}
    is_real = np.arange(len(rows)) < len(real)
    of_taken = taken.weight / taken.weight.sum()
    weight = len(rows) / 2 * np.concatenate([np.full(len(real), 1 / len(real)), of_taken])
    coefficients = log_odds(_features(estimate, rows), is_real, weight)
    return {**estimate, "coefficients": coefficients, "n_symbols": np.array(n_symbols)}


def log_odds(features: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """features [n, p], target [n] bool, weight [n] -> intercept and coefficients [1 + p] of the log odds of target.

    scikit-learn's penalty of |coefficients|^2 / 2 keeps separable classes finite, and is lost in many rows.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(solver="newton-cholesky", tol=1e-9).fit(features, target, weight)
    return np.concatenate([fitted.intercept_, fitted.coef_[0]])


def _features(estimate: State, rows: np.ndarray) -> np.ndarray:
    """rows [n, d] -> standardised components and their squares [n, 2k]."""
    z = project(estimate, rows) / estimate["spread"]
    return np.concatenate([z, z * z], axis=1)
