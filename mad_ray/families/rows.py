"""D^t in memory, and the order in which training takes its rows. Imports torch."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mad_ray.core.keys import Keys
from mad_ray.families.family import Stream
from mad_ray.families.vectors import nothing_left


def generator_of(keys: Keys, *index: str | int) -> torch.Generator:
    """torch's CPU generator at the start of trajectory 0's stream; the same numbers wherever the network lies."""
    return torch.Generator().manual_seed(keys.seed(0, *index))


@dataclass(frozen=True)
class Rows:
    """D^t in memory, rows of weight 0 left out: they take part in nothing, not even in the shuffle.

    x [n, *event] as the stream gives it; label [n] int64; cumulative [n] float64, or None where all weights are equal.
    """

    x: Tensor
    label: Tensor
    cumulative: Tensor | None

    @classmethod
    def of(cls, data: Stream, size: int = 4096) -> "Rows":
        """Read the whole stream once. TrajectoryFailed if no row has weight."""
        x, label, weight = [], [], []
        for batch in data.batches(size):
            kept = batch.weight[0] > 0
            x.append(batch.x[0][kept])
            label.append(batch.label[0][kept])
            weight.append(batch.weight[0][kept])
        if not sum(map(len, weight)):
            raise nothing_left(data.n)
        w = np.concatenate(weight).astype(np.float64)
        cumulative = None if np.all(w == w[0]) else torch.from_numpy(np.cumsum(w))
        labels = torch.from_numpy(np.concatenate(label).astype(np.int64))
        return cls(torch.from_numpy(np.concatenate(x)), labels, cumulative)

    def order(self, first: int, size: int, keys: Keys, generator: torch.Generator) -> Tensor:
        """The row numbers at places first..first+size of the training order.

        Equal weights: epoch after epoch, each a permutation from the stream (..., "epoch", e). Otherwise independent
        draws in proportion to the weights, from the generator.
        """
        if self.cumulative is not None:
            u = torch.rand(size, generator=generator, dtype=torch.float64) * self.cumulative[-1]
            return torch.searchsorted(self.cumulative, u, right=True).clamp_(max=len(self.label) - 1)
        n = len(self.label)
        epochs = range(first // n, (first + size - 1) // n + 1)
        shuffled = torch.cat([torch.randperm(n, generator=generator_of(keys, "epoch", e)) for e in epochs])
        return shuffled[first - epochs[0] * n :][:size]

    def take(self, order: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """x [b, *event] and label [b] of these rows, on the device."""
        return self.x[order].to(device), self.label[order].to(device)
