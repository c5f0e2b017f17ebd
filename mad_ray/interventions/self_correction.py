"""Self-correction: samples are pulled towards a reference of real rows before they are published."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.interventions.coordinates import flat, is_image, n_symbols_of
from mad_ray.interventions.intervention import Lesson, State


@dataclass(frozen=True)
class SelfCorrection:
    """x' = (x + gamma pi(x)) / (1 + gamma), with pi(x) the nearest of n_centres k-means centres of real rows.

    After Gillman et al. 2024, "Self-Correcting Self-Consuming Loops". Their theory mixes two distributions, the model's
    and gamma times the best one, over 1 + gamma; here every sample is moved by as much. Their MNIST experiment puts the
    nearest k-means centre in the place of each image, which is gamma to infinity. What differs: they cluster each digit
    by itself and take the centres of a sample's label; here all real rows are clustered together, and labels are not
    looked at. Their centres come from the training data, these from rows that no D^t holds. Pixels are rounded to whole
    levels, so a small gamma may leave an image as it is.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "self_correction"

    gamma: float = 1.0
    """How strongly samples are pulled: 0 leaves them, 1 takes them half of the way to their centre."""
    n_centres: int = 16
    """K: centres that stand for the real data."""
    n_real: int = 500
    """Real rows that are clustered, once, beyond those of the loop."""

    def __post_init__(self) -> None:
        if not (isfinite(self.gamma) and self.gamma >= 0):
            raise InvalidInput(f"interventions.{self.name}.gamma={self.gamma}: expected 0 (no correction) or more")
        if not 1 <= self.n_centres <= self.n_real:
            raise InvalidInput(
                f"interventions.{self.name}.n_centres={self.n_centres}: expected 1 to n_real={self.n_real} centres"
            )

    @property
    def is_identity(self) -> bool:
        """Whether nothing is pulled."""
        return self.gamma == 0

    def check(self, event: Event, loop: Loop, others: Sequence[Any]) -> None:
        """Samples need means."""
        if n_symbols_of(event) or event.dtype.startswith("int"):
            raise InvalidInput(
                f"interventions.{self.name} moves samples towards means; data gives symbols, which have none: "
                "use images or vectors"
            )

    def learn_once(self, lesson: Lesson) -> State:
        """centre [B, K, d] float64, in the units of the samples."""
        real = lesson.real(self.n_real)
        return {"centre": np.stack([self._centres(real.x[b], lesson.keys, b) for b in range(real.n_trajectories)])}

    def publish(self, samples: Samples, generation: int, state: State) -> Samples:
        """x pulled, of the same shape and type; labels and weights as they are."""
        moved = [self._pulled(samples.x[b], state["centre"][b]) for b in range(samples.n_trajectories)]
        return replace(samples, x=np.stack(moved))

    def _centres(self, x: np.ndarray, keys: Keys, b: int) -> np.ndarray:
        return k_means(flat(x).astype(np.float64), self.n_centres, keys.generator(b, "centres"))

    def _pulled(self, x: np.ndarray, centre: np.ndarray) -> np.ndarray:
        rows = flat(x).astype(np.float64)
        pulled = (rows + self.gamma * centre[_nearest(rows, centre)]) / (1 + self.gamma)
        if is_image(Event(x.shape[1:], str(x.dtype))):
            pulled = np.rint(pulled)
        return pulled.reshape(x.shape).astype(x.dtype)


def k_means(rows: np.ndarray, k: int, generator: np.random.Generator) -> np.ndarray:
    """rows [n, d] -> centres [k, d], float64: scikit-learn's k-means, the best of ten starts."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Fewer distinct rows than centres: some are found twice.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(k, n_init=10, random_state=int(generator.integers(2**32))).fit(rows).cluster_centers_


def _nearest(rows: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The nearest centre's number, [n]. SciPy takes pairs one by one: no row's answer depends on another's."""
    from scipy.spatial.distance import cdist

    return cdist(rows, centre, "sqeuclidean").argmin(axis=1)
