"""What marks come to: their strength before they are set (what the model has learnt of them) and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from mad_ray.core.moments import Moments, rows_to_moments
from mad_ray.core.samples import Samples, concatenate
from mad_ray.core.trajectory import Cohort
from mad_ray.core.values import MetricRow, metric_row
from mad_ray.engine.publication import Publisher
from mad_ray.engine.reference import Reference
from mad_ray.engine.stream import TrainingSet
from mad_ray.families.family import Model
from mad_ray.metrics.frechet import moments_to_frechet


@dataclass(frozen=True)
class Observed:
    """Of n samples: moments [B, d] of their features before any mark, and sums [B] of what the marks' owners see."""

    n: int
    moments: Moments
    sums: dict[str, np.ndarray]

    def merge(self, other: "Observed") -> "Observed":
        """Of both together."""
        sums = {name: self.sums[name] + other.sums[name] for name in self.sums}
        return Observed(self.n + other.n, self.moments.merge(other.moments), sums)


def observe(
    publisher: Publisher, model: Model, start: int, drawn: Samples, published: Samples, reference: Reference
) -> Observed | None:
    """Samples start.. as they were drawn and as they were published. None where nobody marks."""
    if not publisher.observers:
        return None
    before = publisher.unmarked(model, start, start + published.n) if publisher.prefers else drawn
    features = reference.extractor(before.x.reshape(-1, *before.event)).reshape(*before.x.shape[:2], -1)
    sums: dict[str, np.ndarray] = {}
    # Both at once: the search for a key that was not looked for yet is calibrated first.
    both, n = concatenate([before, published]), before.n
    for i, (one, state) in enumerate(publisher.observers):
        suffix = f"_{i + 1}" if i else ""
        for name, of in one.observe(both, publisher.generation, state).items():
            for when, part in (("before", of[:, :n]), ("after", of[:, n:])):
                sums[f"{name}_{when}{suffix}"] = part.sum(axis=1, dtype=np.float64)
    return Observed(published.n, rows_to_moments(features, before.weight), sums)


def observed_rows(cohort: Cohort, t: int, parts: Sequence[Observed | None], reference: Reference) -> list[MetricRow]:
    """Means over all samples, and the Frechet distance of what was not marked yet."""
    known = [part for part in parts if part is not None]
    if not known:
        return []
    whole = reduce(Observed.merge, known)
    moments = whole.moments
    frechet = [
        float(moments_to_frechet(real=reference.moments, synthetic=moments.row(b))[0]) for b in range(len(moments.n))
    ]
    values = {name: of / whole.n for name, of in whole.sums.items()} | {"frechet_before": np.array(frechet)}
    return _rows(cohort, t, values)


def admission_rows(cohort: Cohort, t: int, data: TrainingSet) -> list[MetricRow]:
    """Hits and false alarms of what detectors flagged in D^t, counted by the truth, and what entered."""
    found = data.tally()
    return [] if found is None else _rows(cohort, t, found.values())


def _rows(cohort: Cohort, t: int, values: dict[str, np.ndarray]) -> list[MetricRow]:
    bias = cohort.head.loop.bias
    return [
        metric_row(t, seed, name, bias, of[b]) for name, of in values.items() for b, seed in enumerate(cohort.seeds)
    ]
