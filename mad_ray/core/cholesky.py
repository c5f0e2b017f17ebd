"""Lower-triangular roots of covariances, also of singular ones: R with R R^T = covariance."""

import numpy as np

from mad_ray.core.moments import lower_trapezoid


def covariance_root(covariance: np.ndarray) -> np.ndarray:
    """[B, d, d] -> lower-triangular R [B, d, d] with R R^T = covariance, whatever its rank.

    Cholesky's where all pivots are positive. Otherwise (n <= d leaves a covariance singular) from the pivoted factor,
    made triangular again: its last columns are 0, as many as the rank is short of d.
    """
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return np.stack([_one_root(one) for one in covariance])


def _one_root(covariance: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        factor = pivoted_factor(covariance)
    root = np.zeros_like(covariance)
    root[:, : factor.shape[1]] = lower_trapezoid(factor[None])[0]
    return root


def pivoted_factor(covariance: np.ndarray) -> np.ndarray:
    """[d, d] -> F [d, rank], F F^T = covariance: Cholesky with complete pivoting, which stops at the rank (dpstrf)."""
    from scipy.linalg.lapack import dpstrf

    # Pivots are judged on the scale of each variable: a direction may be 1e-10 as wide as another and still be real.
    scale = np.sqrt(np.diagonal(covariance))
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    packed, pivot, rank, _ = dpstrf(covariance * inverse[:, None] * inverse, lower=1)
    factor = np.empty((len(scale), rank))
    factor[pivot - 1] = np.tril(packed)[:, :rank]
    return factor * scale[:, None]
