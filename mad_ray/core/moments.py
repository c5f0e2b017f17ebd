"""Moments (n, mean, covariance) that merge: all that Gaussians, Frechet distances and their kin need of a sample."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeVar, cast

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

    @classmethod
    def join(cls, parts: "Sequence[Moments]") -> "Moments":
        """`merge_many`."""
        return merge_many(parts)

    def arrays(self) -> dict[str, np.ndarray]:
        """As named arrays, for storage."""
        return {"n": self.n, "mean": self.mean, "scatter": self.scatter}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Moments":
        """The inverse of `arrays`."""
        return Moments(arrays["n"], arrays["mean"], arrays["scatter"])

    def row(self, b: int) -> "Moments":
        """Those of trajectory b alone, B = 1."""
        return Moments(self.n[b : b + 1], self.mean[b : b + 1], self.scatter[b : b + 1])

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both samples together (Chan, Golub and LeVeque 1983, pairwise update)."""
        _refuse_exact((self, other))
        n = self.n + other.n
        share = np.divide(other.n, n, out=np.zeros_like(n), where=n > 0)
        delta = other.mean - self.mean
        outer = delta[:, :, None] * delta[:, None, :]
        return Moments(
            n,
            self.mean + delta * share[:, None],
            self.scatter + other.scatter + outer * (self.n * share)[:, None, None],
        )


class Factored(Moments):
    """Moments whose scatter is known by a factor [B, d, r], r <= d: a lower trapezoid F with scatter = F F^T.

    The product is formed only when somebody asks for it. Whoever goes on with the factor keeps directions that the
    product would lose to rounding: those more than about 1e8 times narrower than the widest.
    """

    factor: np.ndarray

    def __init__(self, n: np.ndarray, mean: np.ndarray, factor: np.ndarray) -> None:
        # Frozen, as its parent is; `scatter` is left to the property below.
        for name, value in (("n", n), ("mean", mean), ("factor", factor)):
            object.__setattr__(self, name, value)

    @property
    def scatter(self) -> np.ndarray:
        """[B, d, d], made anew each time."""
        return np.matmul(self.factor, self.factor.transpose(0, 2, 1))


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


S = TypeVar("S", bound=Summary)


def merge_all(parts: Iterable[S]) -> S:
    """Merge from left to right; the order is part of the result's last digits, so keep it fixed."""
    return reduce(lambda one, other: one.merge(other), parts)


def merge_many(parts: Sequence[Moments]) -> Moments:
    """What `merge_all` gives, to rounding; of many factored parts by one matrix product. One part comes back as it is.

    The result is factored too where it has at most d + 1 samples, all of them in factored parts: there a product would
    lose its rank to rounding. With more samples, the columns of all parts are more numbers than a scatter has.
    """
    if len(parts) == 1:
        return parts[0]
    _refuse_exact(parts)
    n, mean = parts[0].n, parts[0].mean
    shifts = []
    for part in parts[1:]:
        n, mean, shift = _joined(n, mean, part)
        shifts.append(shift)
    factored = [part.factor for part in parts if isinstance(part, Factored)]
    dense = [part.scatter for part in parts if not isinstance(part, Factored)]
    columns = [*factored, np.stack(shifts, axis=2)]
    if not dense and sum(part.shape[2] for part in columns) <= mean.shape[1]:
        return Factored(n, mean, lower_trapezoid(np.concatenate(columns, axis=2)))
    scatter = _sum_of_products(columns)
    for one in dense:
        scatter += one
    return Moments(n, mean, scatter)


def lower_trapezoid(factor: np.ndarray) -> np.ndarray:
    """F [B, d, r], r <= d -> lower trapezoid L [B, d, r] with L L^T = F F^T, by Householder reflections."""
    upper = cast(np.ndarray, np.linalg.qr(factor.transpose(0, 2, 1), mode="r"))
    return upper.transpose(0, 2, 1)


def _joined(n: np.ndarray, mean: np.ndarray, part: Moments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """n and mean of a sample and one more part, and the shift [B, d] whose square joins their scatters."""
    total = n + part.n
    share = np.divide(part.n, total, out=np.zeros_like(total), where=total > 0)
    delta = part.mean - mean
    return total, mean + delta * share[:, None], delta * np.sqrt(n * share)[:, None]


def _sum_of_products(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Sum of F F^T over F [B, d, r] -> [B, d, d]. One trajectory at a time: what is multiplied fits the cache."""
    found = np.empty((*columns[0].shape[:2], columns[0].shape[1]))
    for b in range(len(found)):
        side_by_side = np.concatenate([part[b] for part in columns], axis=1)
        np.matmul(side_by_side, side_by_side.T, out=found[b])
    return found


def _refuse_exact(parts: Iterable[Moments]) -> None:
    if any(isinstance(part, _Exact) for part in parts):
        raise ValueError("the moments of a distribution do not merge with those of a sample")
