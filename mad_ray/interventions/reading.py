"""D^t, as interventions read it: batch by batch, and no more rows at once than they need."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mad_ray.core.errors import TrajectoryFailed
from mad_ray.core.samples import Samples
from mad_ray.interventions.intervention import Rows

BATCH = 1024


@dataclass(frozen=True)
class Taken:
    """Rows of one trajectory: x [n, *event], label [n], weight [n] above 0."""

    x: np.ndarray
    label: np.ndarray
    weight: np.ndarray


def weights(rows: Rows) -> np.ndarray:
    """Of all rows of D^t, [B, n] float64. TrajectoryFailed where a trajectory has none above 0."""
    weight = np.concatenate([batch.weight for batch in rows.batches(BATCH)], axis=1).astype(np.float64)
    if not (weight > 0).any(axis=1).all():
        raise TrajectoryFailed(
            f"D^t: {weight.shape[1]} rows, none of positive weight; the interventions before dropped them all"
        )
    return weight


def evenly(rows: Rows, n: int) -> list[Taken]:
    """Of each trajectory at most n rows of positive weight, taken evenly from the first to the last.

    TrajectoryFailed where there are none, or where one of them holds a number that is not finite.
    """
    weight = weights(rows)
    chosen = np.zeros(weight.shape, bool)
    for b, of_b in enumerate(weight):
        there = np.flatnonzero(of_b > 0)
        m = min(n, len(there))
        chosen[b, there[np.arange(m) * len(there) // m]] = True
    parts: list[list[Taken]] = [[] for _ in weight]
    start = 0
    for batch in rows.batches(BATCH):
        for b, part in enumerate(parts):
            kept = chosen[b, start : start + batch.n]
            part.append(Taken(batch.x[b][kept], batch.label[b][kept], batch.weight[b][kept].astype(np.float64)))
        start += batch.n
    return [_joined(part) for part in parts]


def per_row(rows: Rows, function: Callable[[Samples], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """function gives a number for each row of a batch, [B, m] -> these of all rows of D^t, and their weights [B, n]."""
    parts = [(function(batch), batch.weight.astype(np.float64)) for batch in rows.batches(BATCH)]
    values, weight = zip(*parts, strict=True)
    return np.concatenate(values, axis=1), np.concatenate(weight, axis=1)


def _joined(parts: list[Taken]) -> Taken:
    x, label, weight = (np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "label", "weight"))
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise TrajectoryFailed("D^t: a row holds a number that is not finite; no intervention can learn from it")
    return Taken(x, label, weight)
