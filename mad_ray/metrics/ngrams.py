"""Features of texts: how often each token, and each pair of neighbouring tokens, stands in a sequence, hashed."""

import numpy as np

from mad_ray.core.errors import InvalidInput

ORDERS = (1, 2)
"""Lengths of the n-grams counted."""
BUCKETS = 32
"""Features of each order; an n-gram adds +1 or -1 to one of them, both by its hash."""


class NGrams:
    """The signed hashing trick (Weinberger et al. 2009), which keeps inner products of counts in expectation.

    Counts of order n are divided by sqrt(L - n + 1): n-grams drawn independently of each other then have a total
    variance of at most 1, whatever the length L, so that distances of texts of any length read alike.
    """

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Tokens x [n, L] of integers -> [n, 64] float64. InvalidInput for anything else."""
        if x.ndim != 2 or not np.issubdtype(x.dtype, np.integer):
            raise InvalidInput(
                f"metrics.features=ngrams reads sequences of tokens; found {x.dtype} samples of shape "
                f"{list(x.shape[1:])}: use identity for vectors, lenet or inception for images"
            )
        return np.concatenate([_counts(x, order) for order in ORDERS], axis=1)


def _counts(x: np.ndarray, order: int) -> np.ndarray:
    """[n, BUCKETS]. Sums of +1 and -1 are exact: a row depends on its sample alone."""
    n, windows = len(x), x.shape[1] - order + 1
    if windows < 1:
        return np.zeros((n, BUCKETS))
    code = np.full((n, windows), order, np.uint64)
    for i in range(order):
        code = _mixed(code ^ x[:, i : i + windows].astype(np.uint64))
    row = np.arange(n, dtype=np.int64)[:, None]
    place = row * BUCKETS + (code % np.uint64(BUCKETS)).astype(np.int64)
    sign = np.where(code >> np.uint64(63), 1.0, -1.0)
    counts = np.bincount(place.ravel(), sign.ravel(), minlength=n * BUCKETS)
    return counts.reshape(n, BUCKETS) / np.sqrt(windows)


def _mixed(code: np.ndarray) -> np.ndarray:
    """Every bit depends on every bit: the step and finaliser of SplitMix64 (Steele et al. 2014). Wraps at 2^64."""
    code = code + np.uint64(0x9E3779B97F4A7C15)
    code = (code ^ (code >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    code = (code ^ (code >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return code ^ (code >> np.uint64(31))
