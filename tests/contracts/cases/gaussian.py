"""The Gaussian: mean and covariance of D^t are the model's."""

from mad_ray.core.samples import Event
from mad_ray.data import GaussianData
from mad_ray.families import Gaussian
from tests.contracts.family_case import Case, same_mean_and_variance

CASE = Case(
    Gaussian(),
    GaussianData(d=3),
    (Event((1, 8, 8), "uint8", 10), Event((2, 2), "float64")),
    n_spread=4096,
    unbiased=same_mean_and_variance,
)
