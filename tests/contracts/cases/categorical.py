"""The categorical distribution: symbols as often as in D^t, at temperature lambda."""

import numpy as np

from mad_ray.core.samples import Event, Samples
from mad_ray.data import Zipf
from mad_ray.families import Categorical
from tests.contracts.family_case import Case, entropy


def as_often_as_in_training(real: Samples, drawn: Samples) -> None:
    """Pearson's chi-square of the drawn counts, less than 4.5 standard deviations above its mean; no new symbol."""
    seen, counts = np.unique(real.x, return_counts=True)
    found, n_drawn = np.unique(drawn.x, return_counts=True)
    assert set(found) <= set(seen)
    observed = np.zeros(len(seen))
    observed[np.searchsorted(seen, found)] = n_drawn
    expected = counts / counts.sum() * drawn.n
    chi_square, freedom = np.square(observed - expected) @ (1 / expected), len(seen) - 1
    assert abs(chi_square - freedom) < 4.5 * np.sqrt(2 * freedom)


CASE = Case(
    Categorical(),
    Zipf(),
    (Event((1, 8, 8), "uint8", 10), Event((3,), "float64"), Event((1,), "float64")),
    n_spread=4096,
    spread=entropy,
    unbiased=as_often_as_in_training,
)
