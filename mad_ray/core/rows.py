"""Rows by index: row i of a stream is the same bytes, whichever rows are asked for with it."""

from collections.abc import Callable

import numpy as np

from mad_ray.core.keys import Keys

CHUNK = 1024


def by_chunks(
    chunk_of: Callable[[int, int], np.ndarray], n_trajectories: int, start: int, stop: int, d: int
) -> np.ndarray:
    """Rows start..stop [B, stop - start, d], float64, of streams made CHUNK rows at a time by chunk_of(b, chunk)."""
    chunks = range(start // CHUNK, -(-stop // CHUNK))
    x = np.empty((n_trajectories, len(chunks) * CHUNK, d))
    for b in range(n_trajectories):
        for i, chunk in enumerate(chunks):
            x[b, i * CHUNK : (i + 1) * CHUNK] = chunk_of(b, chunk)
    return x[:, start - chunks.start * CHUNK : stop - chunks.start * CHUNK]


def addressed_normal(keys: Keys, start: int, stop: int, d: int) -> np.ndarray:
    """Rows start..stop of B streams of N(0, I) [B, stop - start, d], float64. Every 1,024 rows have a stream."""
    return by_chunks(
        lambda b, chunk: keys.generator(b, chunk).standard_normal((CHUNK, d)), len(keys.seeds), start, stop, d
    )
