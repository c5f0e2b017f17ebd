"""A lesson as the engine gives it, made of real data sources and of rows at hand."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.samples import Event, Samples, rebatch
from mad_ray.metrics.lenet import classify, train_lenet

FRESH_FROM = 100_000
"""Where a source without end has the rows that no D^t holds."""


@dataclass(frozen=True)
class RowsAtHand:
    """D^t in memory."""

    event: Event
    samples: Samples

    def batches(self, size: int) -> Iterator[Samples]:
        return rebatch([self.samples], size)


@dataclass(frozen=True)
class SmallLesson:
    """Before generation `generation`, of trajectories `seeds`.

    source: the real data; `real` begins at its row `real_from` (the tests take D^t from rows before that).
    training: D^t. known: what is known to be synthetic, or None.
    """

    source: Any
    training: Samples | None = None
    known: Samples | None = None
    seeds: tuple[int, ...] = (3,)
    generation: int = 3
    others: Sequence[Any] = ()
    real_from: int | None = None

    @property
    def event(self) -> Event:
        return self.source.event

    @property
    def keys(self) -> Keys:
        return Keys(self.seeds).at("interventions", "test", self.generation)

    def real(self, n: int) -> Samples:
        start = self.real_from
        if start is None:
            start = FRESH_FROM if self.source.n_rows is None else self.source.n_rows - n
        return self.source.rows(start, start + n, Keys(self.seeds).at("real"))

    def training_set(self) -> RowsAtHand:
        assert self.training is not None, "this test gives no D^t"
        return RowsAtHand(self.event, self.training)

    def synthetic(self, n: int) -> Samples | None:
        if self.known is None:
            return None
        m = self.known.n
        rows = np.arange(min(n, m)) * m // min(n, m)
        return Samples(self.known.x[:, rows], self.known.label[:, rows], self.known.weight[:, rows])

    def classifier(self) -> Callable[[np.ndarray], np.ndarray]:
        return lambda x: classify(self._lenet, x)

    def trajectory(self, b: int) -> "SmallLesson":
        """Trajectory b alone."""

        def alone(samples: Samples | None) -> Samples | None:
            return None if samples is None else samples.trajectory(b)

        return SmallLesson(
            self.source,
            alone(self.training),
            alone(self.known),
            self.seeds[b : b + 1],
            self.generation,
            self.others,
            self.real_from,
        )

    @cached_property
    def _lenet(self) -> dict[str, np.ndarray]:
        real = self.real(400)
        return train_lenet(real.x[0], real.label[0], self.event.n_classes, self.keys.at("classifier"), epochs=4)
