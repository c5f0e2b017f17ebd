"""Counts of symbols: all that a categorical distribution needs of a sample, drawn with or without its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.core.rows import CHUNK, by_chunks
from mad_ray.core.samples import Event, Samples

HEAD_SHARE = 0.5
"""The head of a distribution: the fewest, most common symbols that together reach this probability."""
TAIL_SHARE = 0.1
"""Its tail: the fewest, rarest symbols that together reach this probability. The body is what lies between."""
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Counts:
    """How often each of V symbols was seen in each of B weighted samples: counts [B, V], float64."""

    counts: np.ndarray

    @property
    def n(self) -> np.ndarray:
        """Total weight [B]."""
        return self.counts.sum(axis=1)

    @classmethod
    def of_rows(cls, samples: Samples, event: Event) -> Self:
        """x [B, n, 1] of symbols 0..V-1, where V is the event's number of classes. A row counts as its weight."""
        x = samples.x.reshape(samples.x.shape[:2])
        symbols = np.where(np.isfinite(x), x, -1).astype(np.int64)
        strange = (symbols != x) | (symbols < 0) | (symbols >= event.n_classes)
        if strange.any():
            raise InvalidInput(
                f"data: found symbol {x[strange][0]:g}, expected whole numbers 0..{event.n_classes - 1}; "
                "give the event as many classes as there are symbols"
            )
        pairs = zip(symbols, samples.weight.astype(np.float64), strict=True)
        return cls(np.stack([np.bincount(of, weight, minlength=event.n_classes) for of, weight in pairs]))

    def merge(self, other: Self) -> Self:
        """Counts add up."""
        return type(self)(self.counts + other.counts)

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Counts add up, from left to right."""
        return reduce(cls.merge, parts)

    def arrays(self) -> dict[str, np.ndarray]:
        """As named arrays, for storage."""
        return {"counts": self.counts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of `arrays`."""
        return cls(arrays["counts"])


def draw_counts(probabilities: np.ndarray, start: int, stop: int, keys: Keys) -> Counts:
    """Counts of symbols start..stop of B streams, multinomial: the law of counting `symbol_rows`, without the rows.

    probabilities [B, V]. Addressed by (start, stop), so independent of every other piece.
    """
    return Counts(
        np.stack(
            [
                _multinomial(keys.at("draw").generator(b, start, stop), stop - start, p)
                for b, p in enumerate(probabilities)
            ]
        )
    )


def symbol_rows(probabilities: np.ndarray, start: int, stop: int, keys: Keys) -> Samples:
    """Rows start..stop of B streams of symbols [B, stop - start, 1], float64; a symbol is its own label.

    probabilities [B, V]. By the inverse of the distribution function; every 1,024 rows have a stream, so row i is the
    same bytes whatever start and stop are.
    """

    def chunk_of(b: int, chunk: int) -> np.ndarray:
        return uniform_to_symbols(keys.generator(b, chunk).random(CHUNK), probabilities[b])[:, None]

    x = by_chunks(chunk_of, len(probabilities), start, stop, 1)
    return Samples.of(x, x[:, :, 0])


def uniform_to_symbols(uniform: np.ndarray, p: np.ndarray) -> np.ndarray:
    """uniform [n] in [0, 1) -> symbols [n], int32, by the inverse of the distribution function of p [V].

    None of probability 0, wherever u falls and however p is rounded (test_no_uniform_number_meets_a_dead_symbol).
    """
    total = p.cumsum()
    return np.searchsorted(total, uniform * total[-1], side="right").astype(np.int32)


def head_body_tail(probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """probabilities [V] -> "head", "body", "tail": which symbols belong to each, [V] bool.

    The head is as many of the most common symbols as it takes to reach HEAD_SHARE, the tail as many of the rarest as it
    takes to reach TAIL_SHARE. Of equally common symbols the later counts as rarer; a symbol of probability 0 is none.
    """
    order = np.argsort(-probabilities, kind="stable")
    order = order[probabilities[order] > 0]
    head = order[: _reaching(probabilities[order], HEAD_SHARE)]
    tail = order[::-1][: _reaching(probabilities[order[::-1]], TAIL_SHARE)]
    bands = {"head": head, "body": np.setdiff1d(order, [*head, *tail]), "tail": tail}
    return {name: np.isin(np.arange(len(probabilities)), members) for name, members in bands.items()}


def _reaching(probabilities: np.ndarray, share: float) -> int:
    """How many of the first probabilities it takes to reach a share of them all."""
    total = probabilities.cumsum()
    return int(np.searchsorted(total, (share - _ROUNDING) * total[-1])) + 1


def _multinomial(generator: np.random.Generator, n: int, p: np.ndarray) -> np.ndarray:
    """Counts [V], float64. NumPy gives what rounding leaves to the last symbol, which must not be a dead one."""
    counts = np.zeros(len(p))
    alive = p > 0
    counts[alive] = generator.multinomial(n, p[alive] / p[alive].sum())
    return counts
