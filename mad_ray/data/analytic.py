"""Analytic data: distributions whose moments are known exactly and whose rows never run out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments, exact_moments
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.core.summary import Summary
from mad_ray.core.wishart import drawn_moments, normal_rows

MAX_D = 4096
MAX_CONDITION = 1e12


@dataclass(frozen=True)
class GaussianData:
    """P_r = N(mu, Sigma) in d dimensions; by default N(0, I), the reference of the paper's Gaussian experiments."""

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "gaussian"
    n_rows: ClassVar[int | None] = None
    n_held_out: ClassVar[int | None] = None

    d: int = 100
    """Dimensions of the space."""
    mean: float = 0.0
    """Every coordinate of mu."""
    spectrum: Sequence[float] = ()
    """Variances of the coordinates, d of them. Left out: see condition."""
    condition: float = 1.0
    """Largest over smallest variance: coordinates have variances from 1 to 1 / condition, evenly on a log scale."""
    correlation: float = 0.0
    """rho: coordinates i and j have correlation rho^|i - j|. 0: variances are the eigenvalues of Sigma."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "spectrum", tuple(self.spectrum))
        _require(self.d >= 1, f"data.d={self.d}: a Gaussian needs at least 1 dimension")
        _require(self.d <= MAX_D, f"data.d={self.d}: a covariance of so many dimensions is too large; at most {MAX_D}")
        _require(math.isfinite(self.mean), f"data.mean={self.mean} is no number; give the coordinates of the mean")
        _require(
            len(self.spectrum) in (0, self.d),
            f"data.spectrum has {len(self.spectrum)} variances, d={self.d} coordinates need {self.d}; "
            "list them all, or give data.condition",
        )
        _require(
            all(0 < variance < math.inf for variance in self.spectrum),
            "data.spectrum: a variance is not above 0; leave that dimension out and lower data.d",
        )
        _require(
            not (self.spectrum and self.condition != 1),
            "data: spectrum and condition both say the variances; drop one of them",
        )
        _require(
            1 <= self.condition <= MAX_CONDITION,
            f"data.condition={self.condition}: largest over smallest variance is 1 (isotropic) to {MAX_CONDITION:g}",
        )
        _require(
            abs(self.correlation) < 1,
            f"data.correlation={self.correlation} leaves no spread in some direction; give a number between -1 and 1",
        )

    @property
    def event(self) -> Event:
        return Event((self.d,), "float64")

    def rows(self, start: int, stop: int, keys: Keys) -> Samples:
        return self._rows(start, stop, keys.at("gaussian"))

    def held_out(self, n: int) -> Samples:
        return self._rows(0, n, Keys((0,)).at("gaussian", "held-out"))

    def moments(self) -> Moments | None:
        return exact_moments(self._mean[None], self.covariance[None])

    def law(self) -> dict[str, np.ndarray]:
        """mean [d] and covariance [d, d]."""
        return {"mean": self._mean, "covariance": self.covariance}

    def draw(self, kind: type[Summary], start: int, stop: int, keys: Keys) -> Summary | None:
        """The moments of training rows start..stop, without the rows."""
        if kind is not Moments:
            return None
        return drawn_moments(self._mean[None], _root(self), start, stop, keys.at("gaussian"))

    @property
    def variances(self) -> np.ndarray:
        """Of the coordinates [d]."""
        if self.spectrum:
            return np.array(self.spectrum, dtype=np.float64)
        return self.condition ** -np.linspace(0.0, 1.0, self.d)

    @property
    def covariance(self) -> np.ndarray:
        """Sigma [d, d]."""
        spread, i = np.sqrt(self.variances), np.arange(self.d)
        correlation = float(self.correlation) ** np.abs(i[:, None] - i)
        return correlation * spread[:, None] * spread if self.correlation else np.diag(self.variances)

    @property
    def _mean(self) -> np.ndarray:
        return np.full(self.d, float(self.mean))

    def _rows(self, start: int, stop: int, keys: Keys) -> Samples:
        return Samples.of(normal_rows(self._mean[None], _root(self), start, stop, keys))


@lru_cache(maxsize=8)
def _root(data: GaussianData) -> np.ndarray | None:
    """As drawn_moments wants it: None for the identity, standard deviations [d], or lower-triangular [1, d, d].

    Row i of the correlations' root is rho times row i - 1, and sqrt(1 - rho^2) on the diagonal: x_i follows x_(i-1).
    """
    spread, rho = np.sqrt(data.variances), float(data.correlation)
    if not rho:
        return None if np.all(spread == 1) else spread
    i = np.arange(data.d)
    root = np.tril(rho ** np.abs(i[:, None] - i))
    root[:, 1:] *= math.sqrt((1 - rho) * (1 + rho))
    return (root * spread[:, None])[None]


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InvalidInput(message)
