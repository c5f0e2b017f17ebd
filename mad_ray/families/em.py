"""Expectation-maximisation of Gaussian mixtures with full covariances, for many trajectories at once.

Each trajectory is fitted in units of its own spread: its rows are moved to their mean and divided by the root mean
variance of a coordinate, and what is found is moved back. So settings have no unit, and data that have collapsed to a
spread of 1e-12 are fitted as well as data of spread 1. Two ideas make it fast. A log-density is linear in the monomials
(1, x_i, x_i x_j): all of them [K, n] are one matrix product, the sufficient statistics [K, monomials] another. And the
log-likelihood of each row in the step before is subtracted within the first product, which spares a search for the
largest. These products are made trajectory by trajectory, in the cache; steps on parameters, for all trajectories that
have not converged. No number of one trajectory depends on another (test_em.py).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

MIN_REG_COVAR = 1e-12
"""In units of the data's variance. Below it rounding decides: covariances err by eps times a squared coordinate."""
_BLOCK = 2048
"""Rows taken together: the densities of 25 components stay in the cache. Part of the rounding, so fixed."""
_DEAD = 1e-12
"""A component with no more than this share of the rows' weight is dead: its weight is 0 from then on."""
_NEVER = -1e300
"""The logarithm of a dead component's density: finite, as 0 times infinity has no value."""
_SAFE = 1e-200
"""Likelihoods between this and its inverse lose nothing to the factor that they are computed with."""
_LEAST = -600.0
"""exp(-600) = 1e-261 beside likelihoods above 1e-200: nothing."""


@dataclass(frozen=True)
class Mixture:
    """B mixtures of K Gaussians: weight [B, K] adds up to 1; mean [B, K, d]; root [B, K, d, d] lower triangular.

    The covariance of component k is root_k root_k^T. A dead component has weight 0; its mean and root mean nothing.
    """

    weight: np.ndarray
    mean: np.ndarray
    root: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Of each component [B, K, d, d]."""
        return (self.root[..., :, None, :] * self.root[..., None, :, :]).sum(axis=-1)

    def rows(self, index: np.ndarray) -> "Mixture":
        """The trajectories of this index."""
        return Mixture(self.weight[index], self.mean[index], self.root[index])

    def moved(self, centre: np.ndarray, scale: np.ndarray) -> "Mixture":
        """The mixtures of centre [B, d] + scale [B] x."""
        mean = centre[:, None, :] + scale[:, None, None] * self.mean
        return Mixture(self.weight, mean, scale[:, None, None, None] * self.root)


@dataclass(frozen=True)
class Fit:
    """What EM found. log_likelihood [B]: per row, at the last E-step. n_iterations [B]: E-steps made.

    converged [B] bool: the last E-step changed the log-likelihood by less than tol.
    """

    mixture: Mixture
    log_likelihood: np.ndarray
    n_iterations: np.ndarray
    converged: np.ndarray


class Rows:
    """One trajectory's weighted rows x [n, d], in units of their spread; rows of weight 0 are left out.

    x = centre [d] + scale z, with z [d, n]. weight [n] adds up to 1.
    """

    def __init__(self, x: np.ndarray, weight: np.ndarray | None = None) -> None:
        weight = np.ones(len(x)) if weight is None else weight.astype(np.float64)
        x, weight = x[weight > 0].astype(np.float64), weight[weight > 0]
        if not len(x):
            raise ValueError("a mixture needs a row of positive weight")
        self.n, self.d = x.shape
        self.weight = weight / weight.sum()
        self.centre = self.weight @ x
        z = np.ascontiguousarray((x - self.centre).T)
        # Rows that are equal but for rounding have no spread of their own to divide by.
        rounding = max(np.finfo(np.float64).eps * float(np.abs(x).max()), 1e-140)
        self.scale = max(math.sqrt(float(((z * z) @ self.weight).mean())), rounding)
        self.z = z / self.scale
        i, j = np.tril_indices(self.d)
        # The last row is added to log-densities: minus the log-likelihood of each row in the step before.
        features = np.concatenate([np.ones((1, self.n)), self.z, self.z[i] * self.z[j], np.zeros((1, self.n))])
        self._parts = [slice(a, a + _BLOCK) for a in range(0, self.n, _BLOCK)]
        self._blocks = [np.ascontiguousarray(features[:, part]) for part in self._parts]
        self._fresh = True

    def reset(self) -> None:
        """Forget the log-likelihoods of earlier steps, so that every fit starts alike."""
        self._fresh = True

    def shared(self, responsibility: np.ndarray) -> np.ndarray:
        """Statistics [K, F] of rows shared among K components, responsibility [K, n]."""
        statistics = np.zeros((len(responsibility), len(self._blocks[0]) - 1))
        for part, block in zip(self._parts, self._blocks, strict=True):
            statistics += responsibility[:, part] @ (block[:-1] * self.weight[part]).T
        return statistics

    def expect(self, coefficients: np.ndarray) -> tuple[np.ndarray, float]:
        """The E-step: coefficients [K, F + 1] -> statistics [K, F], log-likelihood per row."""
        statistics, likelihood = np.zeros((len(coefficients), coefficients.shape[1] - 1)), 0.0
        for part, block in zip(self._parts, self._blocks, strict=True):
            density, total = _densities(coefficients, block, self._fresh)
            likelihood -= float(self.weight[part] @ block[-1])
            statistics += density @ (block[:-1] * (self.weight[part] / total)).T
        self._fresh = False
        return statistics, likelihood


def _densities(coefficients: np.ndarray, block: np.ndarray, fresh: bool) -> tuple[np.ndarray, np.ndarray]:
    """weight_k N_k(x) [K, n] and their sum [n], both times a factor of each row's own; block[-1] becomes -log p(x)."""
    if not fresh:
        density = _exp(coefficients @ block)
        total = density.sum(axis=0)
        if total.min() > _SAFE and total.max() < 1 / _SAFE:
            block[-1] -= np.log(total)
            return density, total
    # Nothing is known of these rows yet, or one has become far more or far less likely: subtract the largest.
    block[-1] = 0.0
    density = coefficients @ block
    largest = density.max(axis=0)
    density -= largest
    total = _exp(density).sum(axis=0)
    block[-1] = -(largest + np.log(total))
    return density, total


def _exp(density: np.ndarray) -> np.ndarray:
    """exp in place, without its last orders of magnitude: numbers near underflow take 20 times as long."""
    np.maximum(density, _LEAST, out=density)
    with np.errstate(over="ignore"):
        return np.exp(density, out=density)


def start(rows: Sequence[Rows], responsibility: Sequence[np.ndarray], reg_covar: float) -> Mixture:
    """The M-step of rows shared among components, responsibility [K, n] each; in each trajectory's units."""
    shared = [one.shared(given) for one, given in zip(rows, responsibility, strict=True)]
    return _maximise(np.stack(shared), rows[0].d, reg_covar)


def fit(
    rows: Sequence[Rows],
    mixture: Mixture,
    *,
    tol: float,
    max_iterations: int,
    reg_covar: float,
    told: Callable[[int], None] = lambda n_converged: None,
) -> Fit:
    """EM from `mixture` until the log-likelihood per row changes by less than tol; all in each trajectory's units.

    Dempster, Laird and Rubin 1977, stopping as scikit-learn does: parameters are those of the M-step after the last
    E-step. reg_covar is added to the diagonal of every covariance. Trajectories that have converged leave the batch.
    """
    n, d, active = len(rows), rows[0].d, np.arange(len(rows))
    found = Mixture(mixture.weight.copy(), mixture.mean.copy(), mixture.root.copy())
    likelihood, n_iterations, converged = np.full(n, -np.inf), np.zeros(n, np.int64), np.zeros(n, bool)
    for one in rows:
        one.reset()
    for _ in range(max_iterations):
        steps = [rows[int(b)].expect(given) for b, given in zip(active, _coefficients(mixture), strict=True)]
        mixture = _maximise(np.stack([statistics for statistics, _ in steps]), d, reg_covar)
        for held, new in zip(vars(found).values(), vars(mixture).values(), strict=True):
            held[active] = new
        now = np.array([value for _, value in steps])
        n_iterations[active] += 1
        converged[active] = np.abs(now - likelihood[active]) < tol
        likelihood[active] = now
        going = ~converged[active]
        active, mixture = active[going], mixture.rows(going)
        told(n - len(active))
        if not len(active):
            break
    return Fit(found, likelihood, n_iterations, converged)


def units(rows: Sequence[Rows]) -> tuple[np.ndarray, np.ndarray]:
    """centre [B, d] and scale [B]: `mixture.moved(*units(rows))` brings what was found back to where the rows were."""
    return np.stack([one.centre for one in rows]), np.array([one.scale for one in rows])


def seed(rows: Rows, uniform: np.ndarray) -> np.ndarray:
    """k-means++ -> responsibility [K, n]: 1 for a row's nearest centre (shared where several are as near), else 0.

    Arthur and Vassilvitskii 2007, greedy as in scikit-learn. uniform [K, m] in [0, 1): of m candidates, drawn in
    proportion to weight times squared distance, the one that leaves the smallest sum of these becomes the next centre.
    Where there are fewer than K distinct rows, the components beyond get none.
    """
    square, one = (rows.z * rows.z).sum(axis=0)[None], np.ones((1, rows.n))
    # |a - b|^2 = (-2 a, 1, |a|^2) . (b, |b|^2, 1): squared distances of some rows from all are one product.
    left, right = np.concatenate([-2 * rows.z, one, square]), np.concatenate([rows.z, square, one])
    chosen = [_draw(rows.weight, uniform[0, :1])[0]]
    nearest = np.maximum(left[:, chosen].T @ right, 0.0)[0]
    for u in uniform[1:]:
        mass = rows.weight * nearest
        if not mass.any():
            break
        drawn = _draw(mass, u)
        closest = left[:, drawn].T @ right
        np.minimum(closest, nearest, out=closest)
        best = int((closest @ rows.weight).argmin())
        nearest = np.maximum(closest[best], 0.0)
        chosen.append(drawn[best])
    squared = left[:, chosen].T @ right
    responsibility = np.zeros((len(uniform), rows.n))
    responsibility[: len(chosen)] = squared == squared.min(axis=0)
    return responsibility / responsibility.sum(axis=0)


def _draw(mass: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Indices drawn in proportion to mass [n] by uniform numbers u [m]; none of mass 0."""
    reach = mass.cumsum()
    drawn = reach.searchsorted(u * reach[-1], side="right")
    return drawn if drawn.max() < len(mass) else np.minimum(drawn, np.flatnonzero(mass)[-1])


def _maximise(statistics: np.ndarray, d: int, reg_covar: float) -> Mixture:
    """The M-step: statistics [B, K, F], of weights that add up to 1 over K, -> the likeliest mixture."""
    weight = statistics[..., 0]
    alive = weight > _DEAD
    statistics = np.where(alive[..., None], statistics / np.where(alive, weight, 1.0)[..., None], 0.0)
    mean = statistics[..., 1 : 1 + d]
    i, j = np.tril_indices(d)
    lower = statistics[..., 1 + d :] - mean[..., i] * mean[..., j]
    lower[..., i == j] += reg_covar
    weight = np.where(alive, weight, 0.0)
    return Mixture(weight / weight.sum(axis=1, keepdims=True), mean, _cholesky(lower, d, reg_covar))


def _cholesky(lower: np.ndarray, d: int, least: float) -> np.ndarray:
    """Lower triangles [..., d (d + 1) / 2] of matrices that exceed `least` I -> their Cholesky roots [..., d, d].

    No pivot of such a matrix is below `least`: one that is has been lost to rounding, and is set to it.
    """
    root = np.zeros((*lower.shape[:-1], d, d))
    i, j = np.tril_indices(d)
    root[..., i, j] = lower
    for c in range(d):
        if c:
            root[..., c:, c] -= (root[..., c:, :c] * root[..., c, None, :c]).sum(axis=-1)
        pivot = np.sqrt(np.maximum(root[..., c, c], least))
        root[..., c, c] = pivot
        root[..., c + 1 :, c] /= pivot[..., None]
    return root


def _inverse(root: np.ndarray) -> np.ndarray:
    """The inverse of lower triangular [..., d, d], by forward substitution."""
    d = root.shape[-1]
    inverse = np.zeros_like(root)
    for r in range(d):
        if r:
            inverse[..., r, :r] = -(root[..., r, :r, None] * inverse[..., :r, :r]).sum(axis=-2)
        inverse[..., r, r] = 1.0
        inverse[..., r, :] /= root[..., r, r, None]
    return inverse


def _coefficients(mixture: Mixture) -> np.ndarray:
    """log(weight_k N(x; mean_k, covariance_k)) as coefficients [B, K, F + 1] of (1, x_i, x_i x_j with j <= i, 1)."""
    d = mixture.mean.shape[-1]
    i, j = np.tril_indices(d)
    inverse, dead = _inverse(mixture.root), mixture.weight <= 0
    white = (inverse * mixture.mean[..., None, :]).sum(axis=-1)
    coefficients = np.empty((*dead.shape, 3 + d + len(i) - 1))
    log_root = np.log(mixture.root[..., range(d), range(d)]).sum(axis=-1)
    log_weight = np.log(np.where(dead, 1.0, mixture.weight))
    coefficients[..., 0] = log_weight - log_root - 0.5 * (d * math.log(2 * math.pi) + (white * white).sum(axis=-1))
    coefficients[..., 1 : 1 + d] = (inverse * white[..., :, None]).sum(axis=-2)
    precision = (inverse[..., :, i] * inverse[..., :, j]).sum(axis=-2)
    coefficients[..., 1 + d : -1] = np.where(i == j, -0.5, -1.0) * precision
    coefficients[dead] = 0.0
    coefficients[..., 0] = np.where(dead, _NEVER, coefficients[..., 0])
    coefficients[..., -1] = 1.0
    return coefficients
