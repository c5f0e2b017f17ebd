"""Cherry-picking: only the best of what a model draws are published."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.loop import Loop
from mad_ray.core.samples import Event, Samples
from mad_ray.core.settings import STRICT
from mad_ray.interventions import scores
from mad_ray.interventions.coordinates import is_image, n_dimensions, n_symbols_of
from mad_ray.interventions.intervention import Lesson, State
from mad_ray.interventions.rowwise import of, stacked

_MOST_TOKENS = 1024
"""Pairs of tokens are counted in a table of V x V."""


@dataclass(frozen=True)
class CherryPick:
    """Of 1/share candidates for each sample, the best share by a score is published.

    confidence: the probability of the likeliest class, by a small classifier. likelihood: the log density under a model
    of the real rows: a Gaussian of vectors, probabilistic PCA of images (Tipping and Bishop 1999), pairs of neighbours
    of tokens, counts of symbols. nearest_real: minus the distance to the nearest of n_real real rows. All learnt once,
    from real rows that no D^t holds.

    Curation within loops is studied by Ferbach et al. 2024, "Self-Consuming Generative Models with Curated Data
    Provably Optimize Human Preferences". What differs: there one of K candidates is chosen at random, with
    probability as e^reward (for K = 2 Bradley-Terry), which for large K publishes from p e^reward / E[e^reward]; here
    the best share is kept, a hard truncation, and the reward is one of these scores.
    """

    __pydantic_config__ = STRICT

    name: ClassVar[str] = "cherry_pick"

    share: float = 0.5
    """Share of the candidates that is published; 1 publishes all."""
    by: Literal["confidence", "likelihood", "nearest_real"] = "likelihood"
    """The score: confidence, likelihood or nearest_real."""
    n_real: int = 500
    """Real rows that the score is learnt from, once, beyond those of the loop."""
    n_components: int = 32
    """likelihood of images: principal components with a variance of their own; all others share one."""
    n_steps: int = 600
    """confidence: optimiser steps of the classifier, 128 rows each."""

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise InvalidInput(
                f"interventions.{self.name}.share={self.share} is outside (0, 1]; give the share that is published"
            )
        for name, least in (("n_real", 2), ("n_components", 1), ("n_steps", 1)):
            value = getattr(self, name)
            if value < least:
                raise InvalidInput(f"interventions.{self.name}.{name}={value}: expected at least {least}; raise it")

    @property
    def is_identity(self) -> bool:
        """Whether all are published."""
        return self.share == 1

    def check(self, event: Event, loop: Loop, others: Sequence[Any]) -> None:
        """The score must mean something for such samples, and have rows enough to be learnt from."""
        path = f"interventions.{self.name}.by={self.by}"
        if self.by == "confidence" and (event.n_classes == 0 or n_symbols_of(event)):
            raise InvalidInput(f"{path} needs labels of images or vectors, and data has none; take likelihood")
        if self.by == "nearest_real" and n_symbols_of(event):
            raise InvalidInput(f"{path} needs distances, and symbols have none; take likelihood")
        if self.by == "likelihood" and event.n_symbols > _MOST_TOKENS:
            raise InvalidInput(
                f"{path} counts pairs of tokens, too many of {event.n_symbols}; give data at most {_MOST_TOKENS} tokens"
            )
        k = self._n_axes(event)
        if self.by == "likelihood" and not n_symbols_of(event) and self.n_real <= k:
            raise InvalidInput(f"{path} needs more than {k} real rows for variances of {k} axes; raise n_real")

    def learn_once(self, lesson: Lesson) -> State:
        """What the score is computed from, the trajectories in front."""
        real = lesson.real(self.n_real)
        return stacked([self._learnt(real.trajectory(b), lesson, b) for b in range(real.n_trajectories)])

    def score(self, samples: Samples, state: State) -> np.ndarray:
        """[B, n] float64; higher is better."""
        function = {
            "confidence": scores.confidence,
            "likelihood": scores.log_likelihood,
            "nearest_real": scores.minus_distance,
        }[self.by]
        return np.stack([function(of(state, b), samples.x[b]) for b in range(samples.n_trajectories)])

    def _learnt(self, real: Samples, lesson: Lesson, b: int) -> dict[str, np.ndarray]:
        x, label, event = real.x[0], real.label[0], lesson.event
        if self.by == "confidence":
            return scores.classifier(x, label, event.n_classes, lesson.keys, b, self.n_steps)
        if self.by == "nearest_real":
            return scores.neighbours(x)
        if n_symbols_of(event):
            return scores.successions(x, n_symbols_of(event))
        return scores.gaussian(x, self._n_axes(event))

    def _n_axes(self, event: Event) -> int:
        return min(self.n_components, n_dimensions(event)) if is_image(event) else n_dimensions(event)


def matching_bias(share: float, d: int) -> float:
    """The lambda at which N(mu, lambda Sigma) in d dimensions has the covariance that its likeliest `share` has.

    The likeliest share s of a Gaussian is a ball in Mahalanobis distance, of squared radius q, the s-quantile of
    chi-square with d degrees; within it the variance of every coordinate is F_(d+2)(q) / F_d(q) times what it was, F_k
    the distribution function with k degrees (Tallis 1963). Sampling bias lambda loses as much variance with no choice.
    """
    from scipy.stats import chi2

    if not (0.0 < share <= 1.0 and d >= 1):
        raise InvalidInput(f"share={share}, d={d}: expected a share in (0, 1] and at least 1 dimension")
    return float(chi2.cdf(chi2.ppf(share, d), d + 2) / share)
