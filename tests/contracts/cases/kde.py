"""The kernel density estimate: its training rows, and kernels of their covariance around them."""

import numpy as np

from mad_ray.core.samples import Event, Samples
from mad_ray.data import Modes
from mad_ray.families import Kde
from tests.contracts.family_case import Case, same_mean_and_variance


def of_rows_and_kernels(real: Samples, drawn: Samples) -> None:
    """Var = Var(rows) + h^2 Var(rows) n/(n - 1): scale the rows to that, and compare mean and variance."""
    h, n = 0.5, real.n
    mean = real.x.mean(axis=1, keepdims=True)
    widened = mean + (real.x - mean) * np.sqrt(1 + h * h * n / (n - 1))
    same_mean_and_variance(Samples.of(widened), drawn)


CASE = Case(
    Kde(bandwidth=0.5),
    Modes(side=2),
    (Event((1, 8, 8), "uint8", 10), Event((2, 2), "float64")),
    n_spread=4096,
    unbiased=of_rows_and_kernels,
)
