"""What families of vectors share: which samples they take, and D^t in memory."""

import numpy as np

from mad_ray.core.errors import InvalidInput, TrajectoryFailed
from mad_ray.core.samples import Event
from mad_ray.families.family import Stream

BATCH = 4096


def require_vectors(family: str, event: Event, data: str) -> None:
    """InvalidInput unless samples are vectors; `data` is a source that suits the family."""
    if event.n_symbols:
        raise InvalidInput(
            f"family={family} needs vectors; data gives sequences of {event.shape[0]} tokens: use data={data}, or "
            "family=lm"
        )
    if event.dtype == "uint8" or len(event.shape) != 1:
        raise InvalidInput(
            f"family={family} needs vectors; data gives {event.dtype} samples of shape {event.shape}: "
            f"use data={data}, or an image family such as ddpm"
        )


def whole(data: Stream) -> tuple[np.ndarray, np.ndarray]:
    """x [B, n, d] and weight [B, n] of all rows, float64. TrajectoryFailed where a trajectory has none of weight."""
    batches = list(data.batches(BATCH))
    if not batches:
        raise nothing_left(data.n)
    x = np.concatenate([batch.x for batch in batches], axis=1).astype(np.float64)
    weight = np.concatenate([batch.weight for batch in batches], axis=1).astype(np.float64)
    if not (weight > 0).any(axis=1).all():
        raise nothing_left(data.n)
    return x, weight


def nothing_left(n: int) -> TrajectoryFailed:
    """D^t has n rows, and no weight."""
    return TrajectoryFailed(f"D^t: {n} rows, none of positive weight; the interventions dropped them all")
