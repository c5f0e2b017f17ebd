"""Which images are used, and which of them are held out: drawn from addressed streams, the same for everybody."""

from functools import lru_cache

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys


@lru_cache(maxsize=4)
def used_rows(n: int, limit: int, seed: int) -> np.ndarray:
    """The numbers of the images that are used, rising: all n, or `limit` of them drawn from the seed's stream."""
    if not limit or limit >= n:
        return np.arange(n)
    return np.sort(Keys((seed,)).at("images", "limit").generator(0).permutation(n)[:limit])


@lru_cache(maxsize=4)
def split_rows(
    n: int, limit: int, seed: int, held_out: tuple[tuple[int, int], ...], share: float
) -> tuple[np.ndarray, np.ndarray]:
    """(training, held-out): positions among the images used, in an order drawn from the seed's stream.

    held_out: ranges of the n images; without them a share of the used ones, rounded. Shuffled, since files come
    ordered by class: the first held-out images shall be like all of them.
    """
    used = used_rows(n, limit, seed)
    order = Keys((seed,)).at("images", "split").generator(0).permutation(len(used))
    if not held_out:
        n_held = round(share * len(used))
        kept, held = order[n_held:], order[:n_held]
    else:
        is_held = np.zeros(n, bool)
        for start, stop in held_out:
            is_held[start:stop] = True
        kept, held = order[~is_held[used[order]]], order[is_held[used[order]]]
    if not len(kept) or not len(held):
        raise InvalidInput(
            f"data: {len(used)} images leave {len(kept)} to train on and {len(held)} held out; give more images, or "
            "another data.held_out_share or data.limit"
        )
    return kept, held
