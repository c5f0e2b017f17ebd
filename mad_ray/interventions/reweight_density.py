"""Raises the tails: rows weigh the more the thinner D^t is around them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.settings import STRICT
from mad_ray.interventions.coordinates import as_vectors, n_dimensions, n_symbols_of, principal_axes, project
from mad_ray.interventions.intervention import Lesson, Rows, State
from mad_ray.interventions.reading import BATCH, Taken, evenly
from mad_ray.interventions.reweighting import Reweights, require_strength
from mad_ray.interventions.rowwise import stacked

_NARROWEST = 1e-3
"""Of the median radius above 0: the smallest that is told from 0. Copies of a row would have an infinite density."""


@dataclass(frozen=True)
class ReweightDensity(Reweights):
    """w proportional to p(x)^(-strength), with p the density of D^t itself.

    p is k-nearest-neighbour density, k / (n V r_k^d) with r_k the distance of the k-th nearest other row and V r^d a
    ball's volume (Loftsgaarden and Quesenberry 1965), among n_fit rows in the space of their first principal
    components; of sequences of tokens, components of the shares of the tokens. Single symbols are counted, exactly.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "reweight_density"

    strength: float = 0.5
    """The power: 0 changes nothing, 1 would make weights even over all space."""
    max_ratio: float = 10.0
    """No row's weight is multiplied by more than this, or less than its inverse."""
    n_neighbours: int = 10
    """k: the density at a row is told from the distance of its k-th neighbour."""
    n_components: int = 4
    """Principal components in which distances are taken; at most as many as samples have dimensions."""
    n_fit: int = 1000
    """Rows of D^t, taken evenly, among which neighbours are sought."""

    def __post_init__(self) -> None:
        require_strength(self.name, self.strength, self.max_ratio)
        for name, least in (("n_neighbours", 1), ("n_components", 1), ("n_fit", self.n_neighbours + 1)):
            value = getattr(self, name)
            if value < least:
                raise InvalidInput(f"interventions.{self.name}.{name}={value}: expected at least {least}; raise it")

    def estimate(self, lesson: Lesson) -> dict[str, np.ndarray]:
        """log_share [B, V] of symbols; else mean, basis, reference [B, n_fit, k], n_reference [B], narrowest [B]."""
        if lesson.event.shape == (1,) and n_symbols_of(lesson.event):
            shape = len(lesson.keys.seeds), n_symbols_of(lesson.event)
            return {"log_share": _log_shares(lesson.training_set(), shape)}
        n_symbols, k = n_symbols_of(lesson.event), min(self.n_components, n_dimensions(lesson.event))
        return stacked([self._among(taken, n_symbols, k) for taken in evenly(lesson.training_set(), self.n_fit)])

    def log_factor(self, x: np.ndarray, label: np.ndarray, estimate: State) -> np.ndarray:
        """Minus the log density, up to a constant."""
        if "log_share" in estimate:
            return -estimate["log_share"][x.reshape(len(x)).astype(np.int64)]
        rows = project(estimate, as_vectors(x, int(estimate["n_symbols"])))
        reference = estimate["reference"][: int(estimate["n_reference"])]
        radius = other_radius(rows, reference, self.n_neighbours)
        return reference.shape[1] * np.log(np.maximum(radius, estimate["narrowest"]))

    def _among(self, taken: Taken, n_symbols: int, k: int) -> dict[str, np.ndarray]:
        rows = as_vectors(taken.x, n_symbols)
        axes = principal_axes(rows, k)
        placed = project(axes, rows)
        reference = np.zeros((self.n_fit, k))
        reference[: len(placed)] = placed
        radius = other_radius(placed, placed, self.n_neighbours)
        narrowest = _NARROWEST * float(np.median(radius[radius > 0])) if radius.any() else 1.0
        return {
            "mean": axes["mean"],
            "basis": axes["basis"],
            "reference": reference,
            "n_reference": np.array(len(placed)),
            "narrowest": np.array(narrowest),
            "n_symbols": np.array(n_symbols),
        }


def other_radius(rows: np.ndarray, reference: np.ndarray, k: int) -> np.ndarray:
    """rows [n, d], reference [m, d] -> the distance [n] of the k-th nearest one (the farthest if there are fewer).

    Nobody is its own neighbour: of those at distance 0, one does not count.
    """
    from scipy.spatial import KDTree

    k = min(k, max(len(reference) - 1, 1))
    near = np.atleast_2d(KDTree(reference).query(rows, k=[*range(1, min(k + 1, len(reference)) + 1)])[0])
    with_itself = near[:, 0] == 0
    return np.where(with_itself, near[:, min(k, near.shape[1] - 1)], near[:, k - 1])


def _log_shares(rows: Rows, shape: tuple[int, int]) -> np.ndarray:
    """[B, V]: log of each symbol's share of the weight; of those nobody has, that of the rarest one."""
    counts = np.zeros(shape)
    for batch in rows.batches(BATCH):
        for b in range(batch.n_trajectories):
            symbols, weight = batch.x[b].reshape(-1).astype(np.int64), batch.weight[b].astype(np.float64)
            counts[b] += np.bincount(symbols, weight, minlength=shape[1])
    return np.stack([_log_share(count) for count in counts])


def _log_share(count: np.ndarray) -> np.ndarray:
    rarest = count[count > 0].min(initial=np.inf)
    return np.log(np.maximum(count, rarest) / count.sum()) if np.isfinite(rarest) else np.zeros(len(count))
