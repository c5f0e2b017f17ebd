"""k-nearest-neighbour metrics: precision and recall, density and coverage, exact and in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mad_ray.core.errors import InvalidInput

_CHUNK = 1 << 20
"""Numbers held at once where single pairs are measured: 8 MiB."""
FEW_DIMENSIONS = 3
_TIE = 1e-12
"""Squared distances this close, relatively, are equal: rounding must not decide a tie."""


@dataclass(frozen=True)
class Neighbours:
    """Four answers of one pass. A ball reaches from a sample to its k-th nearest neighbour of the same set, closed.

    precision: share of synthetic samples inside a real ball (fidelity). recall: share of real samples inside a
    synthetic ball (diversity). density: real balls that a synthetic sample lies in, on average, over k; 1 where the
    sets are alike. coverage: share of real balls that hold a synthetic sample.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def neighbours(*, real: np.ndarray, synthetic: np.ndarray, k: int = 5, block: int = 512) -> Neighbours:
    """Precision, recall, density and coverage of synthetic [n_s, d] against real [n_r, d].

    Precision and recall: Eq. (1) and (2) of Kynkaanniemi et al. 2019 (<=, so a copied sample lies on its neighbours'
    balls). Density and coverage: Eq. (1) and (2) of Naeem et al. 2020. Distances are float64, measured from the real
    mean, and those that rounding could put on either side of a radius are measured again by differences: no answer
    depends on `block`. Memory: inputs in float64 and about 10 block^2 bytes. InvalidInput unless 1 <= k < n_r, n_s.
    """
    _check(len(real), len(synthetic), k)
    centre = real.mean(axis=0, dtype=np.float64)
    real, synthetic = real - centre, synthetic - centre
    real_radius, synthetic_radius = _squared_radii(real, k), _squared_radii(synthetic, k)
    precise, covered = np.zeros(len(synthetic), bool), np.zeros(len(real), bool)
    recalled = np.zeros(len(real), bool)
    n_inside = 0
    for rows, columns, squared, error in _tiles(real, synthetic, block):
        x, y = real[rows], synthetic[columns]
        inside = _inside(squared, real_radius[rows, None], error, x, y)
        n_inside += int(np.count_nonzero(inside))
        precise[columns] |= inside.any(axis=0)
        covered[rows] |= inside.any(axis=1)
        recalled[rows] |= _inside(squared, synthetic_radius[None, columns], error, x, y).any(axis=1)
    density = n_inside / (k * len(synthetic))
    return Neighbours(float(precise.mean()), float(recalled.mean()), density, float(covered.mean()))


def precision(*, real: np.ndarray, synthetic: np.ndarray, k: int = 5) -> float:
    """Share of synthetic samples [n_s, d] inside a ball of the real ones [n_r, d]: are they realistic?"""
    return neighbours(real=real, synthetic=synthetic, k=k).precision


def recall(*, real: np.ndarray, synthetic: np.ndarray, k: int = 5) -> float:
    """Share of real samples [n_r, d] inside a ball of the synthetic ones [n_s, d]: is everything still there?"""
    return neighbours(real=real, synthetic=synthetic, k=k).recall


def density(*, real: np.ndarray, synthetic: np.ndarray, k: int = 5) -> float:
    """Real balls around a synthetic sample, on average, over k: precision that outliers cannot inflate."""
    return neighbours(real=real, synthetic=synthetic, k=k).density


def coverage(*, real: np.ndarray, synthetic: np.ndarray, k: int = 5) -> float:
    """Share of real balls that hold a synthetic sample: recall that outliers cannot inflate."""
    return neighbours(real=real, synthetic=synthetic, k=k).coverage


def _check(n_real: int, n_synthetic: int, k: int) -> None:
    if k < 1:
        raise InvalidInput(f"metrics.k={k}: a ball needs at least 1 neighbour; give k >= 1")
    for side, n in (("real", n_real), ("synthetic", n_synthetic)):
        if n <= k:
            raise InvalidInput(f"metrics.k={k} with {n} {side} samples: each needs k others; lower k or measure more")


def _squared_radii(x: np.ndarray, k: int) -> np.ndarray:
    """x [n, d] -> squared distance [n] to the k-th nearest other row."""
    from sklearn.neighbors import NearestNeighbors

    # k + 1, as each row is its own nearest; brute force holds tiles only, and no tree helps in many dimensions.
    algorithm = "kd_tree" if x.shape[1] <= FEW_DIMENSIONS else "brute"
    search = NearestNeighbors(n_neighbors=k + 1, algorithm=algorithm).fit(x)
    nearest = search.kneighbors(x, return_distance=False)
    row = np.repeat(np.arange(len(x)), k + 1)
    return _squared_distances(x, row, x, nearest.ravel()).reshape(len(x), k + 1).max(axis=1)


def _tiles(real: np.ndarray, synthetic: np.ndarray, block: int) -> Iterator[tuple[slice, slice, np.ndarray, float]]:
    """(rows, columns, squared distances [rows, columns], a bound on their error) over all pairs, tile by tile.

    |x|^2 + |y|^2 - 2 x.y as one matrix product of lengthened rows. The bound: a dot product of m terms errs by at most
    m eps of the sum of their sizes.
    """
    real_square, synthetic_square = _squares(real), _squares(synthetic)
    left = np.column_stack([-2 * real, real_square, np.ones(len(real))])
    right = np.column_stack([synthetic, np.ones(len(synthetic)), synthetic_square])
    error = 4 * left.shape[1] * np.finfo(np.float64).eps * (real_square.max() + synthetic_square.max())
    for i in range(0, len(real), block):
        for j in range(0, len(synthetic), block):
            rows, columns = slice(i, i + block), slice(j, j + block)
            yield rows, columns, left[rows] @ right[columns].T, float(error)


def _inside(squared: np.ndarray, radius: np.ndarray, error: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which pairs [rows, columns] are no further apart than the radius; doubtful ones are measured anew."""
    margin = error + _TIE * radius
    inside = squared <= radius + margin
    certain = squared < radius - margin
    if np.count_nonzero(inside) > np.count_nonzero(certain):
        i, j = np.nonzero(inside & ~certain)
        limit = np.broadcast_to(radius * (1 + _TIE), squared.shape)[i, j]
        inside[i, j] = _squared_distances(x, i, y, j) <= limit
    return inside


def _squared_distances(x: np.ndarray, i: np.ndarray, y: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Squared distances between rows i of x and rows j of y, pair by pair, by differences."""
    result = np.empty(len(i))
    step = max(1, _CHUNK // x.shape[1])
    for start in range(0, len(i), step):
        part = slice(start, start + step)
        difference = x[i[part]] - y[j[part]]
        difference *= difference
        result[part] = difference.sum(axis=1)
    return result


def _squares(x: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", x, x)
