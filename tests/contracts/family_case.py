"""What the contract test needs to know of a family: settings quick to fit, data that suit it, and how lambda shows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mad_ray.core.samples import Event, Samples


def total_variance(samples: Samples) -> float:
    """The sum over coordinates of the variance of x [1, n, *event]."""
    return float(_flat(samples).var(axis=0, ddof=1).sum())


def within_class_variance(samples: Samples) -> float:
    """The total variance of x [1, n, *event] about the mean of each label, pooled over labels.

    For biases that act class by class, as guidance does: it draws each class together, not the classes.
    """
    x, label = _flat(samples), samples.label[0]
    classes = [x[label == c] for c in np.unique(label)]
    squares = sum(float(np.square(rows - rows.mean(axis=0)).sum()) for rows in classes)
    return squares / (len(x) - len(classes))


def entropy(samples: Samples) -> float:
    """The plug-in entropy, in nats, of x [1, n, *event] taken as symbols."""
    _, counts = np.unique(samples.x[0].reshape(-1), return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())


def same_mean_and_variance(real: Samples, drawn: Samples, n_errors: float = 4.5) -> None:
    """Assert, coordinate by coordinate, that drawn samples have the mean and the variance of the rows fitted on.

    For families whose model has exactly these; the error is that of drawing, n_errors standard errors at most.
    """
    expected, x = _flat(real), _flat(drawn)
    deviation = x - x.mean(axis=0)
    z_mean = (x.mean(axis=0) - expected.mean(axis=0)) / (x.std(axis=0) / np.sqrt(len(x)))
    z_variance = ((deviation**2).mean(axis=0) - expected.var(axis=0)) / ((deviation**2).std(axis=0) / np.sqrt(len(x)))
    assert np.abs(z_mean).max() < n_errors
    assert np.abs(z_variance).max() < n_errors


@dataclass(frozen=True)
class Case:
    """A family as the contract test tries it."""

    family: Any
    """Settings tiny enough that a fit takes less than a CPU second."""
    data: Any
    """A source that suits it."""
    unfit: tuple[Event, ...]
    """Events that it must refuse, in a line with family=NAME."""
    trained: Any = None
    """Settings trained enough for lambda to show, at most 12 CPU seconds a fit; None: as `family`."""
    n_train: int = 400
    """Rows that `trained` is fitted on."""
    biases: tuple[float, ...] = (1.0, 0.8, 0.6, 0.4)
    """Lambdas whose spread must fall in this order."""
    n_spread: int = 512
    """Samples per lambda, in blocks of an eighth."""
    spread: Callable[[Samples], float] = total_variance
    """A statistic of samples that falls with lambda."""
    unbiased: Callable[[Samples, Samples], None] | None = None
    """Told (the rows fitted on, samples at lambda = 1): asserts that these follow the family's own law."""
    resumable: bool = True
    """Networks: killed within a fit and resumed they end with the same bytes; two workers give the bits of one."""


def _flat(samples: Samples) -> np.ndarray:
    return samples.x[0].reshape(samples.n, -1).astype(np.float64)
