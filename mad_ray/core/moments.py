"""Moments (n, mean, covariance) that merge: all that Gaussians, Frechet distances and their kin need of a sample."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TypeVar

import numpy as np

from mad_ray.core.samples import Event, Samples
from mad_ray.core.summary import Summary


@dataclass(frozen=True)
class Moments:
    """Sufficient statistics of B weighted samples in d dimensions, float64.

    n [B]: total weight. mean [B, d]. scatter [B, d, d]: sum of w (x - mean)(x - mean)^T.
    """

    n: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance [B, d, d], divisor n - 1. ValueError below two samples."""
        if np.any(self.n < 2):
            raise ValueError(f"a covariance needs at least 2 samples, found {self.n.min():g}")
        return self.scatter / (self.n - 1)[:, None, None]

    @classmethod
    def of_rows(cls, samples: Samples, event: Event) -> "Moments":
        """The moments of rows at hand, over the flattened event."""
        return rows_to_moments(samples.x, samples.weight)

    def arrays(self) -> dict[str, np.ndarray]:
        """As named arrays, for storage."""
        return {"n": self.n, "mean": self.mean, "scatter": self.scatter}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Moments":
        """The inverse of `arrays`."""
        return Moments(arrays["n"], arrays["mean"], arrays["scatter"])

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both samples together (Chan, Golub and LeVeque 1983, pairwise update)."""
        if isinstance(other, _Exact):
            return other.merge(self)
        n = self.n + other.n
        share = np.divide(other.n, n, out=np.zeros_like(n), where=n > 0)
        delta = other.mean - self.mean
        outer = delta[:, :, None] * delta[:, None, :]
        return Moments(
            n,
            self.mean + delta * share[:, None],
            self.scatter + other.scatter + outer * (self.n * share)[:, None, None],
        )


def rows_to_moments(x: np.ndarray, weight: np.ndarray | None = None) -> Moments:
    """x [B, n, *event] -> Moments over the flattened event; weight [B, n] counts each row that many times."""
    rows = x.reshape(*x.shape[:2], math.prod(x.shape[2:])).astype(np.float64)
    weight = np.ones(x.shape[:2]) if weight is None else weight.astype(np.float64)
    n = weight.sum(axis=1)
    total = np.matmul(weight[:, None, :], rows)[:, 0]
    mean = np.divide(total, n[:, None], out=np.zeros_like(total), where=n[:, None] > 0)
    centred = rows - mean[:, None, :]
    scatter = np.matmul((centred * weight[:, :, None]).transpose(0, 2, 1), centred)
    return Moments(n, mean, scatter)


def exact_moments(mean: np.ndarray, covariance: np.ndarray) -> Moments:
    """A distribution's own mean [B, d] and covariance [B, d, d], as moments of infinitely many samples."""
    return _Exact(np.full(len(mean), np.inf), mean, covariance)


class _Exact(Moments):
    """A known distribution: `scatter` holds the covariance itself, and merging makes no sense."""

    @property
    def covariance(self) -> np.ndarray:
        return self.scatter

    def merge(self, other: Moments) -> Moments:
        raise ValueError("the moments of a distribution do not merge with those of a sample")


S = TypeVar("S", bound=Summary)


def merge_all(parts: Iterable[S]) -> S:
    """Merge from left to right; the order is part of the result's last digits, so keep it fixed."""
    return reduce(lambda one, other: one.merge(other), parts)
