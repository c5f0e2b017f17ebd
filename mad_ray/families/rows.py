"""D^t at hand, and the order in which training takes its rows. Imports torch."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from mad_ray.core.keys import Keys
from mad_ray.families.family import Stream
from mad_ray.families.spool import MEMORY_BYTES, Pile
from mad_ray.families.vectors import nothing_left

# How much is read at once.
BATCH_ROWS, BATCH_BYTES = 4096, 16 << 20


def generator_of(keys: Keys, *index: str | int) -> torch.Generator:
    """torch's CPU generator at the start of trajectory 0's stream; the same numbers wherever the network lies."""
    return torch.Generator().manual_seed(keys.seed(0, *index))


@dataclass(frozen=True)
class Rows:
    """D^t, rows of weight 0 left out: they take part in nothing, not even in the shuffle.

    x [n, *event] as the stream gives it, in memory or in a temporary file; label [n] int64; cumulative [n] float64, or
    None where all weights are equal.
    """

    x: Tensor
    label: Tensor
    cumulative: Tensor | None

    @classmethod
    def of(cls, data: Stream) -> "Rows":
        """Read the whole stream once. TrajectoryFailed if no row has weight.

        Beyond the stream's `memory_bytes` (run.memory) rows lie in a temporary file, and `take` gives the same bits.
        """
        x, label, weight = Pile(data.n, getattr(data, "memory_bytes", MEMORY_BYTES)), [], []
        row_bytes = math.prod(data.event.shape) * np.dtype(data.event.dtype).itemsize
        for batch in data.batches(max(1, min(BATCH_ROWS, BATCH_BYTES // row_bytes))):
            kept = batch.weight[0] > 0
            x.add(batch.x[0][kept])
            label.append(batch.label[0][kept])
            weight.append(batch.weight[0][kept])
        if not sum(map(len, weight)):
            raise nothing_left(data.n)
        w = np.concatenate(weight).astype(np.float64)
        cumulative = None if np.all(w == w[0]) else torch.from_numpy(np.cumsum(w))
        labels = torch.from_numpy(np.concatenate(label).astype(np.int64))
        return cls(torch.from_numpy(x.whole()), labels, cumulative)

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
        return torch.cat([_epoch(keys, e, n)[max(0, first - e * n) : first + size - e * n] for e in epochs])

    def take(self, order: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """x [b, *event] and label [b] of these rows, on the device."""
        return self.x[order].to(device), self.label[order].to(device)


@lru_cache(maxsize=2)
def _epoch(keys: Keys, e: int, n: int) -> Tensor:
    """The order of epoch e. Kept, since it is asked for at every step."""
    return torch.randperm(n, generator=generator_of(keys, "epoch", e))
