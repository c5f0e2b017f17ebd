"""Streams over rows in memory, and self-consuming loops without an engine."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.moments import Moments, rows_to_moments
from mad_ray.core.samples import Event, Samples
from mad_ray.families.family import Model


class InMemory:
    """A stream over rows in memory."""

    def __init__(self, samples: Samples) -> None:
        self.samples, self.event, self.n = samples, Event(samples.event, str(samples.x.dtype)), samples.n

    def batches(self, size: int) -> Iterator[Samples]:
        for start in range(0, self.n, size):
            yield self.samples.rows(start, min(self.n, start + size))

    def summary(self, kind: Any) -> Any:
        return kind.of_rows(self.samples, self.event)

    def moments(self) -> Moments:
        return rows_to_moments(self.samples.x, self.samples.weight)


def fit_rows(family: Any, x: np.ndarray, keys: Keys, weight: np.ndarray | None = None) -> Model:
    """Fit on rows x [B, n, d]."""
    return family.fit(InMemory(Samples.of(x, weight=weight)), keys, lambda share: None)


def fully_synthetic_loop(
    family: Any, data: Any, n: int, n_generations: int, seeds: tuple[int, ...], bias: float = 1.0
) -> Iterator[tuple[int, Model, np.ndarray]]:
    """(t, the model G^t, the rows [B, n, d] of D^(t+1) that it draws)."""
    keys = Keys(seeds)
    x = data.rows(0, n, keys.at("real")).x
    for t in range(1, n_generations + 1):
        model = fit_rows(family, x, keys.at("fit", t))
        x = family.sample(model, 0, n, bias, keys.at("sample", t)).x
        yield t, model, x
