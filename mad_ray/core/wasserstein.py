"""The squared Wasserstein-2 distance between Gaussians given by their means and roots."""

import numpy as np

# Where the smallest eigenvalue of a Gram matrix is above this share of the largest, its square root errs by less than
# 1e-12 of the largest singular value; below it, singular values are computed as such, at about half the speed.
_SAFE = 1e-6


def gaussian_w2(mean: np.ndarray, root: np.ndarray, of_mean: np.ndarray, of_root: np.ndarray) -> np.ndarray:
    """Squared W2 between N(mean, root root^T) and N(of_mean, of_root of_root^T), [B]; either may have B = 1.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2), Eq. (6) of Heusel et al. 2017; the last trace is the sum of
    the singular values of R1^T R2, where S = R R^T: no square root of a matrix is taken. Never negative.
    """
    coupling = np.matmul(of_root.transpose(0, 2, 1), root)
    traces = (root * root).sum(axis=(1, 2)) + (of_root * of_root).sum(axis=(1, 2))
    delta = mean - of_mean
    return np.maximum((delta * delta).sum(axis=1) + traces - 2 * singular_values(coupling).sum(axis=1), 0.0)


def isotropic_w2(mean: np.ndarray, root: np.ndarray, of_mean: np.ndarray, spread: float) -> np.ndarray:
    """Squared W2 between N(mean, root root^T) and N(of_mean, spread^2 I), [B].

    |m1 - m2|^2 + sum (sigma - spread)^2 over the singular values of the square root: nothing cancels.
    """
    delta = mean - of_mean
    return (delta * delta).sum(axis=1) + ((singular_values(root) - spread) ** 2).sum(axis=1)


def singular_values(x: np.ndarray) -> np.ndarray:
    """x [B, m, k] -> [B, min(m, k)], to about 1e-13 of the largest (of all in x[b]), in no particular order.

    By the eigenvalues of the smaller of x x^T and x^T x, which cost less, if those are far enough from 0.
    """
    found = np.empty((len(x), min(x.shape[1:])))
    safe = _looks_safe(x)
    if safe.any():
        one = x if safe.all() else x[safe]
        other = one.transpose(0, 2, 1)
        squares = np.linalg.eigvalsh(np.matmul(*((one, other) if x.shape[1] <= x.shape[2] else (other, one))))
        found[safe] = np.sqrt(np.maximum(squares, 0.0))
        safe[safe] = squares[:, 0] > _SAFE * squares[:, -1]
    if not safe.all():
        found[~safe] = np.linalg.svd(x[~safe], compute_uv=False)
    return found


def _looks_safe(x: np.ndarray) -> np.ndarray:
    """Whether eigenvalues are worth the try, [B].

    The smallest singular value is at most as long as the shortest column, the largest at least as the longest one (rows
    instead, if those are fewer).
    """
    squares = (x * x).sum(axis=1 if x.shape[1] >= x.shape[2] else 2)
    return squares.min(axis=1) > _SAFE * squares.max(axis=1)
