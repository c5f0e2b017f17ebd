"""Is a model copying? Distances to the nearest training rows, of its samples and of real ones that it never saw."""

import numpy as np

_TILE = 1 << 20
"""Numbers held at once: 8 MiB."""
_CANDIDATES = 3
"""Nearest rows by matrix products, whose rounding may swap the first two; the least is found by differences."""


def copying(*, synthetic: np.ndarray, held_out: np.ndarray, training: np.ndarray) -> float:
    """Median distance of synthetic samples [n_s, d] to their nearest training row [m, d], over that of held-out ones.

    0: copies; 1: as far from the training rows as real samples that they never held; below 1 samples lie closer. The
    two distributions of distances that the test of Meehan, Chaudhuri and Dasgupta 2020 (data-copying) compares, by
    their medians. NaN without rows, and where held-out samples are training rows themselves.
    """
    if not (len(synthetic) and len(held_out) and len(training)):
        return float("nan")
    usual = float(np.median(nearest(held_out, training)[0]))
    return float(np.median(nearest(synthetic, training)[0])) / usual if usual > 0 else float("nan")


def authenticity(*, synthetic: np.ndarray, training: np.ndarray) -> float:
    """Share of synthetic samples [n_s, d] that no training row [m, d] explains: authenticity of Alaa et al. 2022.

    A sample is authentic unless it lies closer to its nearest training row than that row's own nearest neighbour among
    the training rows does. 0: copies. Of fresh real samples about one half. NaN below two training rows.
    """
    if len(training) < 2 or not len(synthetic):
        return float("nan")
    distance, row = nearest(synthetic, training)
    return float((distance >= nearest(training, training, skip_self=True)[0][row]).mean())


def nearest(x: np.ndarray, rows: np.ndarray, *, skip_self: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(distance [n], index [n]) of the nearest of rows [m, d] to each of x [n, d], exact; copies are at exactly 0.

    skip_self: x are the rows themselves, and none is its own neighbour.
    """
    centre = rows.mean(axis=0, dtype=np.float64)
    x, rows = x - centre, rows - centre
    squares = np.einsum("md,md->m", rows, rows)
    n_candidates = min(_CANDIDATES, len(rows) - int(skip_self))
    step = max(1, _TILE // (len(rows) + n_candidates * x.shape[1]))
    distance, index = np.empty(len(x)), np.empty(len(x), np.int64)
    for start in range(0, len(x), step):
        part = x[start : start + step]
        # |x|^2 is the same for all candidates of a row.
        order = squares - 2 * (part @ rows.T)
        if skip_self:
            order[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        found = np.argpartition(order, n_candidates - 1, axis=1)[:, :n_candidates]
        # Of equal ones the first row.
        found.sort(axis=1)
        squared = np.square(part[:, None] - rows[found]).sum(axis=2)
        best = squared.argmin(axis=1)
        distance[start : start + step] = np.sqrt(squared[np.arange(len(part)), best])
        index[start : start + step] = found[np.arange(len(part)), best]
    return distance, index
