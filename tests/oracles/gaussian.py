"""The Gaussian loop as one would write it without mad_ray: sample rows, mean, covariance, again."""

import numpy as np


def gaussian_loop(
    rng: np.random.Generator,
    *,
    d: int,
    n_generations: int,
    n_initial: int,
    n_fixed: int = 0,
    n_fresh: int = 0,
    n_synthetic: int = 0,
    accumulate: bool = False,
    bias: float = 1.0,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """One trajectory: (mean [d], unbiased covariance [d, d]) of generations 1..n_generations. P_r = N(0, I)."""
    initial = rng.standard_normal((n_initial, d))
    models = [(initial.mean(axis=0), np.cov(initial.T, ddof=1).reshape(d, d))]
    published: list[np.ndarray] = []
    for _ in range(1, n_generations):
        mean, cov = models[-1]
        drawn = rng.multivariate_normal(mean, bias * cov, n_synthetic, method="eigh")
        published = [*published, drawn] if accumulate else [drawn]
        rows = np.concatenate([initial[:n_fixed], rng.standard_normal((n_fresh, d)), *published])
        models.append((rows.mean(axis=0), np.cov(rows.T, ddof=1).reshape(d, d)))
    return models


def total_variances(n_trajectories: int, seed: int = 0, **loop: float) -> np.ndarray:
    """tr(Sigma_t) [n_trajectories, n_generations]."""
    rng = np.random.default_rng(seed)
    return np.array([[np.trace(cov) for _, cov in gaussian_loop(rng, **loop)] for _ in range(n_trajectories)])
