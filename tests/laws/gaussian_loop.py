"""The loop of Gaussians without the engine: D^t's pieces are drawn, merged and fitted, and that is all."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop, compose, pieces
from mad_ray.core.moments import Moments, merge_many
from mad_ray.data import GaussianData
from mad_ray.families import Gaussian
from mad_ray.families.family import Model


@dataclass(frozen=True)
class Summed:
    """A stream of which only the moments are known."""

    moments: Moments

    def summary(self, kind: type[Moments]) -> Moments:
        return self.moments


class MaximumLikelihood(Gaussian):
    """The Gaussian with divisor n in place of n - 1."""

    def fit(self, data, keys, progress) -> Model:
        model, n = super().fit(data, keys, progress), data.summary(Moments).n
        return model | {"root": model["root"] * np.sqrt((n - 1) / n)[:, None, None]}


def models(
    loop: Loop, d: int, n_generations: int, n_seeds: int, family: Gaussian | None = None, first_seed: int = 0
) -> Iterator[Model]:
    """G^1 .. G^n_generations of a cohort."""
    family, data = family or Gaussian(), GaussianData(d=d)
    keys, past = Keys(tuple(range(first_seed, first_seed + n_seeds))), {}
    for t in range(1, n_generations + 1):
        parts = [
            data.draw(Moments, part.start, part.stop, keys.at("real"))
            if part.is_real
            else family.draw(
                past[part.generation], part.start, part.stop, loop.bias, keys.at("sample", part.generation)
            )
            for whole in compose(loop, t)
            for part in pieces(loop, whole)
        ]
        past[t] = family.fit(Summed(merge_many(parts)), keys.at("fit", t), lambda share: None)
        yield past[t]


def measured(model: Model, name: str, d: int) -> np.ndarray:
    """One measure of a model, [B]."""
    return Gaussian().measure(model, GaussianData(d=d).law(), [name])[name]


def z_score(x: np.ndarray, expected: float) -> float:
    """How many standard errors the mean of independent values lies from what theory says."""
    return float((x.mean() - expected) / (x.std(ddof=1) / np.sqrt(len(x))))
