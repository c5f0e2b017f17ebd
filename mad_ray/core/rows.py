"""Standard normal rows by index: row i of a stream is the same bytes, whichever rows are asked for with it."""

import numpy as np

from mad_ray.core.keys import Keys

CHUNK = 1024


def addressed_normal(keys: Keys, start: int, stop: int, d: int) -> np.ndarray:
    """Rows start..stop of B streams of N(0, I) [B, stop - start, d], float64. Every 1,024 rows have a stream."""
    chunks = range(start // CHUNK, -(-stop // CHUNK))
    if not chunks:
        return np.empty((len(keys.seeds), 0, d))
    drawn = [
        np.concatenate([keys.generator(b, chunk).standard_normal((CHUNK, d)) for chunk in chunks])
        for b in range(len(keys.seeds))
    ]
    offset = chunks.start * CHUNK
    return np.stack([rows[start - offset : stop - offset] for rows in drawn])
