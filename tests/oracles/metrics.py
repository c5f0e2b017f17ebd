"""Slow reference formulas of mad_ray.metrics: plain loops over pairs, straight from the papers."""

import numpy as np


def frechet_of_factors(mean_1, factor_1, mean_2, factor_2):
    """Squared W2 of N(mean, factor factor^T), from tall factors [d, r], so that ranks are known."""
    cross = np.linalg.svd(factor_1.T @ factor_2, compute_uv=False).sum()
    return ((mean_1 - mean_2) ** 2).sum() + (factor_1**2).sum() + (factor_2**2).sum() - 2 * cross


def kernel_distance(real, synthetic, degree=3):
    """Unbiased MMD^2, pair by pair."""

    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** degree

    def mean_of_pairs(rows):
        pairs = [kernel(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
        return sum(pairs) / len(pairs)

    mixed = [kernel(x, y) for x in real for y in synthetic]
    return mean_of_pairs(real) + mean_of_pairs(synthetic) - 2 * sum(mixed) / len(mixed)


def neighbours(real, synthetic, k):
    """(precision, recall, density, coverage) with closed balls. Integer rows make it exact, ties included."""

    def squared(x, y):
        return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))

    def radius(rows, i):
        return sorted(squared(rows[i], other) for j, other in enumerate(rows) if j != i)[k - 1]

    real, synthetic = real.tolist(), synthetic.tolist()
    real_radius = [radius(real, i) for i in range(len(real))]
    synthetic_radius = [radius(synthetic, j) for j in range(len(synthetic))]
    inside = [[squared(x, y) <= r for y in synthetic] for x, r in zip(real, real_radius, strict=True)]
    reached = [[squared(x, y) <= r for y, r in zip(synthetic, synthetic_radius, strict=True)] for x in real]
    return (
        np.mean([any(column) for column in zip(*inside, strict=True)]),
        np.mean([any(row) for row in reached]),
        sum(map(sum, inside)) / (k * len(synthetic)),
        np.mean([any(row) for row in inside]),
    )
