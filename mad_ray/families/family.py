"""The protocol that every model family fulfils."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Protocol, TypeVar

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.loop import Loop
from mad_ray.core.moments import Moments
from mad_ray.core.samples import Event, Samples
from mad_ray.core.summary import Summary
from mad_ray.families.progress import Progress

__all__ = ["Drawn", "Family", "Measured", "Model", "Pretrained", "Progress", "Stream"]

Model = dict[str, np.ndarray]
"""A fitted model: named arrays, saved as safetensors. Everything `sample` needs is in it."""

S = TypeVar("S", bound=Summary)


class Stream(Protocol):
    """D^t, as often as wanted: the same rows in the same order each time. Small enough to pickle."""

    event: Event
    n: int

    def batches(self, size: int) -> Iterator[Samples]:
        """All rows in order, `size` at a time (the last batch may be shorter)."""
        ...

    def summary(self, kind: type[S]) -> S:
        """The summary of all rows: drawn where source and model know its distribution, else merged from the rows."""
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


class Pretrained(Protocol):
    """A family whose first generation may be a model that is there already."""

    def first_model(self, event: Event) -> Model | None:
        """G^1, not trained here; None: train it on D^1 as every other."""
        ...


class Drawn(Protocol):
    """A family that fits on a summary of D^t, and can draw that summary of its own samples without the samples."""

    draws: str
    """"summaries": what `draw` gives. "rows": samples are drawn and summed up, the slow oracle of the same law."""

    def draw(self, model: Mapping[str, np.ndarray], start: int, stop: int, bias: float, keys: Keys) -> Summary:
        """The summary of samples start..stop at lambda = bias, addressed by (start, stop).

        Independent of those of every other piece: whoever calls never asks for two pieces that overlap in part.
        """
        ...


class Measured(Protocol):
    """A family whose models say something of themselves."""

    measures: ClassVar[tuple[str, ...]]
    """Names of what `measure` knows."""

    def measure(
        self, model: Mapping[str, np.ndarray], law: Mapping[str, np.ndarray], names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """The wanted ones of `measures`, [B] each, at lambda = 1; `law` holds the facts of P_r (Source.law)."""
        ...
