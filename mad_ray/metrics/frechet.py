"""Frechet distance: the squared Wasserstein-2 distance between the Gaussians of two samples' moments (FID)."""

import numpy as np

from mad_ray.core.moments import Moments


def moments_to_frechet(*, real: Moments, synthetic: Moments) -> np.ndarray:
    """Squared Wasserstein-2 distance between N(mean, covariance) of real and synthetic, [B]; real may have B = 1.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2), Eq. (6) of Heusel et al. 2017; never negative. The last trace
    is the sum of the singular values of L1^T L2, where S = L L^T: no square root of a matrix is taken, so that singular
    covariances (fewer samples than dimensions) need no offset. Error: about 1e-13 of the two traces where covariances
    have full rank, and at most about sqrt(d^2 1e-16) of them where they have not. ValueError below two samples.
    """
    delta = real.mean - synthetic.mean
    of_real, of_synthetic = real.covariance, synthetic.covariance
    coupling = np.matmul(_factors(of_real).transpose(0, 2, 1), _factors(of_synthetic))
    cross = np.linalg.svd(coupling, compute_uv=False).sum(axis=-1)
    traces = np.trace(of_real, axis1=1, axis2=2) + np.trace(of_synthetic, axis1=1, axis2=2)
    return np.maximum((delta * delta).sum(axis=1) + traces - 2 * cross, 0.0)


def _factors(covariance: np.ndarray) -> np.ndarray:
    """[B, d, d] -> L [B, d, r] with L L^T = covariance; r is the largest rank of the batch."""
    parts = [_factor(one) for one in covariance]
    rank = max(part.shape[1] for part in parts)
    factors = np.zeros((*covariance.shape[:2], max(rank, 1)))
    for factor, part in zip(factors, parts, strict=True):
        factor[:, : part.shape[1]] = part
    return factors


def _factor(covariance: np.ndarray) -> np.ndarray:
    """[d, d] -> L [d, rank]: Cholesky with complete pivoting, which stops at the rank (LAPACK dpstrf)."""
    from scipy.linalg.lapack import dpstrf

    # Pivots are judged on the scale of each variable: a direction may be 1e-10 as wide as another and still be real.
    scale = np.sqrt(np.diagonal(covariance))
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    packed, pivot, rank, _ = dpstrf(covariance * inverse[:, None] * inverse, lower=1)
    factor = np.empty((len(scale), rank))
    factor[pivot - 1] = np.tril(packed)[:, :rank]
    return factor * scale[:, None]
