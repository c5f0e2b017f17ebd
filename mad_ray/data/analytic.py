"""Analytic data: distributions whose moments are known exactly and whose rows never run out."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments, exact_moments
from mad_ray.core.rows import addressed_normal
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT


@dataclass(frozen=True)
class GaussianData:
    """P_r = N(0, I) in d dimensions, the reference of the paper's Gaussian experiments."""

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "gaussian"
    n_rows: ClassVar[int | None] = None
    n_held_out: ClassVar[int | None] = None

    d: int = 100
    """Dimensions of the space."""

    def __post_init__(self) -> None:
        if self.d < 1:
            raise InvalidInput(f"data.d={self.d}: a Gaussian needs at least 1 dimension")

    @property
    def event(self) -> Event:
        return Event((self.d,), "float64")

    def rows(self, start: int, stop: int, keys: Keys) -> Samples:
        return Samples.of(addressed_normal(keys.at("gaussian"), start, stop, self.d))

    def held_out(self, n: int) -> Samples:
        return Samples.of(addressed_normal(Keys((0,)).at("gaussian", "held-out"), 0, n, self.d))

    def moments(self) -> Moments | None:
        return exact_moments(np.zeros((1, self.d)), np.eye(self.d)[None])
