"""Frechet distance: the squared Wasserstein-2 distance between the Gaussians of two samples' moments (FID)."""

import numpy as np

from mad_ray.core.cholesky import pivoted_factor
from mad_ray.core.moments import Factored, Moments
from mad_ray.core.wasserstein import gaussian_w2


def moments_to_frechet(*, real: Moments, synthetic: Moments) -> np.ndarray:
    """Squared Wasserstein-2 distance between N(mean, covariance) of real and synthetic, [B]; real may have B = 1.

    `gaussian_w2` of factors L with L L^T = covariance, so that singular covariances (fewer samples than dimensions)
    need no offset. Error: about 1e-13 of the two traces where covariances have full rank, and at most about
    sqrt(d^2 1e-16) of them where they have not. Never negative. ValueError below two samples.
    """
    return gaussian_w2(synthetic.mean, _factors(synthetic), real.mean, _factors(real))


def _factors(moments: Moments) -> np.ndarray:
    """L [B, d, r] with L L^T = covariance; r is the largest rank of the batch, and 1 at least."""
    if isinstance(moments, Factored) and moments.factor.shape[2] and np.all(moments.n >= 2):
        return moments.factor / np.sqrt(moments.n - 1)[:, None, None]
    covariance = moments.covariance
    parts = [pivoted_factor(one) for one in covariance]
    rank = max(part.shape[1] for part in parts)
    factors = np.zeros((*covariance.shape[:2], max(rank, 1)))
    for factor, part in zip(factors, parts, strict=True):
        factor[:, : part.shape[1]] = part
    return factors
