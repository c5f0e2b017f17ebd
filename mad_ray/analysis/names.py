"""What the metrics are called, in the order in which a reader wants them."""

LABELS = {
    "frechet": "FID",
    "w2_squared": "W2 squared",
    "precision": "precision",
    "recall": "recall",
    "kernel": "KID",
    "coverage": "coverage",
    "density": "density",
    "total_variance": "total variance",
}
DISTANCES = ("frechet", "w2_squared")
"""Distances to P_r that a verdict rests on; the first that was measured."""
QUALITY = ("precision", "density")
DIVERSITY = ("recall", "coverage")
SHARES = ("precision", "recall", "coverage")
"""Metrics between 0 and 1."""
COLLAPSES = ("precision", "recall", "coverage", "total_variance")
"""Metrics that near zero where a model has collapsed."""


def label(metric: str) -> str:
    """The reader's name of a metric; its own where we have none."""
    return LABELS.get(metric, metric.replace("_", " "))


def in_order(metrics: set[str]) -> list[str]:
    """The known metrics first, then the others by name."""
    known = [metric for metric in LABELS if metric in metrics]
    return known + sorted(metrics - set(known))
