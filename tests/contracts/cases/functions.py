"""Two functions: the example of docs/FAMILIES.md. They take whatever there is, so that no event is unfit for them."""

import numpy as np

from mad_ray.core.samples import Samples
from mad_ray.data import Digits
from mad_ray.families import Functions
from tests.contracts.family_case import Case


def redrawn_with_noise(real: Samples, drawn: Samples) -> None:
    """Each sample is one of the rows, up to noise: of deviation 12 where nothing is clipped."""
    rows, x = (samples.x[0].reshape(samples.n, -1).astype(float) for samples in (real, drawn))
    off = x[:, None] - rows
    nearest = rows[np.square(off).sum(axis=2).argmin(axis=1)]
    inside = (nearest > 60) & (nearest < 195)
    noise = (x - nearest)[inside]
    # Rounding adds a twelfth to the variance; 4.5 standard errors of mean and variance.
    assert abs(noise.mean()) < 4.5 * 12 / np.sqrt(len(noise))
    assert abs(noise.var() / (144 + 1 / 12) - 1) < 4.5 * np.sqrt(2 / len(noise))


CASE = Case(
    Functions("examples.two_functions:fit", "examples.two_functions:sample", options={"noise": 12.0}, chunk=8),
    Digits(),
    unfit=(),
    unbiased=redrawn_with_noise,
)
