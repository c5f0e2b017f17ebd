"""What makes one sample better than another: each score as a pair, one learns from real rows and one judges."""

from collections.abc import Mapping

import numpy as np

from mad_ray.core.errors import InvalidInput
from mad_ray.core.keys import Keys
from mad_ray.interventions.coordinates import as_vectors, flat, principal_axes
from mad_ray.interventions.small_nets import net_logits, train_net
from mad_ray.steady import in_batches

Learnt = Mapping[str, np.ndarray]

_LEAST_VARIANCE = 1e-9
"""Of the variance of all axes together: what an axis is given that has none."""


def classifier(
    x: np.ndarray, label: np.ndarray, n_classes: int, keys: Keys, b: int, n_steps: int
) -> dict[str, np.ndarray]:
    """Labelled rows x [n, *event] -> a small network over their pixels. InvalidInput if none has a label."""
    labelled = label >= 0
    if not labelled.any():
        raise InvalidInput("interventions.cherry_pick.by=confidence needs labels, and the real rows have none")
    rows = as_vectors(x[labelled]).astype(np.float32)
    return train_net(rows, label[labelled].astype(np.int64), n_classes, keys, b, n_steps, pixels=x.dtype == np.uint8)


def confidence(learnt: Learnt, x: np.ndarray) -> np.ndarray:
    """x [n, *event] -> the largest class probability [n]; its log, which has the same order and does not saturate."""
    logits = net_logits(learnt, as_vectors(x).astype(np.float32)).astype(np.float64)
    largest = logits.max(axis=1)
    return -np.log(np.exp(logits - largest[:, None]).sum(axis=1))


def gaussian(x: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """x [n, *event] -> mean, k axes with their variances, and the one variance of all others.

    k = d is a Gaussian of any covariance; fewer make it probabilistic PCA (Tipping and Bishop 1999, eq. 8).
    """
    rows = as_vectors(x)
    axes = principal_axes(rows, k)
    total, n_others = float(axes["total"]), rows.shape[1] - k
    least = _LEAST_VARIANCE * total or 1.0
    other = max((total - axes["variance"].sum()) / n_others, least) if n_others else 1.0
    variance = np.maximum(axes["variance"], other if n_others else least)
    return {"mean": axes["mean"], "basis": axes["basis"], "variance": variance, "other": np.array(other)}


def successions(x: np.ndarray, n_symbols: int) -> dict[str, np.ndarray]:
    """Sequences x [n, L] of symbols -> log probabilities first [V] and next [V, V] (none where L = 1).

    Each count is raised by one: Laplace's rule.
    """
    tokens = flat(x).astype(np.int64)
    first = np.bincount(tokens[:, 0], minlength=n_symbols) + 1.0
    learnt = {"first": np.log(first / first.sum())}
    if tokens.shape[1] > 1:
        pairs = (tokens[:, :-1] * n_symbols + tokens[:, 1:]).ravel()
        follows = np.bincount(pairs, minlength=n_symbols**2).reshape(n_symbols, n_symbols) + 1.0
        learnt["next"] = np.log(follows / follows.sum(axis=1, keepdims=True))
    return learnt


def log_likelihood(learnt: Learnt, x: np.ndarray) -> np.ndarray:
    """x [n, *event] -> log density or log probability [n], by either model."""
    if "first" in learnt:
        tokens = flat(x).astype(np.int64)
        score = learnt["first"][tokens[:, 0]]
        return score + learnt["next"][tokens[:, :-1], tokens[:, 1:]].sum(axis=1) if "next" in learnt else score
    d, k = learnt["basis"].shape
    log_volume = np.log(learnt["variance"]).sum() + (d - k) * np.log(learnt["other"]) + d * np.log(2 * np.pi)

    def log_density(rows: np.ndarray) -> np.ndarray:
        centred = rows - learnt["mean"]
        z = centred @ learnt["basis"]
        beside = np.maximum(np.square(centred).sum(axis=1) - np.square(z).sum(axis=1), 0.0) if d > k else 0.0
        return -(np.square(z) @ (1 / learnt["variance"]) + beside / learnt["other"] + log_volume) / 2

    return in_batches(log_density, as_vectors(x))


def neighbours(x: np.ndarray) -> dict[str, np.ndarray]:
    """The real rows themselves."""
    return {"row": flat(x).copy()}


def minus_distance(learnt: Learnt, x: np.ndarray) -> np.ndarray:
    """x [n, *event] -> minus the Euclidean distance [n] to the nearest real row, images in [0, 1]."""
    from scipy.spatial.distance import cdist

    return -cdist(as_vectors(x), as_vectors(learnt["row"])).min(axis=1)
