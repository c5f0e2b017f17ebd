"""Green lists: for every token a keyed share of those that may follow it (Kirchenbauer et al. 2023)."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from mad_ray.core.keys import Keys

MAX_SYMBOLS = 10_000
"""A table of all pairs is kept: 100 MB at most."""


def n_green(gamma: float, n_symbols: int) -> int:
    """How many of the tokens that may follow are green: the share gamma, rounded; one at least, and one red."""
    return min(n_symbols - 1, max(1, round(gamma * n_symbols)))


@lru_cache(maxsize=4)
def green_lists(secret: int, number: int, gamma: float, n_symbols: int) -> np.ndarray:
    """[V, V] bool: whether the second token is green after the first. Every row has the same number of green ones."""
    keys = Keys((secret,)).at("token_mark", number)
    green = np.zeros((n_symbols, n_symbols), bool)
    for previous in range(n_symbols):
        green[previous, keys.generator(0, previous).permutation(n_symbols)[: n_green(gamma, n_symbols)]] = True
    green.setflags(write=False)
    return green


def green_recipe(secret: int, number: int, gamma: float, n_symbols: int) -> dict[str, np.ndarray]:
    """What `green_scores` needs to know, as arrays."""
    return {
        "green_secret": np.array(secret),
        "green_number": np.array(number),
        "green_gamma": np.array(gamma),
        "green_symbols": np.array(n_symbols),
    }


def green_scores(tokens: np.ndarray, recipe: Mapping[str, Any]) -> np.ndarray:
    """z [n] of sequences tokens [n, L]: (g - gamma T) / sqrt(T gamma (1 - gamma)), eq. (3) of Kirchenbauer et al. 2023.

    g of its T distinct pairs of neighbours are green. A pair that comes again says nothing new: its list is the same
    (Kirchenbauer et al. 2024, "On the reliability of watermarks", section 3). The first token has no list.
    """
    n_symbols, gamma = int(recipe["green_symbols"]), float(recipe["green_gamma"])
    green = green_lists(int(recipe["green_secret"]), int(recipe["green_number"]), gamma, n_symbols)
    pairs = np.sort(tokens[:, :-1].astype(np.int64) * n_symbols + tokens[:, 1:], axis=1)
    is_new = np.diff(pairs, axis=1, prepend=-1) != 0
    found, total = (green.ravel()[pairs] & is_new).sum(axis=1), is_new.sum(axis=1)
    share = n_green(gamma, n_symbols) / n_symbols
    return (found - share * total) / np.sqrt(total * share * (1 - share))
