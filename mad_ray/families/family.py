"""The protocol that every model family fulfils."""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Protocol

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.moments import Moments
from mad_ray.core.samples import Event, Samples

Model = dict[str, np.ndarray]
"""A fitted model: named arrays, saved as safetensors. Everything `sample` needs is in it."""

Progress = Callable[[float], None]
"""Told the share of a fit that is done, in [0, 1], now and then."""


class Stream(Protocol):
    """D^t, as often as wanted: the same rows in the same order each time. Small enough to pickle."""

    event: Event
    n: int

    def batches(self, size: int) -> Iterator[Samples]:
        """All rows in order, `size` at a time (the last batch may be shorter)."""
        ...

    def moments(self) -> Moments:
        """Weighted moments of all rows."""
        ...


class Family(Protocol):
    """A kind of generative model, trained from scratch every generation. A frozen dataclass of its settings."""

    name: ClassVar[str]
    max_cohort: ClassVar[int]
    """How many trajectories one fit can hold: 1 for networks, thousands for a Gaussian."""
    redraw: ClassVar[bool]
    """Sampling is cheap and bit-exact, so the ledger keeps the model and redraws, rather than keep samples."""
    distributed: ClassVar[bool]
    """Whether workers can share a fit; if not, it runs where it is called, however many workers other families get."""
    span: ClassVar[int]
    """Generations committed at once; 1 where a generation is dear."""

    chunk: int
    """Samples computed together: sample i belongs to chunk i // chunk, computed whole, since the size of a matrix
    product can change its rounding."""

    def check(self, event: Event, loop: Loop, workers: int) -> None:
        """InvalidInput, with field and remedy, if this family cannot run that loop on those samples so distributed."""
        ...

    def fit(self, data: Stream, keys: Keys, progress: Progress) -> Model:
        """Train from scratch on D^t. The same call runs in every worker of a distributed fit (SPMD); all return it."""
        ...

    def sample(self, model: Model, start: int, stop: int, bias: float, keys: Keys) -> Samples:
        """Samples start..stop at bias lambda; sample i is the same bytes whatever start and stop are."""
        ...


class HasMoments(Protocol):
    """A family whose models know their own mean and covariance."""

    def moments(self, model: Mapping[str, np.ndarray]) -> Moments:
        """The exact moments [B, d] of the model at lambda = 1."""
        ...
