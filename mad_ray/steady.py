"""Arithmetic whose last bits never vary: batches of one size, and one thread."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

ROWS = 256
"""How many rows libraries are given at a time."""


def in_batches(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, size: int = ROWS) -> np.ndarray:
    """function over x [n, ...] -> [n, ...], always called with exactly `size` rows, the last batch padded with zeros.

    Libraries choose their algorithm, and so the last bits, by the batch's shape; here that never varies.
    """
    parts = []
    for start in range(0, max(len(x), 1), size):
        batch = x[start : start + size]
        padding = np.zeros((size - len(batch), *x.shape[1:]), x.dtype)
        parts.append(function(np.concatenate([batch, padding])))
    return np.concatenate(parts)[: len(x)]


@contextmanager
def one_thread() -> Iterator[None]:
    """torch with one thread: a sum split over threads is another sum."""
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
