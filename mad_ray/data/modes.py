"""Modes: a square grid of equal Gaussian modes in the plane, the data of the paper's figures 14 and 15."""

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


@dataclass(frozen=True)
class Modes:
    """P_r: side x side modes N(centre, spread^2 I) of equal weight, centres `spacing` apart around the origin.

    The paper's is a 5 x 5 grid; it gives neither spacing nor spread. Rows carry no label: nobody is told the mode.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "modes"
    n_rows: ClassVar[int | None] = None
    n_held_out: ClassVar[int | None] = None

    side: int = 5
    """Modes along a side of the grid: there are side^2."""
    spacing: float = 1.0
    """Distance between neighbouring centres."""
    spread: float = 0.1
    """Standard deviation of a mode along each axis. Modes stay apart where it is below about spacing / 6."""

    def __post_init__(self) -> None:
        if self.side < 1:
            raise InvalidInput(f"data.side={self.side}: a grid needs at least 1 mode a side")
        for name in ("spacing", "spread"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InvalidInput(f"data.{name}={value} is no length; give a number above 0")

    @property
    def event(self) -> Event:
        return Event((2,), "float64")

    @property
    def centres(self) -> np.ndarray:
        """[side^2, 2], row by row."""
        line = self.spacing * (np.arange(self.side) - (self.side - 1) / 2)
        return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)

    def rows(self, start: int, stop: int, keys: Keys) -> Samples:
        """Every 1,024 rows have a stream: first their modes, then where in them."""
        return Samples.of(self._addressed(keys.at("modes"), start, stop))

    def held_out(self, n: int) -> Samples:
        return Samples.of(self._addressed(Keys((0,)).at("modes", "held-out"), 0, n))

    def moments(self) -> Moments | None:
        """Mean 0; along each axis the variance of the grid, spacing^2 (side^2 - 1) / 12, and that of a mode."""
        variance = self.spacing**2 * (self.side**2 - 1) / 12 + self.spread**2
        return exact_moments(np.zeros((1, 2)), variance * np.eye(2)[None])

    def law(self) -> dict[str, np.ndarray]:
        """Where the modes are, and how wide."""
        return {"centres": self.centres, "spread": np.array(self.spread)}

    def draw(self, kind: type[Summary], start: int, stop: int, keys: Keys) -> Summary | None:
        """No summary of a mixture has a simple law: read the rows."""
        return None

    def _addressed(self, keys: Keys, start: int, stop: int) -> np.ndarray:
        centres = self.centres

        def chunk_of(b: int, chunk: int) -> np.ndarray:
            generator = keys.generator(b, chunk)
            centre = centres[generator.integers(len(centres), size=CHUNK)]
            return centre + self.spread * generator.standard_normal((CHUNK, 2))

        return by_chunks(chunk_of, len(keys.seeds), start, stop, 2)
