"""What the metrics are called, in the order in which a reader wants them."""

import re

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
    "accuracy_published": "accuracy, trained on samples",
    "accuracy_training": "accuracy, trained on D^t",
    "ece_published": "calibration error, samples",
    "ece_training": "calibration error, D^t",
    "nll_published": "log loss, samples (nats)",
    "nll_training": "log loss, D^t (nats)",
    "classes_alive": "classes alive",
    "copying": "distance to D^t (1: fresh)",
    "authenticity": "authenticity",
}
DISTANCES = ("kl_per_token", "frechet", "w2_squared", "total_variation", "perplexity")
"""Distances to P_r that a verdict rests on; the first that was measured. (Perplexity grows with the KL divergence.)"""
QUALITY = ("precision", "density", "high_quality")
DIVERSITY = ("recall", "coverage", "modes_alive", "support", "tail_recall", "distinct_2")
SHARES = (
    "precision", "recall", "coverage", "high_quality", "head_alive", "body_alive", "tail_alive",
    "tail_recall", "distinct_1", "distinct_2", "distinct_3", "rule_error",
    "accuracy_published", "accuracy_training", "authenticity",
)  # fmt: skip
"""Metrics between 0 and 1."""
DOWNSTREAM = (
    "accuracy_published", "accuracy_training", "ece_published", "ece_training", "nll_published", "nll_training",
)  # fmt: skip
"""What classifiers are worth: shown in a section of their own."""
CLASS_DYNAMICS = ("classes_alive", "copying", "authenticity")
"""What became of classes, and of copies: likewise."""
OF_INTERVENTIONS = {
    "mark_z_before": "mark before marking (sd)",
    "mark_z_after": "mark after marking (sd)",
    "mark_z_previous_before": "last key's mark before marking (sd)",
    "mark_z_previous_after": "last key's mark after marking (sd)",
    "mark_flagged_before": "taken for marked, before marking",
    "mark_flagged_after": "taken for marked, after marking",
    "mark_flagged_previous_before": "last key's mark found before marking",
    "mark_flagged_previous_after": "last key's mark found after marking",
    "hit_rate": "synthetic rows flagged",
    "false_alarm_rate": "real rows flagged",
    "synthetic_share": "synthetic share of D^t, by weight",
    "effective_rows": "effective rows of D^t",
    "frechet_before": "FID before marking",
}
"""What interventions did, by metric and label; of a second detector or mark with _2 behind."""
LABELS |= OF_INTERVENTIONS
OF_CLASS = re.compile(r"(.+)_class_(\d+)")
"""Metrics of one class, of which there are too many for curves: "recall_class_3"."""
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


def is_of_interventions(metric: str) -> bool:
    """Whether it tells what an intervention did."""
    return re.sub(r"_\d+$", "", metric) in OF_INTERVENTIONS


def has_a_section(metric: str) -> bool:
    """Whether it is shown in a section of its own."""
    return metric in DOWNSTREAM or metric in CLASS_DYNAMICS or is_of_interventions(metric)


def is_of_class(metric: str) -> bool:
    """Whether it is a metric of one class."""
    return OF_CLASS.fullmatch(metric) is not None


def in_order(metrics: set[str]) -> list[str]:
    """The known metrics first, then the others by name."""
    known = [metric for metric in LABELS if metric in metrics]
    return known + sorted(metrics - set(known))
