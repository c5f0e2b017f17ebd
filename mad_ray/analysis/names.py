"""What the metrics are called, in the order in which a reader wants them."""

LABELS = {
    "frechet": "FID",
    "w2_squared": "W2 squared",
    "total_variation": "total variation",
    "precision": "precision",
    "recall": "recall",
    "kernel": "KID",
    "coverage": "coverage",
    "density": "density",
    "total_variance": "total variance",
    "modal_variance": "average modal variance",
    "modes_alive": "modes alive",
    "high_quality": "samples near a mode",
    "mean_squared": "squared mean",
    "trace_ratio": "trace ratio",
    "log_det_ratio": "log determinant ratio",
    "support": "symbols alive",
    "tail_mass": "mass of the tail",
    "missing_mass": "missing mass",
    "head_alive": "head alive",
    "body_alive": "body alive",
    "tail_alive": "tail alive",
    "entropy": "entropy (nats)",
    "heterozygosity": "heterozygosity",
    "perplexity": "perplexity",
    "kl_per_token": "KL per token (nats)",
    "tail_recall": "rare pairs alive",
    "distinct_1": "distinct tokens",
    "distinct_2": "distinct pairs",
    "distinct_3": "distinct triples",
    "rule_error": "rules broken",
    "nll": "negative log-likelihood (nats)",
}
DISTANCES = ("kl_per_token", "frechet", "w2_squared", "total_variation", "perplexity")
"""Distances to P_r that a verdict rests on; the first that was measured. (Perplexity grows with the KL divergence.)"""
QUALITY = ("precision", "density", "high_quality")
DIVERSITY = ("recall", "coverage", "modes_alive", "support", "tail_recall", "distinct_2")
SHARES = (
    "precision", "recall", "coverage", "high_quality", "head_alive", "body_alive", "tail_alive",
    "tail_recall", "distinct_1", "distinct_2", "distinct_3", "rule_error",
)  # fmt: skip
"""Metrics between 0 and 1."""
LOG_METRICS = ("w2_squared",)
"""Metrics that the paper draws on a log axis, however little they span."""
COLLAPSES = (
    "precision", "recall", "coverage", "total_variance", "trace_ratio", "modal_variance", "modes_alive", "support",
    "distinct_2", "distinct_3",
)  # fmt: skip
"""Metrics that near zero where a model has collapsed."""
PANELS = (
    ("modal_variance", ("total_variance", "modal_variance", "recall", "modes_alive")),
    ("modes_alive", ("total_variance", "modes_alive", "recall")),
    ("support", ("support", "tail_mass", "missing_mass")),
    ("tail_recall", ("kl_per_token", "tail_recall", "recall", "perplexity")),
)
"""What tells a kind of model -> the panels to show of it first: the paper's figure 15; tails of symbols, of text."""


def label(metric: str) -> str:
    """The reader's name of a metric; its own where we have none."""
    return LABELS.get(metric, metric.replace("_", " "))


def in_order(metrics: set[str]) -> list[str]:
    """The known metrics first, then the others by name."""
    known = [metric for metric in LABELS if metric in metrics]
    return known + sorted(metrics - set(known))
