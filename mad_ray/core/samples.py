"""Samples: what data sets hold, models draw and shards store."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

NO_LABEL = -1


@dataclass(frozen=True)
class Event:
    """What one sample is: its shape (images: channels, height, width; dtype uint8), and how many classes label it.

    Sequences of tokens are int32 of shape (length,), each token one of 0..n_symbols-1; n_symbols is 0 for all else.
    """

    shape: tuple[int, ...]
    dtype: str
    n_classes: int = 0
    n_symbols: int = 0


@dataclass(frozen=True)
class Samples:
    """n samples of each of B trajectories; the trajectory axis leads, always.

    x [B, n, *event]: uint8 for images [channels, height, width], int32 for sequences of tokens, else floating point.
    label [B, n] int32, NO_LABEL where there is none. weight [B, n] float32; weight 0 drops a row, so arrays stay
    rectangular.
    """

    x: np.ndarray
    label: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, label: np.ndarray | None = None, weight: np.ndarray | None = None) -> "Samples":
        """Fill in what is missing: no label, weight 1."""
        shape = x.shape[:2]
        label = np.full(shape, NO_LABEL, np.int32) if label is None else label.astype(np.int32, copy=False)
        weight = np.ones(shape, np.float32) if weight is None else weight.astype(np.float32, copy=False)
        return cls(x, label, weight)

    @property
    def n_trajectories(self) -> int:
        return self.x.shape[0]

    @property
    def n(self) -> int:
        return self.x.shape[1]

    @property
    def event(self) -> tuple[int, ...]:
        return self.x.shape[2:]

    def rows(self, start: int, stop: int) -> "Samples":
        """Samples start..stop of every trajectory."""
        return Samples(self.x[:, start:stop], self.label[:, start:stop], self.weight[:, start:stop])

    def trajectory(self, b: int) -> "Samples":
        """Trajectory b alone, B = 1."""
        return Samples(self.x[b : b + 1], self.label[b : b + 1], self.weight[b : b + 1])


def concatenate(parts: Sequence[Samples]) -> Samples:
    """Join along the sample axis."""
    return Samples(
        np.concatenate([part.x for part in parts], axis=1),
        np.concatenate([part.label for part in parts], axis=1),
        np.concatenate([part.weight for part in parts], axis=1),
    )


def rebatch(blocks: Iterable[Samples], size: int) -> Iterator[Samples]:
    """The same rows in the same order, `size` at a time; only the last batch may be shorter."""
    waiting: list[Samples] = []
    n = 0
    for block in blocks:
        waiting.append(block)
        n += block.n
        if n < size:
            continue
        joined = concatenate(waiting) if len(waiting) > 1 else waiting[0]
        whole = n - n % size
        for start in range(0, whole, size):
            yield joined.rows(start, start + size)
        waiting, n = ([joined.rows(whole, n)], n - whole) if n > whole else ([], 0)
    if n:
        yield concatenate(waiting)
