"""Rosenbrock: a thin banana in the plane with long tails, the data of the paper's figure 17."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments, exact_moments
from mad_ray.core.rows import CHUNK, by_chunks
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.core.summary import Summary

N_LAW = 4096
"""Held-out rows that the law carries, for likelihoods: a standard error of about 1/64 nat."""


@dataclass(frozen=True)
class Rosenbrock:
    """P_r: p(x, y) proportional to exp(-((a - x)^2 + b (y - x^2)^2) / scale), sampled exactly: x ~ N(a, scale / 2),
    then y ~ N(x^2, scale / (2 b)).

    Rosenbrock's function, a = 1 and b = 100, as an energy (Goodman and Weare 2010 take scale = 20, which makes
    it ten times as high). The paper gives no numbers. Rows carry no label.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "rosenbrock"
    n_rows: ClassVar[int | None] = None
    n_held_out: ClassVar[int | None] = None

    a: float = 1.0
    """a: the mean of x."""
    b: float = 100.0
    """b: how thin the banana is; y lies within about sqrt(scale / (2 b)) of x^2."""
    scale: float = 2.0
    """What the function is divided by: x has variance scale / 2, 1 by default, so this says how far the arms reach."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.a):
            raise InvalidInput(f"data.a={self.a} is no number; give the mean of x, such as 1")
        for name in ("b", "scale"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InvalidInput(f"data.{name}={value} leaves no density; give a number above 0")

    @property
    def event(self) -> Event:
        return Event((2,), "float64")

    @property
    def variances(self) -> tuple[float, float]:
        """Of x, and of y around x^2."""
        return self.scale / 2, self.scale / (2 * self.b)

    def rows(self, start: int, stop: int, keys: Keys) -> Samples:
        """Every 1,024 rows have a stream."""
        return Samples.of(self._addressed(keys.at("rosenbrock"), start, stop))

    def held_out(self, n: int) -> Samples:
        return Samples.of(self._addressed(Keys((0,)).at("rosenbrock", "held-out"), 0, n))

    def moments(self) -> Moments | None:
        """Mean (a, a^2 + v) and covariance [[v, 2 a v], [2 a v, 2 v^2 + 4 a^2 v + u]], with v and u the variances of x
        and of y around x^2: moments of a Gaussian up to the fourth."""
        (v, u), a = self.variances, self.a
        mean = np.array([[a, a * a + v]])
        return exact_moments(mean, np.array([[[v, 2 * a * v], [2 * a * v, 2 * v * v + 4 * a * a * v + u]]]))

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """x [..., 2] -> log p [...], in nats. The map to (x, y - x^2) keeps volumes, so it is that of two Gaussians."""
        v, u = self.variances
        energy = np.square(x[..., 0] - self.a) / v + np.square(x[..., 1] - np.square(x[..., 0])) / u
        return -0.5 * energy - math.log(2 * math.pi) - 0.5 * math.log(v * u)

    def law(self) -> dict[str, np.ndarray]:
        """held_out [4096, 2], rows that no training set holds, and entropy [] in nats: the least nll of any model."""
        v, u = self.variances
        entropy = 1 + math.log(2 * math.pi) + 0.5 * math.log(v * u)
        return {"held_out": self.held_out(N_LAW).x[0], "entropy": np.array(entropy)}

    def draw(self, kind: type[Summary], start: int, stop: int, keys: Keys) -> Summary | None:
        """No summary of these rows has a simple law: read the rows."""
        return None

    def _addressed(self, keys: Keys, start: int, stop: int) -> np.ndarray:
        of_x, of_y = (math.sqrt(variance) for variance in self.variances)

        def chunk_of(b: int, chunk: int) -> np.ndarray:
            z = keys.generator(b, chunk).standard_normal((CHUNK, 2))
            x = self.a + of_x * z[:, 0]
            return np.stack([x, np.square(x) + of_y * z[:, 1]], axis=1)

        return by_chunks(chunk_of, len(keys.seeds), start, stop, 2)
