"""Zipf's law: a vocabulary of few common and many rare symbols, the plainest heavy tail there is."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mad_ray.core.counts import Counts, draw_counts, symbol_rows
from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.core.summary import Summary


@dataclass(frozen=True)
class Zipf:
    """P_r of symbols 0..V-1, the i-th most common (i = 1..V) of probability proportional to i^-exponent.

    Zipf 1949 found exponents near 1 for words. Symbols are float64, as every stored sample that is no image.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "zipf"
    n_rows: ClassVar[int | None] = None
    n_held_out: ClassVar[int | None] = None

    n_symbols: int = 1000
    """V: symbols there are."""
    exponent: float = 1.0
    """How fast they become rare: the i-th most common has probability proportional to i^-exponent; 0 is uniform."""

    def __post_init__(self) -> None:
        if self.n_symbols < 2:
            raise InvalidInput(f"data.n_symbols={self.n_symbols}: a distribution to lose needs at least 2 symbols")
        # Beyond, the rarest probability is no longer a normal float64.
        steepest = 700 / np.log(self.n_symbols)
        if not 0 <= self.exponent <= steepest:
            raise InvalidInput(
                f"data.exponent={self.exponent}: expected 0 (uniform) to {steepest:.0f} for {self.n_symbols} symbols; "
                "language has about 1"
            )

    @property
    def event(self) -> Event:
        return Event((1,), "float64", self.n_symbols)

    @property
    def probabilities(self) -> np.ndarray:
        """[V], falling."""
        weight = np.arange(1, self.n_symbols + 1) ** -float(self.exponent)
        return weight / weight.sum()

    def rows(self, start: int, stop: int, keys: Keys) -> Samples:
        return symbol_rows(self._of_each(keys), start, stop, keys.at("zipf"))

    def held_out(self, n: int) -> Samples:
        keys = Keys((0,)).at("zipf", "held-out")
        return symbol_rows(self._of_each(keys), 0, n, keys)

    def moments(self) -> Moments | None:
        """None: the mean of symbols says nothing."""
        return None

    def law(self) -> dict[str, np.ndarray]:
        """probabilities [V]."""
        return {"probabilities": self.probabilities}

    def draw(self, kind: type[Summary], start: int, stop: int, keys: Keys) -> Summary | None:
        """The counts of training rows start..stop."""
        return draw_counts(self._of_each(keys), start, stop, keys) if issubclass(kind, Counts) else None

    def _of_each(self, keys: Keys) -> np.ndarray:
        return np.broadcast_to(self.probabilities, (len(keys.seeds), self.n_symbols))
