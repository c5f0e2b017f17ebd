"""The Gaussian mixture: after EM's last step the mixture has the mean and the covariance of D^t."""

from mad_ray.core.samples import Event
from mad_ray.data import Modes
from mad_ray.families import Gmm
from tests.contracts.family_case import Case, same_mean_and_variance

CASE = Case(
    Gmm(n_components=3),
    Modes(side=2),
    (Event((1, 8, 8), "uint8", 10), Event((2, 2), "float64")),
    n_spread=4096,
    unbiased=same_mean_and_variance,
)
