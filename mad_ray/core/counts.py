"""Counts of symbols: all that a categorical distribution needs of a sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from mad_ray.core.samples import Event, Samples


@dataclass(frozen=True)
class Counts:
    """How often each of V symbols was seen in each of B weighted samples: counts [B, V], float64."""

    counts: np.ndarray

    @property
    def n(self) -> np.ndarray:
        """Total weight [B]."""
        return self.counts.sum(axis=1)

    @classmethod
    def of_rows(cls, samples: Samples, event: Event) -> Self:
        """x [B, n, 1] of symbols 0..V-1, where V is the event's number of classes."""
        symbols = samples.x.reshape(samples.x.shape[:2]).astype(np.int64)
        pairs = zip(symbols, samples.weight.astype(np.float64), strict=True)
        return cls(np.stack([np.bincount(of, weight, minlength=event.n_classes) for of, weight in pairs]))

    def merge(self, other: Self) -> Self:
        """Counts add up."""
        return type(self)(self.counts + other.counts)

    def arrays(self) -> dict[str, np.ndarray]:
        """As named arrays, for storage."""
        return {"counts": self.counts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of `arrays`."""
        return cls(arrays["counts"])
