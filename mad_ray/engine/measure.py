"""From samples to metric rows: features and moments shard by shard, then each metric once per generation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mad_ray.core.moments import Moments, merge_all, rows_to_moments
from mad_ray.core.samples import Samples
from mad_ray.core.trajectory import Cohort
from mad_ray.engine.reference import Reference
from mad_ray.families.family import Model
from mad_ray.metrics.frechet import moments_to_frechet
from mad_ray.metrics.measure import Metrics, evaluate

MetricRow = dict[str, Any]
"""generation, seed, metric, bias (lambda at which it was measured), value (None where it is not finite)."""


@dataclass(frozen=True)
class Measured:
    """What the metrics need of some samples: moments [B, d] of their features, and features [B, m, d] themselves."""

    moments: Moments
    features: np.ndarray


def measure_samples(samples: Samples, reference: Reference, metrics: Metrics) -> Measured:
    """Features of the samples, and their moments."""
    flat = samples.x.reshape(-1, *samples.event)
    features = reference.extractor(flat)
    features = features.reshape(*samples.x.shape[:2], -1)
    return Measured(rows_to_moments(features, samples.weight), features)


def merge_measured(parts: Sequence[Measured]) -> Measured:
    """Join shards from left to right."""
    features = np.concatenate([part.features for part in parts], axis=1)
    return Measured(merge_all(part.moments for part in parts), features)


def sample_rows(cohort: Cohort, t: int, measured: Measured, reference: Reference) -> list[MetricRow]:
    """Every metric of the settings, for what each trajectory published at generation t."""
    head = cohort.head
    rows = []
    for b, seed in enumerate(cohort.seeds):
        values = evaluate(
            real=reference.features,
            synthetic=measured.features[b],
            settings=head.metrics,
            real_moments=reference.moments,
            synthetic_moments=_row(measured.moments, b),
        )
        rows += [_metric_row(t, seed, name, head.loop.bias, value) for name, value in values.items()]
    return rows


def model_rows(cohort: Cohort, t: int, model: Model) -> list[MetricRow]:
    """What is known of the model itself, at lambda = 1, where model and data know their moments.

    w2_squared: squared Wasserstein-2 distance to P_r; total_variance: the trace of the model's covariance.
    """
    family, exact = cohort.head.family, cohort.head.data.moments()
    if exact is None or not hasattr(family, "moments"):
        return []
    moments = family.moments(model)
    w2_squared = moments_to_frechet(real=exact, synthetic=moments)
    variance = np.trace(moments.covariance, axis1=1, axis2=2)
    rows = []
    for b, seed in enumerate(cohort.seeds):
        rows.append(_metric_row(t, seed, "w2_squared", 1.0, w2_squared[b]))
        rows.append(_metric_row(t, seed, "total_variance", 1.0, variance[b]))
    return rows


def _row(moments: Moments, b: int) -> Moments:
    return Moments(moments.n[b : b + 1], moments.mean[b : b + 1], moments.scatter[b : b + 1])


def _metric_row(t: int, seed: int, metric: str, bias: float, value: float) -> MetricRow:
    finite = float(value) if math.isfinite(value) else None
    return {"generation": t, "seed": seed, "metric": metric, "bias": float(bias), "value": finite}
