"""Gaussian samples, by index, and their moments drawn without them: a normal mean and a Wishart scatter."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mad_ray.core.keys import Keys
from mad_ray.core.moments import Factored, Moments
from mad_ray.core.rows import CHUNK, addressed_normal

_TOGETHER = 1 << 15
"""Numbers in the factors made at once: more trajectories would leave the cache between one step and the next."""
_WHOLE = 128
"""Triangles up to this size are multiplied as squares."""


def normal_rows(mean: np.ndarray, root: np.ndarray | None, start: int, stop: int, keys: Keys) -> np.ndarray:
    """Rows start..stop of B streams of N(mean, root root^T) [B, stop - start, d]; row i is the same bytes always.

    mean [B, d]. root as in `drawn_moments`. Products are computed in whole chunks of 1,024 rows, which fixes rounding.
    """
    d = mean.shape[1]
    if root is None or root.ndim == 1:
        z = addressed_normal(keys, start, stop, d)
        return mean[:, None, :] + (z if root is None else z * root)
    low, high = start // CHUNK * CHUNK, -(-stop // CHUNK) * CHUNK
    z = addressed_normal(keys, low, high, d)
    parts = [np.matmul(z[:, i : i + CHUNK], root.transpose(0, 2, 1)) for i in range(0, high - low, CHUNK)]
    return mean[:, None, :] + np.concatenate([z[:, :0], *parts], axis=1)[:, start - low : stop - low]


def drawn_moments(mean: np.ndarray, root: np.ndarray | None, start: int, stop: int, keys: Keys) -> Moments:
    """Moments of samples start..stop of N(mean, root root^T), drawn without them; exact in distribution; factored.

    mean [B, d]; root: lower-triangular [B, d, d], the diagonal [d] of one, or None for the identity; B = 1 serves all.
    The mean is mean + root z / sqrt(n); the scatter is F F^T, F = root A, with A the factor of Bartlett (1933): chi
    of n - 1 - i degrees of freedom on the diagonal (i = 0, 1, ...), standard normal below it, min(d, n - 1) columns.
    O(d^3) whatever n is. Addressed by (start, stop), so independent of every other piece.
    """
    n, d, many, keys = stop - start, mean.shape[1], len(keys.seeds), keys.at("draw")
    rank = max(0, min(d, n - 1))
    shift, factor = np.empty((many, d)), np.empty((many, d, rank))
    together = max(1, _TOGETHER // (d * max(1, rank)))
    for low in range(0, many, together):
        part = range(low, min(low + together, many))
        of = slice(part.start, part.stop)
        z, below, chi = _draw(n, d, rank, [keys.quick(b, start, stop) for b in part])
        one = root if root is None or root.ndim == 1 or len(root) == 1 else root[of]
        shift[of] = _times(one, z[:, :, None])[:, :, 0]
        bartlett = _bartlett(below, chi, d)
        if one is None or one.ndim == 1:
            factor[of] = _times(one, bartlett)
        else:
            lower_product(one, bartlett, factor[of])
    return Factored(np.full(many, float(n)), mean + shift / np.sqrt(max(n, 1)), factor)


def lower_product(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    """out [B, d, r] = left right: a lower triangle [B, d, d] times a lower trapezoid [B, d, r], without their zeros."""
    d, r = right.shape[1:]
    if d <= _WHOLE:
        np.matmul(left, right, out=out)
        return
    half = d // 2
    first = slice(0, min(half, r))
    lower_product(left[:, :half, :half], right[:, :half, first], out[:, :half, first])
    np.matmul(left[:, half:, :half], right[:, :half, first], out=out[:, half:, first])
    out[:, half:, first] += np.matmul(left[:, half:, half:], right[:, half:, first])
    if r > half:
        out[:, :half, half:] = 0.0
        lower_product(left[:, half:, half:], right[:, half:, half:], out[:, half:, half:])


def _draw(
    n: int, d: int, rank: int, generators: Sequence[np.random.Generator]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normals for the mean [B, d], normals below Bartlett's diagonal [B, m], and that diagonal [B, rank]."""
    freedom = np.arange(n - 1, n - 1 - rank, -1, dtype=float)
    normal = np.empty((len(generators), d + d * rank - rank * (rank + 1) // 2))
    squares = np.empty((len(generators), rank))
    for b, generator in enumerate(generators):
        generator.standard_normal(out=normal[b])
        if rank:
            squares[b] = generator.chisquare(freedom)
    return normal[:, :d], normal[:, d:], np.sqrt(squares)


def _bartlett(below: np.ndarray, diagonal: np.ndarray, d: int) -> np.ndarray:
    """Numbers below the diagonal [B, m], row by row, and on it [B, r] -> lower trapezoid [B, d, r]."""
    rank = diagonal.shape[1]
    factor = np.zeros((len(below), d, rank))
    where = _below(d, rank)
    for one, numbers in zip(factor, below, strict=True):
        one[where] = numbers
    factor.reshape(len(below), d * rank)[:, : rank * rank : rank + 1] = diagonal
    return factor


@lru_cache(maxsize=64)
def _below(d: int, rank: int) -> np.ndarray:
    """Which entries of a d x rank matrix lie below its diagonal, bool."""
    return np.tri(d, rank, -1, dtype=bool)


def _times(root: np.ndarray | None, x: np.ndarray) -> np.ndarray:
    """root x [B, d, k]."""
    if root is None:
        return x
    return root[:, None] * x if root.ndim == 1 else np.matmul(root, x)
