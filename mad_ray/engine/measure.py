"""From samples to metric rows: features and moments shard by shard, then each metric once per generation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mad_ray.core.moments import Moments, merge_all, rows_to_moments
from mad_ray.core.samples import Samples
from mad_ray.core.trajectory import Cohort
from mad_ray.core.values import MetricRow, metric_row
from mad_ray.engine.reference import Reference, law_of
from mad_ray.families.family import Model
from mad_ray.metrics.measure import Metrics, evaluate


@dataclass(frozen=True)
class Measured:
    """What the metrics need of some samples: moments [B, d] of their features, and features [B, m, d] themselves;

    of text also its tokens [B, m, L].
    """

    moments: Moments
    features: np.ndarray
    tokens: np.ndarray | None = None


def measure_samples(samples: Samples, reference: Reference, metrics: Metrics) -> Measured:
    """Features of the samples, and their moments."""
    flat = samples.x.reshape(-1, *samples.event)
    features = reference.extractor(flat)
    features = features.reshape(*samples.x.shape[:2], -1)
    return Measured(rows_to_moments(features, samples.weight), features, tokens_of(samples))


def tokens_of(samples: Samples) -> np.ndarray | None:
    """The samples [B, n, L] themselves where they are sequences of tokens."""
    return samples.x if samples.x.dtype == np.int32 else None


def merge_measured(parts: Sequence[Measured]) -> Measured:
    """Join shards from left to right."""
    features = np.concatenate([part.features for part in parts], axis=1)
    tokens = [part.tokens for part in parts if part.tokens is not None]
    joined = np.concatenate(tokens, axis=1) if tokens else None
    return Measured(merge_all(part.moments for part in parts), features, joined)


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
            synthetic_moments=measured.moments.row(b),
            law=law_of(head.data),
            tokens=None if measured.tokens is None else measured.tokens[b],
        )
        rows += [metric_row(t, seed, name, head.loop.bias, value) for name, value in values.items()]
    return rows


def model_rows(cohort: Cohort, t: int, model: Model) -> list[MetricRow]:
    """What the model itself says, at lambda = 1: those of the family's measures that the metrics ask for."""
    head = cohort.head
    names = head.metrics.of_model(getattr(head.family, "measures", ()))
    law = law_of(head.data)
    if not names or law is None:
        return []
    found = head.family.measure(model, law, names)
    return [metric_row(t, seed, name, 1.0, found[name][b]) for name in names for b, seed in enumerate(cohort.seeds)]
