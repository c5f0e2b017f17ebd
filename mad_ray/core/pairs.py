"""Pairs of neighbouring tokens: the smallest piece of text that shows a rule of a language, or a turn of phrase."""

import numpy as np

from mad_ray.core.counts import head_body_tail


def pair_codes(pairs: np.ndarray) -> np.ndarray:
    """pairs [..., 2] of tokens -> one int64 each, equal where the pairs are."""
    return (pairs[..., 0].astype(np.int64) << 32) | pairs[..., 1].astype(np.int64)


def neighbours_of(tokens: np.ndarray) -> np.ndarray:
    """Sequences [n, L] -> the codes [n, L - 1] of their neighbouring pairs, from left to right."""
    return pair_codes(np.stack([tokens[:, :-1], tokens[:, 1:]], axis=-1))


def counted_pairs(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sequences [n, L] -> each pair of neighbours that occurs in them, [m, 2] int32, and how often, [m]."""
    codes, counts = np.unique(neighbours_of(tokens), return_counts=True)
    return np.stack([codes >> 32, codes & 0xFFFFFFFF], axis=1).astype(np.int32), counts


def are_rare(weight: np.ndarray) -> np.ndarray:
    """weight [m], probabilities or counts -> which are rare, [m] bool: those of the tail (core/counts.py: the rarest

    that together make up a tenth), and whatever is as rare as the most common of these.
    """
    tail = head_body_tail(weight / weight.sum())["tail"]
    return weight <= weight[tail].max()
